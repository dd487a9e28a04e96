package netx

import (
	"errors"
	"net"
	"os"
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
