package handover

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxIdle bounds the connections that wait for the next handover.
const maxIdle = 16

// Links hands clients over to session roles by name, and keeps the connections
// to them for the next handover: to open one costs both roles more than the
// handover itself. It is safe for concurrent use.
type Links struct {
	mu     sync.Mutex
	idle   []link // the one that was used last at the end
	closed bool
}

// link is a connection between two handovers.
type link struct {
	net.Conn
	path string
}

// Offer is Offer to the session role that listens at path. A connection that
// the session role has closed meanwhile, as when it was started afresh, is
// replaced.
func (l *Links) Offer(ctx context.Context, path string, f *Frame, stream syscall.Conn) (Answer, error) {
	for {
		conn, kept := l.take(path)
		if !kept {
			var err error
			if conn, err = dial(ctx, path); err != nil {
				return Answer{}, fail.Wrap(fail.Unavailable, err, "session role")
			}
		}
		a, fit, err := exchange(ctx, conn, f, stream)
		if fit {
			l.keep(link{conn, path})
		} else {
			_ = conn.Close()
		}
		switch {
		case err == nil:
			return a, a.refusal()
		case !kept || !gone(err):
			return Answer{}, err
		}
	}
}

// gone: nobody has answered, since there is nobody. Whoever is there now may
// be asked: the login can still be redeemed once only.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// Close closes the connections that are kept, and keeps no more.
func (l *Links) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, k := range l.idle {
		_ = k.Close()
	}
	l.idle = nil
}

func (l *Links) take(path string) (net.Conn, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.idle) - 1; i >= 0; i-- {
		if k := l.idle[i]; k.path == path {
			l.idle = append(l.idle[:i], l.idle[i+1:]...)
			return k.Conn, true
		}
	}
	return nil, false
}

// keep makes room for k by closing what was used longest ago.
func (l *Links) keep(k link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = k.Close()
		return
	}
	if len(l.idle) == maxIdle {
		_ = l.idle[0].Close()
		l.idle = append(l.idle[:0], l.idle[1:]...)
	}
	l.idle = append(l.idle, k)
}

// dial connects, waiting a little while the backlog is full: Unix sockets
// refuse then instead of queueing.
func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for pause := time.Millisecond; ; pause *= 2 {
		conn, err := d.DialContext(ctx, "unixpacket", path)
		if err == nil || !errors.Is(err, syscall.EAGAIN) || pause > time.Second {
			return conn, err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, err
		case <-t.C:
		}
	}
}
