package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

// lmtpSuite delivers messages of 8 KB into mailboxes that lie on the file system
// of everything else.
func lmtpSuite() Suite {
	crowd := Goals{"rate": Times(1.8), "CPU/op": Part(3)}
	loaded := Goals{"rate": Times(1.8), "CPU/op": Part(3), "memory": Part(4)}
	return Suite{Name: "lmtp", Start: startLMTP, Scenarios: []Scenario{
		{Name: "1 connection, 1 recipient", N: 500, Goals: Goals{"rate": Times(1.5), "CPU/op": Part(4)}, Run: deliver(1, 1)},
		{Name: "10 connections, 1 recipient", N: 1500, Goals: crowd, Run: deliver(10, 1)},
		{Name: "10 connections, 10 recipients", N: 300, Goals: Goals{"rate": Times(5), "CPU/op": Part(5)}, Run: deliver(10, 10)},
		{Name: "50 connections, 1 recipient", N: 2000, Goals: loaded, Run: deliver(50, 1)},
	}}
}

func startLMTP(ctx context.Context, dir string, o Options) ([]*peer.Server, error) {
	w := &world{dir: dir, options: o, users: numbered("u", smallUsers), processes: []string{"authd", "deliverd", "imapd"}}
	if err := w.start(); err != nil {
		return w.servers, err
	}
	for _, s := range w.servers { // the first delivery makes the mailbox
		if _, err := deliver(10, 1)(ctx, s, smallUsers, 0); err != nil {
			return w.servers, err
		}
	}
	return w.servers, nil
}

// deliver hands in n messages over so many connections; users take turns.
func deliver(connections, recipients int) runner {
	return func(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
		r, err := send(ctx, t, work{address: t.LMTP, lmtp: true, sessions: connections, recipients: recipients, to: address("u%d"), size: 8 << 10}, n)
		if err == nil {
			r.Memory, err = t.Memory()
		}
		return r, err
	}
}

// work is messages to be handed in by SMTP or LMTP.
type work struct {
	address    string
	lmtp       bool
	sessions   int
	recipients int
	to         string // with %d for the number of the user
	size       int    // of a message, in bytes
	each       bool   // a connection for each message
	tls        bool
	arrived    func() bool // all are where they should be; nil: a reply is enough
}

// send hands in n messages, and times each up to its reply.
func send(ctx context.Context, t *peer.Server, w work, n int) (Result, error) {
	clients := make([]*load.SMTP, w.sessions)
	defer func() {
		for _, c := range clients {
			if c != nil {
				_ = c.Quit()
			}
		}
	}()
	bodies := letters(50, w.size)
	for i, b := range bodies {
		bodies[i] = load.Stuffed(b)
	}
	for i := range clients {
		var err error
		if clients[i], err = w.dial(); err != nil {
			return Result{}, err
		}
	}
	return measure(t, func() (int, []time.Duration, error) {
		took, err := load.Crowd(ctx, w.sessions, n, func(worker, i int) (err error) {
			if w.each {
				if err := clients[worker].Quit(); err != nil {
					return err
				}
				if clients[worker], err = w.dial(); err != nil {
					return err
				}
			}
			return clients[worker].Send("a@sender.test", w.recipientsOf(i), bodies[i%len(bodies)])
		})
		for err == nil && w.arrived != nil && !w.arrived() && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		return len(took), took, err
	})
}

func (w *work) dial() (*load.SMTP, error) {
	c, err := load.DialSMTP(w.address, w.lmtp)
	if err == nil && w.tls {
		err = c.StartTLS()
	}
	return c, err
}

func (w *work) recipientsOf(i int) []string {
	to := make([]string, w.recipients)
	for k := range to {
		to[k] = fmt.Sprintf(w.to, (i*w.recipients+k)%smallUsers)
	}
	return to
}
