package netx

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Cred is who was on the other end of a Unix socket when it connected. The
// PID is for logs: it may be another process by now.
type Cred struct {
	UID, GID uint32
	PID      int32
}

// Peer returns the credentials of the peer of a Unix socket, also through
// wrappers that have a NetConn method.
func Peer(conn net.Conn) (Cred, error) {
	uc, ok := Base(conn).(*net.UnixConn)
	if !ok {
		return Cred{}, fail.New(fail.Invalid, "peer %v: not a unix socket", conn.RemoteAddr())
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return Cred{}, err
	}
	var u *unix.Ucred
	var uerr error
	if err := raw.Control(func(fd uintptr) {
		u, uerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return Cred{}, err
	}
	if uerr != nil {
		return Cred{}, os.NewSyscallError("getsockopt SO_PEERCRED", uerr)
	}
	return Cred{UID: u.Uid, GID: u.Gid, PID: u.Pid}, nil
}

// Base unwraps conn down to the operating system's connection.
func Base(conn net.Conn) net.Conn {
	for {
		w, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = w.NetConn()
	}
}

// Among reports whether an address is in one of the networks. An IPv4 address
// inside IPv6 counts as the IPv4 address, a zone does not count; an invalid
// address is in none.
func Among(networks []netip.Prefix, ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return ip.IsValid() && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// AddrPort returns a TCP or UDP address, IPv4-mapped addresses as IPv4; the
// zero value for others, such as Unix sockets.
func AddrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	default:
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Site is the unit in which peers are counted: an IPv4 address, or the /64
// of an IPv6 address, which is the least that one customer gets.
func Site(a netip.Addr) netip.Prefix { return Block(a, 32, 64) }

// Block is the network of v4 or v6 bits that a is in, its zone left out; the
// zero Prefix for what is no address, or has not so many bits.
func Block(a netip.Addr, v4, v6 int) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := v4
	if a.Is6() {
		bits = v6
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// syscallConn is the raw connection behind conn.
func syscallConn(conn net.Conn) (syscall.RawConn, error) {
	sc, ok := Base(conn).(syscall.Conn)
	if !ok {
		return nil, fail.New(fail.Invalid, "%T has no descriptor", conn)
	}
	return sc.SyscallConn()
}
