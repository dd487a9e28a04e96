package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// bufferSize is that of a read buffer: a message of usual size is read at once.
const bufferSize = 32 << 10

// Server runs the protocol on connections of one listener. It holds no
// connections and is safe for concurrent use.
type Server struct {
	cfg   Config
	bufs  *wire.Buffers
	table *table
}

// New checks cfg and returns its server.
func New(cfg Config) (*Server, error) {
	if cfg.Accept == nil {
		return nil, fail.New(fail.Invalid, "smtp server %q has no Accept hook", cfg.Listener)
	}
	if cfg.Hostname == "" {
		return nil, fail.New(fail.Invalid, "smtp server %q has no host name", cfg.Listener)
	}
	if cfg.ImplicitTLS && cfg.TLS == nil {
		return nil, fail.New(fail.Invalid, "smtp server %q has implicit TLS but no TLS configuration", cfg.Listener)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = newID
	}
	size := max(bufferSize, cfg.Policy.Limits.Line+2, cfg.Policy.Limits.AuthResponse+2)
	return &Server{cfg: cfg, bufs: wire.NewBuffers(size), table: newTable()}, nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawStdEncoding.EncodeToString(b[:])
}

// Serve speaks on conn until the session ends, and closes it. When ctx ends,
// an idle session gets 421 4.3.2 at once; a transaction that has begun may
// finish first. The owner of conn enforces any limit on that by closing it.
func (s *Server) Serve(ctx context.Context, conn net.Conn) {
	s.ServeBetween(ctx, conn, conn.RemoteAddr(), nil)
}

// ServeBetween is Serve for a connection that comes through a proxy: remote
// and local are the ends that it named; nil is the connection's own.
func (s *Server) ServeBetween(ctx context.Context, conn net.Conn, remote, local net.Addr) {
	e := &engine{srv: s, cfg: &s.cfg, ctx: ctx, state: stateStart, hooks: nobody{}}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	e.work = work
	e.pub = Conn{
		ID: s.cfg.NewID(), Listener: s.cfg.Listener, Mode: s.cfg.Mode,
		Remote: remote, local: local, Net: conn,
		Start: s.cfg.Now(), Policy: s.cfg.Policy, talk: e.talksEarly,
	}
	e.sum.After = "CONNECT"
	e.src.open(ctx, conn)
	e.in = wire.NewReader(&e.src, s.bufs)
	e.out = output{conn: conn, timeout: s.cfg.Timeouts.Write}
	// Stopping moves the deadline, which wakes an idle read; see input.woken.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer e.close()
	defer stop()
	if e.greet() {
		e.loop()
	}
}

// greet runs everything up to the banner.
func (e *engine) greet() bool {
	hooks, refusal := e.cfg.Accept(e.ctx, &e.pub)
	e.out.record = e.pub.Policy.Record
	switch {
	case hooks != nil:
		e.hooks = hooks
	case refusal.IsZero():
		refusal = MakeReply(421, 4, 3, 0, e.cfg.Hostname+" Service not available")
	}
	if e.cfg.ImplicitTLS && !e.handshake() {
		return false
	}
	if !refusal.IsZero() {
		e.state = stateRefused
		e.say(refusal)
		return !e.over
	}
	if e.pub.Policy.StrictSync && !e.pub.Early && !e.cfg.ImplicitTLS && e.src.ready() && e.in.Wait() == nil {
		e.send(e.tooEager("CONNECT"))
		return false
	}
	e.out.reply(e.banner())
	return true
}

func (e *engine) banner() Reply {
	return Reply{Code: 220, Text: strings.TrimSuffix(e.cfg.Hostname+" "+e.cfg.Greeting, " ")}
}

// talksEarly implements Conn.EarlyTalker.
func (e *engine) talksEarly(wait time.Duration) bool {
	if e.cfg.ImplicitTLS {
		return false // the client of implicit TLS speaks first
	}
	e.src.command(wait, true)
	defer e.src.force(time.Time{})
	return e.in.Wait() == nil
}

// close ends the connection and tells the session.
func (e *engine) close() {
	e.settle()
	e.endTx()
	e.out.flush()
	e.in.Release()
	if e.over && e.out.err == nil && e.sum.End != Quit && e.sum.End != Lost && e.sum.End != TLSFailed {
		e.linger()
	}
	_ = e.src.conn.Close()
	if !e.over { // a hook panicked
		e.sum.End = Lost
	}
	e.sum.Counts = e.used()
	e.hooks.Close(e.sum)
}

// linger reads for a moment what the client still sends: closing a socket
// with unread input resets it, and the client would not see our last reply.
func (e *engine) linger() {
	if netx.CloseWrite(e.src.conn) != nil {
		return
	}
	_ = e.pub.Net.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
	buf := e.srv.bufs.Get()
	defer e.srv.bufs.Put(buf)
	for range 64 {
		if _, err := e.src.conn.Read(*buf); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
				e.sum.Err = err
			}
			return
		}
	}
}

// used lists the verbs that were used.
func (e *engine) used() []Count {
	var out []Count
	for i, t := range e.counts {
		if t.total == 0 {
			continue
		}
		verb := "unknown"
		if i != unknown {
			verb = e.srv.table[i].count
		}
		out = append(out, Count{Verb: verb, OK: t.ok, Total: t.total})
	}
	return out
}

// nobody is the session of a client that Accept gave none.
type nobody struct{}

func (nobody) Helo(context.Context) Reply                              { return Reply{} }
func (nobody) Mail(context.Context, *Transaction) Verdict              { return Verdict{} }
func (nobody) Rcpt(context.Context, *Transaction, Recipient) Verdict   { return Verdict{} }
func (nobody) Data(context.Context, *Transaction) Verdict              { return Verdict{} }
func (nobody) Message(context.Context, *Transaction, io.Reader) Result { return Result{} }
func (nobody) Reset(*Transaction)                                      {}
func (nobody) Event(Event)                                             {}
func (nobody) Close(Summary)                                           {}
