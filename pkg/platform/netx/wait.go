package netx

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// WaitReadable returns when a Read on conn would not wait: bytes, end of
// file, or an error are there. It holds no buffer, so that thousands of idle
// sessions cost nothing but their stacks. The read deadline and Close end it
// with the error that Read would give. It looks through wrappers at the
// operating system's connection; do not use it on a tls.Conn, which may have
// decrypted bytes of its own (see Lazy).
func WaitReadable(conn net.Conn) error {
	for c := conn; ; {
		if b, ok := c.(interface{ Buffered() int }); ok && b.Buffered() > 0 {
			return nil
		}
		w, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = w.NetConn()
	}
	raw, err := syscallConn(conn)
	if err != nil {
		return err
	}
	return waitReadable(raw)
}

// waitReadable asks poll(2) with no timeout inside the runtime's own wait:
// the callback is called again whenever the poller sees an edge.
func waitReadable(raw syscall.RawConn) error {
	var perr error
	err := raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(p, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			perr = err
			return err != nil || n > 0
		}
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("poll", perr)
}

// ErrWouldBlock is what a Lazy connection's Read returns instead of waiting.
// It is a temporary net.Error, which crypto/tls passes on without breaking
// the connection.
var ErrWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no bytes are there yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// Lazy is a connection whose Read can be told to return ErrWouldBlock rather
// than wait. Put below a tls.Conn it answers a question that crypto/tls does
// not: whether a Read can be served from what was received already. So a pump
// reads until ErrWouldBlock, gives its buffer back, and calls Wait.
type Lazy struct {
	net.Conn
	raw  syscall.RawConn
	lazy atomic.Bool
}

// NewLazy wraps a connection of the operating system; it waits until SetLazy.
func NewLazy(conn net.Conn) (*Lazy, error) {
	raw, err := syscallConn(conn)
	if err != nil {
		return nil, err
	}
	return &Lazy{Conn: conn, raw: raw}, nil
}

// NetConn returns the connection behind.
func (l *Lazy) NetConn() net.Conn { return l.Conn }

// SetLazy says whether Read returns ErrWouldBlock rather than wait.
func (l *Lazy) SetLazy(on bool) { l.lazy.Store(on) }

// Wait is WaitReadable.
func (l *Lazy) Wait() error { return waitReadable(l.raw) }

// CloseWrite half-closes, where the connection can.
func (l *Lazy) CloseWrite() error { return CloseWrite(l.Conn) }

func (l *Lazy) Read(p []byte) (int, error) {
	if !l.lazy.Load() || len(p) == 0 {
		return l.Conn.Read(p)
	}
	if b, ok := l.Conn.(interface{ Buffered() int }); ok && b.Buffered() > 0 {
		return l.Conn.Read(p)
	}
	ready := false
	var perr error
	err := l.raw.Control(func(fd uintptr) {
		f := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(f, 0)
		ready, perr = n > 0, err
	})
	switch {
	case err != nil:
		return 0, err
	case perr != nil && !errors.Is(perr, unix.EINTR):
		return 0, os.NewSyscallError("poll", perr)
	case !ready:
		return 0, ErrWouldBlock
	}
	return l.Conn.Read(p)
}
