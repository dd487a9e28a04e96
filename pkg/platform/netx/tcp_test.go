package netx

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/conf"
)

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
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() || !ne.Temporary() || !errors.Is(err, os.ErrDeadlineExceeded) {
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
