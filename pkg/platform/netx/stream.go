package netx

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// StreamConn turns a descriptor that RecvFrame has received into a connection,
// which owns f. It refuses what is not a connected stream socket (kind
// Invalid), and closes f then.
//
// The connection has no addresses: whoever sent it knows them. Unlike
// net.FileConn it takes no second descriptor, and leaves the socket's options
// as the sender has set them.
func StreamConn(f *os.File) (net.Conn, error) {
	if err := checkStream(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return stream{f}, nil
}

func checkStream(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var typ, listening int
	var serr error
	if err := raw.Control(func(fd uintptr) {
		if typ, serr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE); serr == nil {
			listening, serr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		}
	}); err != nil {
		return err
	}
	if serr != nil || typ != unix.SOCK_STREAM || listening != 0 {
		return fail.New(fail.Invalid, "the descriptor is not a connected stream socket")
	}
	return f.SetDeadline(time.Time{}) // an error where the runtime cannot wait for it
}

// stream is a socket in the hands of package os. It shows no more of the file
// than a connection has.
type stream struct{ f *os.File }

func (s stream) Read(p []byte) (int, error) {
	n, err := s.f.Read(p)
	return n, ofNet("read", err)
}

func (s stream) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	return n, ofNet("write", err)
}

// ofNet is an error as package net has it: a TLS connection goes on after a
// deadline only when it is told by a net.Error.
func ofNet(op string, err error) error {
	var path *os.PathError
	if !errors.As(err, &path) {
		return err
	}
	if err = path.Err; errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Err: err}
}

func (s stream) Close() error                          { return s.f.Close() }
func (s stream) SetDeadline(t time.Time) error         { return s.f.SetDeadline(t) }
func (s stream) SetReadDeadline(t time.Time) error     { return s.f.SetReadDeadline(t) }
func (s stream) SetWriteDeadline(t time.Time) error    { return s.f.SetWriteDeadline(t) }
func (s stream) SyscallConn() (syscall.RawConn, error) { return s.f.SyscallConn() }
func (s stream) LocalAddr() net.Addr                   { return &net.UnixAddr{Net: "unix"} }
func (s stream) RemoteAddr() net.Addr                  { return &net.UnixAddr{Net: "unix"} }

// CloseWrite half-closes.
func (s stream) CloseWrite() error {
	raw, err := s.f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) { serr = unix.Shutdown(int(fd), unix.SHUT_WR) })
	if err == nil {
		err = os.NewSyscallError("shutdown", serr)
	}
	return err
}

// tcpListener accepts TCP connections that inherit their options from it, as
// Linux has it. Package net sets five options on each connection, which takes
// longer than to accept it.
type tcpListener struct {
	f    *os.File
	raw  syscall.RawConn
	addr net.Addr
}

// inheriting takes the place of l, if it is of TCP and can hand its options down;
// a socket of multipath TCP, as an operator may make one, might not.
func inheriting(l net.Listener) net.Listener {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return l
	}
	f, err := tcp.File()
	if err != nil {
		return l
	}
	own := &tcpListener{f: f, addr: tcp.Addr()}
	if err := own.prepare(); err != nil {
		_ = f.Close()
		return l
	}
	_ = tcp.Close()
	return own
}

// prepare chooses the options that package net would.
func (l *tcpListener) prepare() (err error) {
	if l.raw, err = l.f.SyscallConn(); err != nil {
		return err
	}
	if err := l.f.SetDeadline(time.Time{}); err != nil { // the runtime cannot wait for it
		return err
	}
	return errors.Join(l.set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), l.keepAlive(15*time.Second, 15*time.Second, 9))
}

// KeepAlive has connections that l accepts from now on probed after so much
// silence, at such intervals, and given up after count probes without an
// answer. It does nothing to a Unix socket.
func KeepAlive(l net.Listener, idle, interval time.Duration, count int) error {
	switch l := l.(type) {
	case *tcpListener:
		return l.keepAlive(idle, interval, count)
	case *Listener:
		return KeepAlive(l.Listener, idle, interval, count)
	case *many:
		for _, one := range l.all {
			if err := KeepAlive(one, idle, interval, count); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *tcpListener) keepAlive(idle, interval time.Duration, count int) error {
	return errors.Join(
		l.set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
		l.set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(idle/time.Second)),
		l.set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(interval/time.Second)),
		l.set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, count),
	)
}

func (l *tcpListener) set(level, option, value int) error {
	var serr error
	err := l.raw.Control(func(fd uintptr) { serr = unix.SetsockoptInt(int(fd), level, option, value) })
	if err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", serr)
}

// Accept waits for a connection.
func (l *tcpListener) Accept() (net.Conn, error) {
	var fd int
	var peer syscall.Sockaddr // package unix asks the socket for its protocol each time
	var aerr error
	err := l.raw.Read(func(lfd uintptr) bool {
		for {
			fd, peer, aerr = syscall.Accept4(int(lfd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if !errors.Is(aerr, unix.EINTR) {
				return !errors.Is(aerr, unix.EAGAIN)
			}
		}
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, err
	case err != nil:
		return nil, net.ErrClosed
	case aerr != nil:
		return nil, os.NewSyscallError("accept4", aerr)
	}
	return &tcpConn{stream{os.NewFile(uintptr(fd), "tcp")}, tcpAddr(peer)}, nil
}

func (l *tcpListener) Close() error                  { return l.f.Close() }
func (l *tcpListener) Addr() net.Addr                { return l.addr }
func (l *tcpListener) SetDeadline(t time.Time) error { return l.f.SetDeadline(t) }

// tcpConn is a connection that was accepted.
type tcpConn struct {
	stream
	remote net.Addr
}

func (c *tcpConn) RemoteAddr() net.Addr { return c.remote }

func (c *tcpConn) LocalAddr() net.Addr {
	var own syscall.Sockaddr
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { own, _ = syscall.Getsockname(int(fd)) })
	}
	return tcpAddr(own)
}

// tcpAddr is an address of no meaning where sa is none of TCP.
func tcpAddr(sa syscall.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *syscall.SockaddrInet6:
		zone := ""
		if sa.ZoneId != 0 {
			zone = strconv.FormatUint(uint64(sa.ZoneId), 10)
		}
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port, Zone: zone}
	}
	return &net.TCPAddr{}
}
