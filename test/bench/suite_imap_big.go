package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

const (
	envelopes = "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
	headers   = "FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID References Content-Type)])"
	bodies    = "FETCH 1:* (UID BODY.PEEK[])"
)

// imapBigSuite looks at one large mailbox, a fresh one in each repetition: the
// order of the scenarios says what a server knows of it already. CPU is for each
// message where a command looks at all of them, p50 is the time of one command.
func imapBigSuite() Suite {
	return Suite{Name: "imap_big", Start: startBig, Scenarios: []Scenario{
		{Name: "SELECT, the first ever", Goals: Goals{"p50": Part(3)}, Run: once("big", "", "SELECT INBOX")},
		{Name: "SELECT, new process", Goals: Goals{"p50": MostTime(2 * time.Millisecond)}, Run: selectRestarted},
		{Name: "SELECT again", N: 300, Goals: Goals{"p50": MostTime(200 * time.Microsecond)}, Run: selectAgain},
		{Name: "SELECT after a delivery", N: 3, Goals: Goals{"p50": MostTime(2 * time.Millisecond)}, Run: selectChanged},
		{Name: "FETCH UID FLAGS", Goals: Goals{"CPU/op": Part(6)}, Run: again("big", "FETCH 1:* (UID FLAGS)")},
		{Name: "FETCH envelope and structure, cold", Goals: Goals{"CPU/op": Part(3.5), "p50": Part(5)}, Run: once("big", "SELECT INBOX", envelopes)},
		{Name: "FETCH envelope and structure, cached", Goals: Goals{"p50": Part(8)}, Run: again("big", envelopes)},
		{Name: "FETCH headers, cold", Goals: Goals{"CPU/op": Part(3), "p50": Part(5)}, Run: once("cold", "SELECT INBOX", headers)},
		{Name: "FETCH headers, cached", Goals: Goals{"p50": Part(5)}, Run: again("cold", headers)},
		{Name: "FETCH bodies", Goals: Goals{"CPU/op": Part(2), "p50": Part(1.5)}, Run: once("big", "SELECT INBOX", bodies)},
		{Name: "FETCH bodies, TLS", Goals: Goals{"CPU/op": Times(1.3)}, Run: bodiesTLS},
		{Name: "SEARCH UNSEEN", Goals: Goals{"p50": Part(10)}, Run: again("big", "SEARCH UNSEEN")},
		{Name: "SEARCH FLAGGED", Goals: Goals{"p50": Part(5)}, Run: again("big", "SEARCH FLAGGED")},
		{Name: "SEARCH SINCE BEFORE", Goals: Goals{"p50": Part(50)}, Run: again("big", "SEARCH SINCE 1-Feb-2025 BEFORE 8-Feb-2025")},
		{Name: "SEARCH SENTSINCE SENTBEFORE", Goals: Goals{"p50": MostTime(5 * time.Millisecond)}, Run: again("big", "SEARCH SENTSINCE 1-Feb-2025 SENTBEFORE 8-Feb-2025")},
		{Name: "SEARCH SUBJECT", Goals: Goals{"p50": MostTime(5 * time.Millisecond)}, Run: again("big", "SEARCH SUBJECT harvest")},
		{Name: "SEARCH FROM", Goals: Goals{"p50": MostTime(5 * time.Millisecond)}, Run: again("big", "SEARCH FROM petra@sender")},
		{Name: "SEARCH BODY", Goals: Goals{"CPU/op": Part(3), "p50": Part(4)}, Run: once("big", "SELECT INBOX", "SEARCH BODY rare00042")},
		{Name: "SEARCH TEXT", Goals: Goals{"CPU/op": Part(3), "p50": Part(4)}, Run: once("big", "SELECT INBOX", "SEARCH TEXT rare00042")},
		{Name: "STORE, flushed", Goals: Goals{"CPU/op": Times(1.1), "p50": Part(8)}, Run: stores("STORE 1:* +FLAGS (\\Answered)")},
		{Name: "STORE, three changes flushed", Goals: Goals{"CPU/op": Part(2)}, Run: stores("STORE 1:* -FLAGS (\\Answered)", "STORE 1:* +FLAGS (\\Draft)", "STORE 1:* -FLAGS (\\Draft)")},
	}}
}

func startBig(_ context.Context, dir string, o Options) ([]*peer.Server, error) {
	w := &world{dir: dir, options: o, users: append(numbered("big", o.Reps), append(numbered("cold", o.Reps), "other")...)}
	if err := w.start(); err != nil {
		return w.servers, err
	}
	if err := w.corpus(o.Messages); err != nil {
		return w.servers, err
	}
	for _, u := range w.users[:len(w.users)-1] {
		if err := w.fill(u, o.Messages); err != nil {
			return w.servers, err
		}
	}
	return w.servers, nil
}

// once measures one command, after another that is not measured. Each message
// of the mailbox is an operation.
func once(user, before, command string) runner {
	return func(_ context.Context, t *peer.Server, _, seq int) (Result, error) {
		c, err := login(t, fmt.Sprint(user, seq), load.Options{Buffer: 256 << 10})
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		if before != "" {
			if err := c.Command("%s", before); err != nil {
				return Result{}, err
			}
		}
		r, err := timed(t, c, 1, command)
		if err != nil {
			return r, err
		}
		return r, c.Logout()
	}
}

// again measures a command that is repeated until it can be, after one that is
// not measured.
func again(user, command string) runner {
	return func(_ context.Context, t *peer.Server, _, seq int) (Result, error) {
		c, err := open(t, fmt.Sprint(user, seq), load.Options{Buffer: 256 << 10})
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		if err := c.Command("%s", command); err != nil {
			return Result{}, err
		}
		r, err := steady(1, func(n int) (Result, error) { return timed(t, c, n, command) })
		if err != nil {
			return r, err
		}
		return r, c.Logout()
	}
}

// timed runs a command n times; operations are messages.
func timed(t *peer.Server, c *load.IMAP, n int, command string) (Result, error) {
	r, err := measure(t, func() (int, []time.Duration, error) {
		var took []time.Duration
		for range n {
			began := time.Now()
			if err := c.Command("%s", command); err != nil {
				return 0, nil, err
			}
			took = append(took, time.Since(began))
		}
		return n * c.Exists, took, nil
	})
	r.P99 = 0
	return r, err
}

// bodiesTLS is what a client fetches through both of our processes.
func bodiesTLS(_ context.Context, t *peer.Server, _, seq int) (Result, error) {
	c, err := open(t, fmt.Sprint("big", seq), load.Options{TLS: true, Buffer: 256 << 10})
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	return timed(t, c, 1, bodies)
}

// selectRestarted selects the mailbox in servers that have just been started,
// and that have served another user.
func selectRestarted(_ context.Context, t *peer.Server, _, seq int) (Result, error) {
	if err := t.Restart(); err != nil {
		return Result{}, err
	}
	other, err := open(t, "other", load.Options{})
	if err != nil {
		return Result{}, err
	}
	defer other.Close()
	c, err := login(t, fmt.Sprint("big", seq), load.Options{})
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	r, err := timed(t, c, 1, "SELECT INBOX")
	return Result{P50: r.P50}, err
}

// reselect takes the time of n SELECTs, each after what is done before it.
func reselect(t *peer.Server, user string, n int, before func(i int) error) (Result, error) {
	c, err := open(t, user, load.Options{})
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	var took []time.Duration
	for i := range n {
		if err := c.Command("UNSELECT"); err != nil {
			return Result{}, err
		}
		if err := before(i); err != nil {
			return Result{}, err
		}
		began := time.Now()
		if err := c.Command("SELECT INBOX"); err != nil {
			return Result{}, err
		}
		took = append(took, time.Since(began))
	}
	return Result{P50: percentile(took, 0.5)}, c.Logout()
}

func selectAgain(_ context.Context, t *peer.Server, n, seq int) (Result, error) {
	return reselect(t, fmt.Sprint("big", seq), n, func(int) error { return nil })
}

// selectChanged has a message come while nobody has the mailbox selected. The
// change before it is older than the steps in which a file system counts time,
// as it nearly always is.
func selectChanged(_ context.Context, t *peer.Server, n, seq int) (Result, error) {
	user := fmt.Sprint("big", seq)
	return reselect(t, user, n, func(i int) error {
		time.Sleep(writeBehind)
		return t.Drop(user, fmt.Sprintf("%d.M%dP9.bench.test", time.Now().Unix(), i), load.Message(i))
	})
}

// writeBehind is how long imapd may take to give files the names that their
// flags ask for.
const writeBehind = 2500 * time.Millisecond

// stores takes the time that the commands need, and the CPU until their effect
// is in the names of the files.
func stores(commands ...string) runner {
	return func(_ context.Context, t *peer.Server, _, seq int) (Result, error) {
		c, err := open(t, fmt.Sprint("big", seq), load.Options{})
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		r, err := measure(t, func() (int, []time.Duration, error) {
			var took []time.Duration
			for _, command := range commands {
				began := time.Now()
				if err := c.Command("%s", command); err != nil {
					return 0, nil, err
				}
				took = append(took, time.Since(began))
			}
			err := c.Logout()
			time.Sleep(writeBehind)
			return len(commands) * c.Exists, took, err
		})
		r.Wall, r.P99 = 0, 0
		return r, err
	}
}
