package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// errDrain: the server is stopping and the session is idle.
var errDrain = fail.New(fail.Unavailable, "the server is stopping")

// input is the connection as a source of octets, with its time limits. A
// deadline is for a whole command line, or for content at a minimum rate. It
// is moved only when it has drifted by a noticeable part, because moving it
// costs as much as parsing a command.
type input struct {
	ctx  context.Context
	conn net.Conn
	raw  syscall.RawConn // of a plain connection
	lazy *netx.Lazy      // below a TLS connection

	armed   time.Time     // the deadline the connection has
	timeout time.Duration // of this phase
	rate    int64         // octets per second; 0: the phase has a fixed deadline
	due     time.Time     // in content: when the budget ends; zero in commands
	idle    bool          // no transaction: stopping may interrupt

	// state of one tryRead, kept here so that it needs no closure
	bufs *wire.Buffers
	buf  *[]byte
	n    int
	err  error
	try  func(fd uintptr) bool
}

func (in *input) open(ctx context.Context, conn net.Conn) {
	in.ctx, in.conn = ctx, conn
	in.try = in.tryRead
	if sc, ok := conn.(syscall.Conn); ok {
		in.raw, _ = sc.SyscallConn()
	}
}

// secure continues on a TLS connection above lazy, which may be nil.
func (in *input) secure(conn net.Conn, lazy *netx.Lazy) {
	in.conn, in.raw, in.lazy = conn, nil, lazy
	in.armed = time.Time{}
}

// command begins the wait for one command line.
func (in *input) command(timeout time.Duration, idle bool) {
	in.timeout, in.rate, in.idle, in.due = timeout, 0, idle, time.Time{}
	in.arm(time.Now().Add(timeout))
}

// content begins the wait for message content.
func (in *input) content(timeout time.Duration, rate int64) {
	in.timeout, in.rate, in.idle = timeout, rate, false
	in.due = time.Now().Add(timeout)
	in.arm(in.due)
}

func (in *input) arm(t time.Time) {
	drift := t.Sub(in.armed)
	if drift < 0 || drift > in.timeout/16 {
		in.force(t)
	}
}

func (in *input) force(t time.Time) {
	in.armed = t
	_ = in.conn.SetReadDeadline(t) // fails only on a closed connection, as the read will
}

// earned moves the deadline by what n octets are worth at the minimum rate.
func (in *input) earned(n int) {
	if in.due.IsZero() {
		return
	}
	latest := time.Now().Add(in.timeout)
	if in.rate > 0 {
		in.due = in.due.Add(time.Duration(n) * time.Second / time.Duration(in.rate))
	}
	if in.rate <= 0 || in.due.After(latest) {
		in.due = latest
	}
	in.arm(in.due)
}

// woken reports whether err only means that the server is stopping: the
// deadline was moved from outside (see engine.stopWatch), and a transaction
// goes on.
func (in *input) woken(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || in.ctx.Err() == nil || !time.Now().Before(in.armed) {
		return false
	}
	if in.idle {
		return false
	}
	in.force(in.armed)
	return true
}

func (in *input) failure(err error) error {
	if err != nil && in.idle && in.ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return errDrain
	}
	return err
}

// Read implements io.Reader.
func (in *input) Read(p []byte) (int, error) {
	for {
		n, err := in.conn.Read(p)
		if n > 0 {
			in.earned(n)
			return n, nil
		}
		if !in.woken(err) {
			return 0, in.failure(err)
		}
	}
}

// ReadIdle implements wire.IdleReader: it holds no buffer while it waits.
func (in *input) ReadIdle(bufs *wire.Buffers) (*[]byte, int, error) {
	in.bufs = bufs
	for {
		in.readOnce()
		buf, n, err := in.buf, in.n, in.err
		in.buf = nil
		if n > 0 {
			in.earned(n)
			return buf, n, nil
		}
		if buf != nil {
			bufs.Put(buf)
		}
		if !in.woken(err) {
			return nil, 0, in.failure(err)
		}
	}
}

func (in *input) readOnce() {
	in.n, in.err = 0, nil
	switch {
	case in.raw != nil:
		if err := in.raw.Read(in.try); err != nil {
			in.err = err
		}
	case in.lazy != nil:
		in.lazyRead()
	default:
		in.buf = in.bufs.Get()
		in.n, in.err = in.conn.Read(*in.buf)
	}
}

// ready reports whether something has come already that nobody has read, on a
// plain connection.
func (in *input) ready() (yes bool) {
	if in.raw == nil {
		return false
	}
	_ = in.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		yes = n > 0 && err == nil
	})
	return yes
}

// tryRead is called by the runtime when the descriptor may be readable; false
// makes it wait for the next time.
func (in *input) tryRead(fd uintptr) bool {
	in.buf = in.bufs.Get()
	for {
		n, err := unix.Read(int(fd), *in.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			in.bufs.Put(in.buf)
			in.buf = nil
			return false
		case err != nil:
			in.err = os.NewSyscallError("read", err)
		case n == 0:
			in.err = io.EOF
		default:
			in.n = n
		}
		return true
	}
}

// lazyRead reads from TLS what has arrived, and waits without a buffer when
// that is not a whole record.
func (in *input) lazyRead() {
	for {
		in.buf = in.bufs.Get()
		in.lazy.SetLazy(true)
		in.n, in.err = in.conn.Read(*in.buf)
		in.lazy.SetLazy(false)
		if in.n > 0 || !errors.Is(in.err, netx.ErrWouldBlock) {
			return
		}
		in.bufs.Put(in.buf)
		in.buf = nil
		if in.err = in.lazy.Wait(); in.err != nil {
			return
		}
	}
}
