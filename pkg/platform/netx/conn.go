package netx

import (
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Unread returns a connection whose Read yields buffered before anything
// else. It keeps buffered.
func Unread(conn net.Conn, buffered []byte) net.Conn {
	if len(buffered) == 0 {
		return conn
	}
	return &unread{Conn: conn, rest: buffered}
}

type unread struct {
	net.Conn
	rest []byte
}

func (u *unread) NetConn() net.Conn { return u.Conn }

// Buffered is the number of bytes that Read yields without asking the peer.
func (u *unread) Buffered() int { return len(u.rest) }

func (u *unread) Read(p []byte) (int, error) {
	if len(u.rest) == 0 {
		return u.Conn.Read(p)
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	if len(u.rest) == 0 {
		u.rest = nil
	}
	return n, nil
}

// CloseWrite half-closes, where the connection can.
func (u *unread) CloseWrite() error { return CloseWrite(u.Conn) }

// CloseWrite tells the peer that no more will come, if conn knows how.
func CloseWrite(conn net.Conn) error {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// WithTimeouts returns a connection whose every Read and every Write gets its
// own deadline; 0 is none. It is for protocols without phases of their own.
func WithTimeouts(conn net.Conn, read, write time.Duration) net.Conn {
	return &timed{Conn: conn, read: read, write: write}
}

type timed struct {
	net.Conn
	read, write time.Duration
}

func (t *timed) NetConn() net.Conn { return t.Conn }

func (t *timed) Read(p []byte) (int, error) {
	if err := t.Conn.SetReadDeadline(Deadline(t.read)); err != nil {
		return 0, err
	}
	return t.Conn.Read(p)
}

func (t *timed) Write(p []byte) (int, error) {
	if err := t.Conn.SetWriteDeadline(Deadline(t.write)); err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

// CloseWrite half-closes, where the connection can.
func (t *timed) CloseWrite() error { return CloseWrite(t.Conn) }

// Deadline is the moment after d from now; no deadline when d is 0.
func Deadline(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// SocketPair returns the two ends of a stream: one as a connection, one as a
// file to hand to another process.
func SocketPair() (local *net.UnixConn, remote *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	remote = os.NewFile(uintptr(fds[1]), "session")
	f := os.NewFile(uintptr(fds[0]), "pump")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		_ = remote.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), remote, nil
}
