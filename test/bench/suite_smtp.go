package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

// smtpSuite hands messages to an MTA. What is accepted stays in the queue:
// Postfix holds it, mtad has a next hop that never answers, so that it routes
// each message and tries it. Or it goes on to a sink by LMTP, and counts when it
// is there.
func smtpSuite() Suite {
	const kb = 1 << 10
	accept := Goals{"rate": Times(12), "CPU/op": Part(20), "p99": Part(10)}
	relay := Goals{"rate": Times(12), "CPU/op": Part(15), "p99": Part(10)}
	var sink, hole *load.Sink // live as long as the program
	start := func(_ context.Context, dir string, o Options) (servers []*peer.Server, err error) {
		if sink, err = load.NewSink(false); err != nil {
			return nil, err
		}
		if hole, err = load.NewSink(true); err != nil {
			return nil, err
		}
		return startSMTP(dir, o, sink.Address(), hole.Address())
	}
	keep := func(w work) runner {
		return func(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
			w.address, w.to = t.SMTP, "u%d@hold.test"
			return sendTo(ctx, t, w, n)
		}
	}
	pass := func(w work) runner {
		return func(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
			w.address, w.to = t.SMTP, "u%d@sink.test"
			want := sink.Received() + n*w.recipients
			w.arrived = func() bool { return sink.Received() >= want }
			return sendTo(ctx, t, w, n)
		}
	}
	return Suite{Name: "smtp", Start: start, Scenarios: []Scenario{
		{Name: "accept, 1 KB, 1 session", N: 600, Goals: Goals{"rate": Times(6), "CPU/op": Part(15)}, Run: keep(work{sessions: 1, recipients: 1, size: kb})},
		{Name: "accept, 1 KB, 50 sessions", N: 3000, Goals: accept, Run: keep(work{sessions: 50, recipients: 1, size: kb})},
		{Name: "accept, 1 KB, 200 sessions", N: 3000, Goals: accept, Run: keep(work{sessions: 200, recipients: 1, size: kb})},
		{Name: "accept, 8 KB, 50 sessions", N: 3000, Goals: accept, Run: keep(work{sessions: 50, recipients: 1, size: 8 * kb})},
		{Name: "accept, 8 KB, 200 sessions", N: 3000, Goals: accept, Run: keep(work{sessions: 200, recipients: 1, size: 8 * kb})},
		{Name: "accept, 100 KB, 50 sessions", N: 1000, Goals: Goals{"rate": Times(8), "CPU/op": Part(15)}, Run: keep(work{sessions: 50, recipients: 1, size: 100 * kb})},
		{Name: "accept, a connection for each", N: 2000, Goals: accept, Run: keep(work{sessions: 50, recipients: 1, size: 8 * kb, each: true})},
		{Name: "accept, STARTTLS for each", N: 500, Run: keep(work{sessions: 20, recipients: 1, size: 8 * kb, each: true, tls: true})},
		{Name: "accept, 20 recipients", N: 1000, Goals: accept, Run: keep(work{sessions: 50, recipients: 20, size: 8 * kb})},
		{Name: "accept and relay, 50 sessions", N: 2000, Goals: relay, Run: pass(work{sessions: 50, recipients: 1, size: 8 * kb})},
		{Name: "accept and relay, 200 sessions", N: 2000, Goals: relay, Run: pass(work{sessions: 200, recipients: 1, size: 8 * kb})},
	}}
}

// sendTo restarts the server, whose queue and processes are those of the run
// before, lets it run warm, and measures.
func sendTo(ctx context.Context, t *peer.Server, w work, n int) (Result, error) {
	if err := t.Restart(); err != nil {
		return Result{}, err
	}
	warm := w
	warm.arrived, warm.to = nil, "u%d@hold.test"
	if _, err := send(ctx, t, warm, 2*w.sessions); err != nil {
		return Result{}, err
	}
	r, err := send(ctx, t, w, n)
	if err == nil {
		r.Memory, err = t.Memory()
	}
	return r, err
}

func startSMTP(dir string, o Options, sink, hole string) (servers []*peer.Server, err error) {
	if peer.HasPostfix() {
		p, err := peer.Postfix(filepath.Join(dir, "postfix"), sink, "/nonexistent")
		if err != nil {
			return nil, err
		}
		servers = append(servers, p)
	}
	m, err := peer.Ours("mtad", filepath.Join(dir, "ours"), o.Bin, nil, sink, hole, "mtad")
	if err != nil {
		return servers, err
	}
	return append(servers, m), nil
}

// flowSuite is a message's whole way, from SMTP to a file in a mailbox: Postfix
// and Dovecot beside mtad and deliverd, each with all of their processes.
func flowSuite() Suite {
	goals := Goals{"rate": Times(6), "CPU/op": Part(10)}
	return Suite{Name: "flow", Start: startFlow, Scenarios: []Scenario{
		{Name: "SMTP to mailbox, 8 KB, 50 sessions", N: 1500, Goals: goals, Run: flow(50)},
	}}
}

func startFlow(_ context.Context, dir string, o Options) (servers []*peer.Server, err error) {
	users := numbered("u", smallUsers)
	if peer.HasPostfix() && peer.HasDovecot() {
		d, err := peer.DovecotMail(filepath.Join(dir, "dovecot"), users, false)
		if err != nil {
			return nil, err
		}
		servers = append(servers, d)
		p, err := peer.Postfix(filepath.Join(dir, "postfix"), "127.0.0.1:9", d.LMTP)
		if err != nil {
			return servers, err
		}
		servers[0] = peer.Both(p, d)
	}
	ours, err := peer.Ours("Postcote", filepath.Join(dir, "ours"), o.Bin, users, "127.0.0.1:9", "127.0.0.1:9", "authd", "deliverd", "imapd", "mtad")
	if err != nil {
		return servers, err
	}
	return append(servers, ours), nil
}

func flow(sessions int) runner {
	return func(ctx context.Context, t *peer.Server, n, seq int) (Result, error) {
		users := numbered("u", smallUsers)
		w := work{address: t.SMTP, sessions: sessions, recipients: 1, to: address("u%d"), size: 8 << 10}
		do := func(n int) (Result, error) {
			want := t.Delivered(users) + n
			w.arrived = func() bool {
				time.Sleep(50 * time.Millisecond) // looking costs as much as a delivery
				return t.Delivered(users) >= want
			}
			return send(ctx, t, w, n)
		}
		if seq == 0 { // the first delivery makes the mailbox
			if _, err := do(smallUsers); err != nil {
				return Result{}, fmt.Errorf("first delivery: %w", err)
			}
		}
		return do(n)
	}
}
