package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

const (
	smallUsers = 200 // each with smallBox messages
	smallBox   = 200
	midBox     = 10000 // what is copied, moved and expunged, by a user for each repetition
)

// imapSmallSuite is many users with a little to do each.
func imapSmallSuite() Suite {
	push := Goals{"p50": MostTime(500 * time.Microsecond), "p99": MostTime(5 * time.Millisecond)}
	mixed := Goals{"rate": Times(4), "CPU/op": Part(5), "p99": Part(4)}
	return Suite{Name: "imap_small", Start: startSmall, Scenarios: []Scenario{
		{Name: "login, 1 client", N: 1000, Goals: Goals{"rate": Times(3), "CPU/op": Part(4)}, Run: logins(1, false)},
		{Name: "login, 16 clients", N: 3000, Goals: Goals{"rate": Times(3), "CPU/op": Part(4)}, Run: logins(16, false)},
		{Name: "TLS login, 1 client", N: 500, Goals: Goals{"rate": Times(2), "CPU/op": Part(2)}, Run: logins(1, true)},
		{Name: "TLS login, 16 clients", N: 1000, Goals: Goals{"rate": Times(2), "CPU/op": Part(2)}, Run: logins(16, true)},
		{Name: "COPY 10 000", Goals: Goals{"p50": Part(2)}, Run: once("mid", "SELECT INBOX", "COPY 1:* Copied")},
		{Name: "MOVE 10 000", Goals: Goals{"p50": Part(2)}, Run: once("mid", "SELECT Copied", "MOVE 1:* Moved")},
		{Name: "EXPUNGE 10 000", Goals: Goals{"p50": Part(3), "CPU/op": Times(1)}, Run: expunge},
		{Name: "APPEND, 1 client", N: 1000, Goals: Goals{"rate": Times(2), "CPU/op": Part(4)}, Run: appends(1)},
		{Name: "APPEND, 10 clients", N: 2000, Goals: Goals{"rate": Times(2), "CPU/op": Part(4)}, Run: appends(10)},
		{Name: "delivery to IDLE push", N: 100, Goals: push, Run: pushed},
		{Name: "mixed work, 50 clients", N: 8, Goals: mixed, Run: mixedWork(50)},
		{Name: "mixed work, 500 clients", N: 8, Goals: mixed, Run: mixedWork(500)},
		{Name: "idle", N: 1000, Goals: Goals{"each": MostBytes(15 << 10)}, Run: idleIMAP(false)},
		{Name: "idle, TLS", N: 1000, Goals: Goals{"each": MostBytes(35 << 10)}, Run: idleIMAP(true)},
	}}
}

// imapFreshSuite is the login of a Dovecot that nobody has tuned.
func imapFreshSuite() Suite {
	start := func(_ context.Context, dir string, o Options) ([]*peer.Server, error) {
		return startUsers(dir, o, true)
	}
	return Suite{Name: "imap_fresh", Start: start, Scenarios: []Scenario{
		{Name: "login, Dovecot's defaults, 16 clients", N: 1000, Goals: Goals{"rate": Times(15)}, Run: logins(16, false)},
	}}
}

func startSmall(_ context.Context, dir string, o Options) ([]*peer.Server, error) {
	return startUsers(dir, o, false)
}

// startUsers starts a world with users u0, ... of small mailboxes and, unless
// they have nothing to do, mid0, ... of larger ones.
func startUsers(dir string, o Options, fresh bool) ([]*peer.Server, error) {
	mid := numbered("mid", o.Reps)
	w := &world{dir: dir, options: o, fresh: fresh, users: append(numbered("u", smallUsers), mid...)}
	if err := w.start(); err != nil {
		return w.servers, err
	}
	n := midBox
	if fresh {
		n, mid = smallBox, nil
	}
	if err := w.corpus(n); err != nil {
		return w.servers, err
	}
	for _, u := range mid {
		if err := w.fill(u, n); err != nil {
			return w.servers, err
		}
	}
	for _, u := range w.users[:smallUsers] {
		if err := w.fill(u, smallBox); err != nil {
			return w.servers, err
		}
	}
	return w.servers, w.prepare(mid)
}

// prepare makes the folders that the scenarios use. It is each user's first
// login, which makes more than a later one does.
func (w *world) prepare(mid []string) error {
	users := append(w.users[:smallUsers:smallUsers], mid...)
	for _, s := range w.servers {
		_, err := load.Crowd(context.Background(), 16, len(users), func(_, i int) error {
			c, err := open(s, users[i], load.Options{Buffer: 4 << 10})
			if err != nil {
				return fmt.Errorf("%s, first login of %s: %w", s.Name, users[i], err)
			}
			for _, folder := range foldersOf(i) {
				_ = c.Command("CREATE %s", folder) // ours has made Sent by itself
			}
			return c.Logout()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// foldersOf the i-th user. Those that messages are put into in numbers are of a
// few.
func foldersOf(i int) []string {
	if i >= 10 && i < smallUsers {
		return []string{"Sent"}
	}
	return []string{"Sent", "Copied", "Moved", "Appended"}
}

func logins(clients int, tls bool) runner {
	return func(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
		return measure(t, func() (int, []time.Duration, error) {
			took, err := load.Crowd(ctx, clients, n, func(_, i int) error {
				c, err := login(t, fmt.Sprint("u", i%smallUsers), load.Options{TLS: tls, Buffer: 4 << 10})
				if err != nil {
					return err
				}
				return c.Logout()
			})
			return len(took), took, err
		})
	}
}

// expunge deletes what MOVE has left.
func expunge(_ context.Context, t *peer.Server, _, seq int) (Result, error) {
	c, err := login(t, fmt.Sprint("mid", seq), load.Options{})
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	for _, command := range []string{"SELECT Moved", "STORE 1:* +FLAGS.SILENT (\\Deleted)"} {
		if err := c.Command("%s", command); err != nil {
			return Result{}, err
		}
	}
	n := c.Exists
	r, err := timed(t, c, 1, "EXPUNGE")
	r.Ops = n
	return r, err
}

func appends(clients int) runner {
	return func(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
		conns := make([]*load.IMAP, clients)
		for i := range conns {
			c, err := login(t, fmt.Sprint("u", i), load.Options{})
			if err != nil {
				return Result{}, err
			}
			defer c.Close()
			conns[i] = c
		}
		messages := letters(200, 0)
		return measure(t, func() (int, []time.Duration, error) {
			took, err := load.Crowd(ctx, clients, n, func(worker, i int) error {
				return conns[worker].Append("Appended", messages[i%len(messages)])
			})
			return len(took), took, err
		})
	}
}

// letters are n messages, of one size if it is not 0.
func letters(n, size int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = load.Sized(i, size)
	}
	return all
}

// pushed takes the time from the reply to a delivery by LMTP until a client in
// IDLE hears of it.
func pushed(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
	c, err := open(t, "u0", load.Options{})
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	if err := c.Idle(); err != nil {
		return Result{}, err
	}
	l, err := load.DialSMTP(t.LMTP, true)
	if err != nil {
		return Result{}, err
	}
	defer l.Close()
	body := load.Stuffed(load.Sized(0, 8192))
	heard := make(chan time.Time)
	failed := make(chan error, 1)
	go func() {
		for range n {
			if err := c.Pushed(); err != nil {
				failed <- err
				return
			}
			heard <- time.Now()
		}
	}()
	var took []time.Duration
	for range n {
		if err := l.Send("a@sender.test", []string{address("u0")}, body); err != nil {
			return Result{}, err
		}
		delivered := time.Now()
		select {
		case at := <-heard:
			took = append(took, max(at.Sub(delivered), time.Microsecond))
		case err := <-failed:
			return Result{}, err
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
	return Result{P50: percentile(took, 0.5), P99: percentile(took, 0.99)}, nil
}

// idleIMAP holds n connections in IDLE and takes the memory that they add.
func idleIMAP(tls bool) runner {
	return func(ctx context.Context, t *peer.Server, n, seq int) (Result, error) {
		if seq > 0 {
			return Result{}, nil
		}
		return holdIdle(ctx, t, n, func(i int) string { return fmt.Sprint("u", i%smallUsers) }, tls)
	}
}

// settled is how long servers have to put away what idle connections do not need.
const settled = 25 * time.Second

func holdIdle(ctx context.Context, t *peer.Server, n int, user func(i int) string, tls bool) (Result, error) {
	return hold(ctx, t, n, func(i int) (closer, error) {
		c, err := open(t, user(i), load.Options{TLS: tls, Buffer: 512})
		if err != nil {
			return nil, err
		}
		return c, c.Idle()
	})
}

type closer interface{ Close() }

// hold opens n connections to a server that has just been started, waits, and
// takes the memory of all, and what each has added.
func hold(ctx context.Context, t *peer.Server, n int, dial func(i int) (closer, error)) (Result, error) {
	return holdWhile(ctx, t, n, dial, func() (Result, error) { return Result{}, nil })
}

// holdWhile is hold that measures something else before it lets go.
func holdWhile(ctx context.Context, t *peer.Server, n int, dial func(i int) (closer, error), meanwhile func() (Result, error)) (Result, error) {
	if err := t.Restart(); err != nil {
		return Result{}, err
	}
	before, err := t.Memory()
	if err != nil {
		return Result{}, err
	}
	conns := make([]closer, n)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	_, err = load.Crowd(ctx, 8, n, func(_, i int) error {
		c, err := dial(i)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		conns[i] = c
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	select {
	case <-time.After(settled):
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	r, err := meanwhile()
	if err != nil {
		return r, err
	}
	r.Memory, err = t.Memory()
	if n > 0 {
		r.Each = max(r.Memory-before, 0) / int64(n)
	}
	return r, err
}
