package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

// pop3Suite lists a large maildrop and downloads small ones.
func pop3Suite() Suite {
	return Suite{Name: "pop3", Start: startSmall, Scenarios: []Scenario{
		{Name: "UIDL of 10 000, the first ever", Run: uidl},
		{Name: "UIDL of 10 000", N: 20, Goals: Goals{"p50": Part(5), "CPU/op": Part(5)}, Run: uidl},
		{Name: "RETR, 10 clients, 200 messages each", N: 50, Goals: Goals{"rate": Times(3)}, Run: retrieve},
	}}
}

func loginPOP3(t *peer.Server, user string) (*load.POP3, error) {
	return load.LoginPOP3(t.POP3, load.Options{}, address(user), peer.Password)
}

// uidl runs sessions of login, UIDL and QUIT; the time is that of UIDL.
func uidl(_ context.Context, t *peer.Server, n, seq int) (Result, error) {
	r, err := measure(t, func() (int, []time.Duration, error) {
		var took []time.Duration
		for range n {
			c, err := loginPOP3(t, fmt.Sprint("mid", seq))
			if err != nil {
				return 0, nil, err
			}
			began := time.Now()
			if lines, err := c.List("UIDL"); err != nil || lines < midBox {
				return 0, nil, fmt.Errorf("UIDL: %d lines (%w)", lines, err)
			}
			took = append(took, time.Since(began))
			if err := c.Quit(); err != nil {
				return 0, nil, err
			}
		}
		return n, took, nil
	})
	r.P99 = 0
	return r, err
}

// retrieve downloads n small maildrops; operations are messages.
func retrieve(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
	return measure(t, func() (int, []time.Duration, error) {
		took, err := load.Crowd(ctx, 10, n, func(_, i int) error {
			c, err := loginPOP3(t, fmt.Sprint("u", 10+i%(smallUsers-10)))
			if err != nil {
				return err
			}
			if err := c.Retrieve(smallBox, 16); err != nil {
				return err
			}
			return c.Quit()
		})
		return len(took) * smallBox, nil, err
	})
}
