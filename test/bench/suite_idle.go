package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

// idleBox is how many messages each idle user's mailbox has.
const idleBox = 10000

// idleSuite holds many connections on which nothing happens. Dovecot would need
// a process for each of them and is left out.
//
// All users see the same Maildir, through a link in the place of their homes,
// because ten thousand times ten thousand files would take an hour to make.
// The account, the index and the state in memory are each user's own.
func idleSuite() Suite {
	return Suite{Name: "idle", Start: startIdle, Scenarios: []Scenario{
		{Name: "IMAP in IDLE, plain, 10 000 at scale 1", N: 10000, Goals: Goals{"memory": MostBytes(150 << 20)}, Run: idleUsers(false)},
		{Name: "IMAP in IDLE, TLS, 10 000 at scale 1", N: 10000, Goals: Goals{"memory": MostBytes(350 << 20)}, Run: idleUsers(true)},
		{Name: "SMTP sessions, 200 at scale 1", N: 200, Goals: Goals{"memory": MostBytes(60 << 20)}, Run: idleSMTP},
		{Name: "SMTP sessions, 5 000 at scale 1", N: 5000, Goals: Goals{"memory": MostBytes(200 << 20)}, Run: idleSMTP},
	}}
}

func startIdle(_ context.Context, dir string, o Options) ([]*peer.Server, error) {
	files, err := peer.RaiseFiles(100000)
	if err != nil {
		return nil, fmt.Errorf("open files: %w", err)
	}
	n := max(int(10000*o.Scale), 1)
	w := &world{
		dir: dir, options: o, users: numbered("u", idlers(n, int(files))), alone: true,
		processes: []string{"authd", "imapd", "imapd-login", "mtad"},
	}
	if err := w.start(); err != nil {
		return w.servers, err
	}
	if err := w.corpus(idleBox); err != nil {
		return w.servers, err
	}
	return w.servers, w.share()
}

// idlers is how many users n connections have when each process may open so many
// files: as many, if it can be. The session role has a socket for each
// connection, and for the seconds until an opened index rests some files more.
func idlers(n, files int) int {
	return max(min(n, files-200-n), 1)
}

// share lets all users see the first one's mail, and gives each a copy of the
// index that the first one's session has made.
func (w *world) share() error {
	s, first := w.servers[0], w.users[0]
	if err := w.fill(first, idleBox); err != nil {
		return err
	}
	c, err := open(s, first, load.Options{})
	if err != nil {
		return err
	}
	if err := c.Logout(); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // the folder is older than its clock's steps then: nothing is in doubt
	if err := s.Restart(); err != nil {
		return err
	}
	if c, err = open(s, first, load.Options{}); err != nil {
		return err
	}
	if err := c.Logout(); err != nil {
		return err
	}
	if err := s.Restart(); err != nil { // what it knows is on disk then
		return err
	}
	for _, u := range w.users[1:] {
		if err := os.Symlink(s.Home(first), s.Home(u)); err != nil {
			return err
		}
		if err := copyIndex(s.Index(first), s.Index(u)); err != nil {
			return err
		}
	}
	return nil
}

// copyIndex copies the files of a user's indexes. The bases are never written in
// place, so that a link to them will do.
func copyIndex(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o770)
		case d.Name() == "base":
			return os.Link(path, target)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o660)
	})
}

func idleUsers(tls bool) runner {
	return func(ctx context.Context, t *peer.Server, n, seq int) (Result, error) {
		if seq > 0 {
			return Result{}, nil
		}
		files, err := peer.RaiseFiles(0)
		if err != nil {
			return Result{}, err
		}
		users := idlers(n, int(files))
		if tls { // the login role has a socket to each side
			n = min(n, (int(files)-200)/2)
		}
		fmt.Fprintf(os.Stderr, "%d connections of %d users\n", n, users)
		return holdIdle(ctx, t.Only("imapd", "imapd-login"), n, func(i int) string { return fmt.Sprint("u", i%users) }, tls)
	}
}

// idleSMTP holds n sessions that have said EHLO.
func idleSMTP(ctx context.Context, t *peer.Server, n, seq int) (Result, error) {
	if seq > 0 {
		return Result{}, nil
	}
	return hold(ctx, t.Only("mtad"), n, func(int) (closer, error) { return load.DialSMTP(t.SMTP, false) })
}
