package netxtest

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestPort(t *testing.T) {
	addr := Port(t)
	for range 2 { // a server comes, goes and comes back
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Close(), l.Close()
	}
	for range 1000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().String() == addr {
			t.Fatal("the port was given away")
		}
		_ = l.Close()
	}
}
