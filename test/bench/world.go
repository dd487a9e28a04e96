package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

// world is a pair of mail servers with the same users and messages.
type world struct {
	dir     string
	options Options
	users   []string
	// fresh has Dovecot start a process for each login, as it does by default.
	fresh bool
	alone bool   // only ours
	hole  string // where nobody answers; empty: nobody needs it
	// processes of ours; nil: all that a mailbox needs.
	processes []string
	servers   []*peer.Server
}

// start starts Dovecot, if it is there, and ours.
func (w *world) start() error {
	if peer.HasDovecot() && !w.alone {
		d, err := peer.DovecotMail(filepath.Join(w.dir, "dovecot"), w.users, w.fresh)
		if err != nil {
			return err
		}
		w.servers = append(w.servers, d)
	}
	if w.processes == nil {
		w.processes = []string{"authd", "deliverd", "imapd", "imapd-login"}
	}
	ours, err := peer.Ours("Postcote", filepath.Join(w.dir, "ours"), w.options.Bin, w.users, "127.0.0.1:9", cmp.Or(w.hole, "127.0.0.1:9"), w.processes...)
	if err != nil {
		return err
	}
	w.servers = append(w.servers, ours)
	return nil
}

// corpus writes n messages to take mailboxes from.
func (w *world) corpus(n int) error {
	uid := -1
	if os.Getuid() == 0 {
		uid = peer.MailUID
	}
	return load.Maildir(filepath.Join(w.dir, "corpus"), n, uid)
}

// fill gives each server's user the first n messages.
func (w *world) fill(user string, n int) error {
	for _, s := range w.servers {
		if err := s.Mailbox(user, filepath.Join(w.dir, "corpus"), n); err != nil {
			return err
		}
	}
	return nil
}

// numbered are the names prefix0 to prefix(n-1).
func numbered(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s%d", prefix, i))
	}
	return names
}

func address(user string) string { return user + "@" + peer.Domain }

func login(t *peer.Server, user string, o load.Options) (*load.IMAP, error) {
	where := t.IMAP
	if o.TLS {
		where = t.IMAPS
	}
	return load.LoginIMAP(where, o, address(user), peer.Password)
}

// open logs in and selects INBOX.
func open(t *peer.Server, user string, o load.Options) (*load.IMAP, error) {
	c, err := login(t, user, o)
	if err != nil {
		return nil, err
	}
	if err := c.Command("SELECT INBOX"); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

type runner = func(ctx context.Context, t *peer.Server, n, seq int) (Result, error)
