package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/test/bench/peer"
)

// authConn is a client of the auth protocol that keeps a window of requests in
// flight and times each. It is used by one goroutine.
type authConn struct {
	nc   net.Conn
	r    *dovecotauth.Reader
	id   uint32
	sent map[uint32]time.Time
	out  []byte
	took []time.Duration
}

func dialAuth(t *peer.Server) (*authConn, error) {
	nc, err := net.Dial("unix", t.Auth)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(5 * time.Minute))
	c := &authConn{nc: nc, r: dovecotauth.NewReader(nc), sent: map[uint32]time.Time{}}
	hello := dovecotauth.AppendLine(nil, "VERSION", "1", "2")
	if _, err := nc.Write(dovecotauth.AppendLine(hello, "CPID", "1")); err != nil {
		return nil, err
	}
	for l := (dovecotauth.Line{}); l.Verb != "DONE"; {
		if l, err = c.r.Next(); err != nil {
			_ = nc.Close()
			return nil, err
		}
	}
	return c, nil
}

// ask puts one request into the next write.
func (c *authConn) ask(user string) {
	c.id++
	resp := base64.StdEncoding.AppendEncode(nil, []byte("\x00"+user+"\x00"+authPassword))
	c.out = append(strconv.AppendUint(append(c.out, "AUTH\t"...), uint64(c.id), 10),
		"\tPLAIN\tservice=imap\tsecured\tlip=127.0.0.1\trip=127.0.0.1\tlport=143\trport=40000\tresp="...)
	c.out = append(append(c.out, resp...), '\n')
	c.sent[c.id] = time.Now()
}

func (c *authConn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// take waits for one reply, which must be OK.
func (c *authConn) take() error {
	if err := c.flush(); err != nil {
		return err
	}
	raw, err := c.r.Raw()
	if err != nil {
		return err
	}
	verb, rest, _ := dovecotauth.Cut(raw)
	param, _, _ := dovecotauth.Cut(rest)
	id, _ := dovecotauth.ParseID(string(param))
	began, asked := c.sent[id]
	if string(verb) != "OK" || !asked {
		return fmt.Errorf("reply %.60q", raw)
	}
	c.took = append(c.took, time.Since(began))
	delete(c.sent, id)
	return nil
}

// run makes n requests, window at a time; user names the one of each.
func (c *authConn) run(ctx context.Context, n, window int, user func() string) error {
	for done := 0; done < n && ctx.Err() == nil; {
		for len(c.sent) < window && done+len(c.sent) < n {
			c.ask(user())
		}
		if err := c.take(); err != nil {
			return err
		}
		done++
		for c.r.Ready() {
			if err := c.take(); err != nil {
				return err
			}
			done++
		}
	}
	return ctx.Err()
}

// ask runs n requests over so many connections.
func ask(ctx context.Context, t *peer.Server, conns, window, n int, user func(i int) string) (Result, error) {
	clients := make([]*authConn, conns)
	for i := range clients {
		c, err := dialAuth(t)
		if err != nil {
			return Result{}, err
		}
		defer c.nc.Close()
		clients[i] = c
	}
	var next atomic.Int64
	return measure(t, func() (int, []time.Duration, error) {
		errs := make([]error, conns)
		var wg sync.WaitGroup
		for i, c := range clients {
			wg.Add(1)
			go func() {
				defer wg.Done()
				errs[i] = c.run(ctx, n/conns, window, func() string { return user(int(next.Add(1) - 1)) })
			}()
		}
		wg.Wait()
		var all []time.Duration
		for i, c := range clients {
			if errs[i] != nil {
				return 0, nil, errs[i]
			}
			all = append(all, c.took...)
		}
		return len(all), all, nil
	})
}

func cheap(i int) string { return fmt.Sprintf("cheap%d", i%cheapUsers) }

// slow numbers users so that no two runs against a target share one.
func slow(seq, n int) func(int) string {
	return func(i int) string { return fmt.Sprintf("slow%d", (seq*n+i)%slowUsers) }
}

func cheapPipelined(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
	return steady(n, func(n int) (Result, error) { return ask(ctx, t, 2, 16, n, cheap) })
}

func cheapSerial(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
	return steady(n, func(n int) (Result, error) { return ask(ctx, t, 1, 1, n, cheap) })
}

func slowDistinct(ctx context.Context, t *peer.Server, n, seq int) (Result, error) {
	return ask(ctx, t, 2, 16, n, slow(seq, n))
}

func slowAgain(ctx context.Context, t *peer.Server, n, _ int) (Result, error) {
	last := func(int) string { return fmt.Sprintf("slow%d", slowUsers-1) }
	return steady(n, func(n int) (Result, error) { return ask(ctx, t, 2, 4, n, last) })
}

// burst is how many hashes are asked for at a time in cheapAmongSlow: many more
// than there are cores.
const burst = 16

// cheapAmongSlow measures cheap requests on a connection of their own, each just
// after another connection has asked for a burst of hashes. (A Dovecot that is
// asked for hashes without end answers nobody else at all.)
func cheapAmongSlow(ctx context.Context, t *peer.Server, n, seq int) (Result, error) {
	flood, err := dialAuth(t)
	if err != nil {
		return Result{}, err
	}
	defer flood.nc.Close()
	c, err := dialAuth(t)
	if err != nil {
		return Result{}, err
	}
	defer c.nc.Close()
	next := slowUsers/2 + seq*n*burst
	for i := 0; i < n && ctx.Err() == nil; i++ {
		for range burst {
			flood.ask(fmt.Sprintf("slow%d", next%(slowUsers-1)))
			next++
		}
		if err := flood.flush(); err != nil {
			return Result{}, err
		}
		c.ask(cheap(i))
		if err := c.take(); err != nil {
			return Result{}, err
		}
		for len(flood.sent) > 0 {
			if err := flood.take(); err != nil {
				return Result{}, err
			}
		}
	}
	return Result{P50: percentile(c.took, 0.5), P99: percentile(c.took, 0.99)}, ctx.Err()
}

// idleConnections holds n connections, each used once, and takes the server's
// memory. It is measured once: what a server does not give back would count twice.
func idleConnections(_ context.Context, t *peer.Server, n, seq int) (Result, error) {
	if seq > 0 {
		return Result{}, nil
	}
	before, err := t.Memory()
	if err != nil {
		return Result{}, err
	}
	var conns []*authConn
	defer func() {
		for _, c := range conns {
			_ = c.nc.Close()
		}
	}()
	for i := range n {
		c, err := dialAuth(t)
		if err == nil {
			c.ask(cheap(i))
			err = c.take()
		}
		if err != nil {
			return Result{}, fmt.Errorf("connection %d: %w", i, err)
		}
		conns = append(conns, c)
	}
	after, err := t.Memory()
	return Result{Memory: after, Each: max(after-before, 0) / int64(n)}, err
}
