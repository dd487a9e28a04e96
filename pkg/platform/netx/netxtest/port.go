package netxtest

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Port reserves a TCP port of 127.0.0.1 until the test ends and returns the
// address. Connections are refused, and the kernel gives the port to nobody
// who asks for any, while a server of the test may listen there, go away and
// come back. Without that another process can have the port meanwhile.
func Port(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	// Go sets the same on its listeners: both may be bound as long as at most
	// one listens.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := name.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)).String()
}
