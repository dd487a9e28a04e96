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

	"github.com/postcote/postcote/pkg/platform/conf"
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

func openTCP(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := Open(conf.Listen{Address: address}, nil)
	if err != nil {
		t.Skipf("%s: %v", address, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func option(t *testing.T, conn net.Conn, level, name int) int {
	t.Helper()
	raw, err := syscallConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	var value int
	if cerr := raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, name) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return value
}

// TestAcceptedOptions: connections have the options that package net would have
// set, or those of KeepAlive, which looks through what stands before listeners.
func TestAcceptedOptions(t *testing.T) {
	l := openTCP(t, "127.0.0.1:0")
	if _, own := l.(*tcpListener); !own {
		t.Fatalf("%T hands no options down", l)
	}
	check := func(idle, interval, count int) {
		t.Helper()
		dial(t, l.Addr().String())
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, o := range []struct {
			what        string
			level, name int
			want        int
		}{
			{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle},
			{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, interval},
			{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, count},
		} {
			if got := option(t, conn, o.level, o.name); got != o.want {
				t.Errorf("%s is %d, not %d", o.what, got, o.want)
			}
		}
	}
	check(15, 15, 9)
	if err := KeepAlive(&Listener{Listener: newMany([]net.Listener{l, openTCP(t, "127.0.0.1:0")})}, 5*time.Minute, 75*time.Second, 4); err != nil {
		t.Fatal(err)
	}
	check(300, 75, 4)
}

func TestAcceptedAddresses(t *testing.T) {
	for listen, host := range map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", ":0": "127.0.0.1"} {
		l := openTCP(t, listen)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		client := dial(t, net.JoinHostPort(host, port))
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := AddrPort(conn.RemoteAddr()), AddrPort(client.LocalAddr()); got != want {
			t.Errorf("%s: the peer is %v, not %v", listen, got, want)
		}
		if got, want := AddrPort(conn.LocalAddr()), AddrPort(client.RemoteAddr()); got != want {
			t.Errorf("%s: it came to %v, not %v", listen, got, want)
		}
		_ = conn.Close()
	}
}

// TestErrorsAreOfNet: crypto/tls gives a connection up after an error that is no
// temporary net.Error.
func TestErrorsAreOfNet(t *testing.T) {
	l := openTCP(t, "127.0.0.1:0")
	client := dial(t, l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Unix(1, 0))
	_, err = conn.Read(make([]byte, 1))
	if ne, ok := err.(interface{ Temporary() bool }); !ok || !ne.Temporary() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline that has passed: %v", err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	_, _ = client.Write([]byte("x"))
	if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Error(n, err)
	}
	_ = conn.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection that is closed: %v", err)
	}
	_ = l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener that is closed: %v", err)
	}
}
