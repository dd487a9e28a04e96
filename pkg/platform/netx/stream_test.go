package netx

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// received sends what through a frame and returns it as a connection.
func received(t *testing.T, what syscall.Conn) net.Conn {
	t.Helper()
	a, b := packetPair(t)
	if err := SendFrame(a, []byte("x"), what); err != nil {
		t.Fatal(err)
	}
	_, f, err := RecvFrame(b, make([]byte, 1))
	if err != nil {
		t.Fatal(err)
	}
	c, err := StreamConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestStreamConnKeepsOptions: the probes of a TCP connection come as often as
// the sender has chosen, not as package net would.
func TestStreamConnKeepsOptions(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial(t, l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 5 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	raw, err := syscallConn(received(t, conn.(*net.TCPConn)))
	if err != nil {
		t.Fatal(err)
	}
	var idle int
	_ = raw.Control(func(fd uintptr) { idle, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE) })
	if err != nil || idle != 300 {
		t.Errorf("a probe after %d s, not 300, %v", idle, err)
	}
}

// TestStreamConnDoesNotBlock: a descriptor that was sent blocking cannot tie up
// a thread.
func TestStreamConnDoesNotBlock(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	far := os.NewFile(uintptr(fds[0]), "blocking")
	near := os.NewFile(uintptr(fds[1]), "blocking")
	defer near.Close()
	c := received(t, far)
	_ = far.Close()
	_ = c.SetReadDeadline(Deadline(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read from a silent peer: %v", err)
	}
	if err := CloseWrite(c); err != nil {
		t.Error(err)
	}
	if _, err := near.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after CloseWrite: %v", err)
	}
	if _, err := near.Write([]byte("y")); err != nil {
		t.Errorf("CloseWrite has closed both directions: %v", err)
	}
}
