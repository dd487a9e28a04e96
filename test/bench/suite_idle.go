package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// hostileSuite has clients that begin a command, or TLS, and send an octet of the
// rest from time to time. Another client should not notice: each of its p99 under
// twice that of the row before. The servers' limits on clients without a login are
// off, as the attacker could come from everywhere.
func hostileSuite() Suite {
	var list []Scenario
	goals := Goals{"memory": MostBytes(300 << 20)}
	for _, k := range []struct {
		name string
		kind hostile
	}{
		{"SMTP", hostile{"mtad", func(t *peer.Server) string { return t.SMTP }, "EHLO a", "STARTTLS\r\n", smtpVisit}},
		{"IMAP", hostile{"imapd-login", func(t *peer.Server) string { return t.IMAP }, "a LOGIN a", "a STARTTLS\r\n", imapVisit}},
	} {
		list = append(list,
			Scenario{Name: k.name + ", one client, nobody else", N: 1000, Run: k.kind.run(0, "")},
			Scenario{Name: k.name + ", beside 10 000 slow commands", N: 1000, Goals: goals, Run: k.kind.run(10000, k.kind.slow)},
			Scenario{Name: k.name + ", beside 10 000 slow handshakes", N: 1000, Goals: goals, Run: k.kind.run(10000, k.kind.tls)},
		)
	}
	return Suite{Name: "hostile", Start: startHostile, Scenarios: list}
}

func startHostile(_ context.Context, dir string, o Options) ([]*peer.Server, error) {
	if _, err := peer.RaiseFiles(20000); err != nil {
		return nil, fmt.Errorf("open files: %w", err)
	}
	w := &world{dir: dir, options: o, users: numbered("u", 1), alone: true, processes: []string{"authd", "imapd", "imapd-login", "mtad"}}
	err := w.start()
	return w.servers, err
}

// hostile is what one server gets.
type hostile struct {
	process   string
	address   func(*peer.Server) string
	slow, tls string // how a connection begins
	visit     func(*peer.Server) error
}

// dripEvery is how long a connection waits with its next octet.
const dripEvery = 10 * time.Second

func (h hostile) run(conns int, begin string) runner {
	return func(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
		only := t.Only(h.process)
		dial := func(int) (closer, error) { return dripping(h.address(t), begin) }
		return holdWhile(ctx, only, conns, dial, func() (Result, error) {
			return measure(only, func() (int, []time.Duration, error) {
				took, err := load.Crowd(ctx, 1, n, func(_, _ int) error { return h.visit(t) })
				return n, took, err
			})
		})
	}
}

// drip is a connection that never comes to an end.
type drip struct {
	nc   net.Conn
	stop chan struct{}
	done sync.WaitGroup
}

func dripping(address, begin string) (*drip, error) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	d := &drip{nc: nc, stop: make(chan struct{})}
	if _, err := nc.Write([]byte(begin)); err != nil {
		nc.Close()
		return nil, err
	}
	d.done.Go(func() {
		tick := time.NewTicker(dripEvery)
		defer tick.Stop()
		rest := "aaaaa"
		if strings.HasSuffix(begin, "\n") {
			rest = "\x16\x03\x01\x02\x00" // a TLS record of 512 octets
		}
		for i := 0; ; i++ {
			select {
			case <-d.stop:
				return
			case <-tick.C:
				octet := rest[min(i, len(rest)-1)]
				if _, err := nc.Write([]byte{octet}); err != nil {
					return
				}
			}
		}
	})
	return d, nil
}

func (d *drip) Close() {
	close(d.stop)
	d.nc.Close()
	d.done.Wait()
}

// smtpVisit hands in a message that stays in the queue.
func smtpVisit(t *peer.Server) error {
	c, err := load.DialSMTP(t.SMTP, false)
	if err != nil {
		return err
	}
	if err := c.Send("x@elsewhere.test", []string{"y@hold.test"}, load.Stuffed([]byte("Subject: x\r\n\r\nx\r\n"))); err != nil {
		c.Close()
		return err
	}
	return c.Quit()
}

// imapVisit logs in, looks into INBOX and goes.
func imapVisit(t *peer.Server) error {
	c, err := open(t, "u0", load.Options{})
	if err != nil {
		return err
	}
	return c.Logout()
}
