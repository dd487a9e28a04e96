package netx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/obs"
)

// ErrShutdown is the cause of a session's context when the daemon stops: the
// session should say goodbye in its protocol and return.
var ErrShutdown = errors.New("the server is shutting down")

// Reason says why a connection was not admitted.
type Reason string

// The reasons.
const (
	TooMany         Reason = "too many connections"
	TooManyFromPeer Reason = "too many connections from this address"
	NotAllowed      Reason = "user not allowed to connect"
	AddressDenied   Reason = "address not allowed to connect"
	NoDescriptors   Reason = "out of file descriptors"
)

// Limits bound the connections of a Server; 0 is no limit.
type Limits struct {
	MaxConns   int            // in total
	MaxPerPeer int            // per IPv4 address or IPv6 /64, see Site
	Exempt     []netip.Prefix // peers that MaxPerPeer does not bind
}

// Server admits connections and runs a handler for each. Its fields are set
// before the first Serve; several Serve calls share its limits.
type Server struct {
	// Handler serves one connection and returns when it is done; the server
	// closes the connection then. ctx ends when the server stops, with the
	// cause ErrShutdown.
	Handler func(ctx context.Context, conn net.Conn)
	// Start, where it is set, is called instead of Handler. The connection may
	// outlast it, in a Lot: it lasts until end is called, once, from anywhere.
	// After a panic in Start nobody calls end.
	Start func(ctx context.Context, conn net.Conn, end func())

	Limits Limits
	// DrainLimit is how long handlers may go on after shutdown before their
	// connections are closed under them.
	DrainLimit time.Duration
	// OnReject may write a line of regret before the connection is closed.
	// It has a second; nil closes silently.
	OnReject func(conn net.Conn, why Reason)
	// OnPanic is told of a panic after it was logged.
	OnPanic func(conn net.Conn)
	// Log gets panics and accept failures; nil drops them.
	Log *obs.Logger

	active atomic.Int64
	panics atomic.Uint64
	peers  Tally[netip.Prefix]
}

// Active returns the number of connections being served.
func (s *Server) Active() int { return int(s.active.Load()) }

// Panics returns the number of handlers that panicked.
func (s *Server) Panics() uint64 { return s.panics.Load() }

// Serve accepts connections from l until ctx is done, then closes l, tells
// the sessions, waits for them up to DrainLimit, closes what is left, and
// returns nil. A listener that fails for good is an error; the sessions are
// drained then as well.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if guarded, ok := l.(*Listener); ok {
		guarded.OnDenied(s.denied)
	}
	g := &group{s: s, crew: Crew{Rest: restingHandlers}, open: map[net.Conn]context.CancelCauseFunc{}}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	a := &acceptor{l: l, log: s.logger(), reject: s.reject}
	err := a.run(ctx, func(conn net.Conn) { s.admit(ctx, g, conn) })
	stop()
	_ = l.Close()
	g.drain(s.DrainLimit)
	return err
}

func (s *Server) logger() *obs.Logger {
	if s.Log == nil {
		return obs.Discard()
	}
	return s.Log
}

// admit starts the handler of a connection that the limits allow.
func (s *Server) admit(ctx context.Context, g *group, conn net.Conn) {
	if n := s.active.Add(1); s.Limits.MaxConns > 0 && n > int64(s.Limits.MaxConns) {
		s.active.Add(-1)
		s.turnAway(conn, TooMany)
		return
	}
	site, counted := s.site(conn)
	if counted && !s.peers.Take(site, s.Limits.MaxPerPeer) {
		s.active.Add(-1)
		s.turnAway(conn, TooManyFromPeer)
		return
	}
	release := func() {
		if counted {
			s.peers.Give(site)
		}
		s.active.Add(-1)
	}
	g.run(ctx, conn, release)
}

// site returns the peer's counting unit; counted is false for Unix sockets
// and exempt networks.
func (s *Server) site(conn net.Conn) (site netip.Prefix, counted bool) {
	if s.Limits.MaxPerPeer <= 0 {
		return netip.Prefix{}, false
	}
	ip := AddrPort(conn.RemoteAddr()).Addr().WithZone("")
	if !ip.IsValid() || Among(s.Limits.Exempt, ip) {
		return netip.Prefix{}, false
	}
	return Site(ip), true
}

func (s *Server) turnAway(conn net.Conn, why Reason) {
	s.reject(conn, why)
	_ = conn.Close()
}

func (s *Server) denied(conn net.Conn, _ Cred) {
	why := NotAllowed
	if AddrPort(conn.RemoteAddr()).IsValid() {
		why = AddressDenied
	}
	s.reject(conn, why)
}

// reject lets the caller say why. A fresh socket takes a line without
// waiting; the deadline is for those that do not.
func (s *Server) reject(conn net.Conn, why Reason) {
	if s.OnReject == nil {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	s.OnReject(conn, why)
}

// restingHandlers bounds the goroutines that wait for the next connection: as
// many as one of a burst of clients may leave at once.
const restingHandlers = 64

// group is the connections of one Serve.
type group struct {
	s       *Server
	crew    Crew
	started sync.WaitGroup // connections of Start

	mu   sync.Mutex
	open map[net.Conn]context.CancelCauseFunc
}

func (g *group) run(ctx context.Context, conn net.Conn, release func()) {
	sctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	g.mu.Lock()
	g.open[conn] = cancel
	g.mu.Unlock()
	if g.s.Start != nil {
		g.start(sctx, conn, func() {
			g.forget(conn, cancel)
			release()
		})
		return
	}
	g.crew.Go(func() {
		defer release()
		defer g.forget(conn, cancel)
		defer g.s.recoverPanic(conn)
		g.s.Handler(sctx, conn)
	})
}

// start is run for a connection that may outlast its goroutine.
func (g *group) start(ctx context.Context, conn net.Conn, over func()) {
	g.started.Add(1)
	end := func() {
		over()
		g.started.Done()
	}
	g.crew.Go(func() {
		panicked := true
		defer func() {
			if panicked {
				end()
			}
		}()
		defer g.s.recoverPanic(conn)
		g.s.Start(ctx, conn, end)
		panicked = false
	})
}

func (g *group) forget(conn net.Conn, cancel context.CancelCauseFunc) {
	_ = conn.Close()
	cancel(nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, conn)
}

// recoverPanic keeps a fault in one session from ending all others.
func (s *Server) recoverPanic(conn net.Conn) {
	v := recover()
	if v == nil {
		return
	}
	s.panics.Add(1)
	s.logger().Error("panic while serving a connection; the connection is closed",
		slog.String(obs.KeyPeer, fmt.Sprint(conn.RemoteAddr())),
		slog.String(obs.KeyErr, fmt.Sprint(v)),
		slog.String("stack", string(debug.Stack())))
	if s.OnPanic != nil {
		s.OnPanic(conn)
	}
}

// drain tells all sessions to stop and waits, at most limit, then closes.
func (g *group) drain(limit time.Duration) {
	g.mu.Lock()
	for _, cancel := range g.open {
		cancel(ErrShutdown)
	}
	g.mu.Unlock()
	done := make(chan struct{})
	go func() {
		g.crew.Wait()
		g.started.Wait()
		close(done)
	}()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C:
	}
	g.mu.Lock()
	for conn := range g.open {
		_ = conn.Close()
	}
	g.mu.Unlock()
	<-done
}
