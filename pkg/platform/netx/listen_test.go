package netx

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func unixSpec(t *testing.T) (conf.Listen, string) {
	path := filepath.Join(t.TempDir(), "s")
	return conf.Listen{Address: "unix:" + path}, path
}

func mustOpen(t *testing.T, spec conf.Listen, in *Inherited) net.Listener {
	t.Helper()
	l, err := Open(spec, in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// connects sees that somebody accepts.
func connects(t *testing.T, l net.Listener, network, addr string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Write([]byte("hi"))
			_ = c.Close()
		}
		done <- err
	}()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 2)
	if _, err := c.Read(buf); err != nil || string(buf) != "hi" {
		t.Fatalf("%q %v", buf, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestOpenTCP(t *testing.T) {
	l := mustOpen(t, conf.Listen{Address: "127.0.0.1:0"}, nil)
	connects(t, l, "tcp", l.Addr().String())
	for _, bad := range []conf.Listen{
		{},
		{Address: "nonsense"},
		{Address: "127.0.0.1:0", Mode: 0o600},
		{Address: l.Addr().String()},
		{Address: "systemd:imap"},
		{Address: "unix:/tmp/x", Allow: []string{"no-such-user-here"}},
		{Address: "unix:/tmp/x", Group: "no-such-group-here"},
	} {
		if l, err := Open(bad, nil); err == nil {
			_ = l.Close()
			t.Errorf("%+v was opened", bad)
		}
	}
	if _, err := OpenPacket(conf.Listen{Address: "127.0.0.1:0"}, nil); fail.KindOf(err) != fail.Invalid {
		t.Error(err)
	}
}

func TestUnixModeAndGroup(t *testing.T) {
	for _, umask := range []int{0, 0o077} {
		spec, path := unixSpec(t)
		spec.Mode = 0o660
		spec.Group = strconv.Itoa(os.Getgid())
		old := unix.Umask(umask)
		l := mustOpen(t, spec, nil)
		unix.Umask(old)
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm() != 0o660 || info.Mode().Type() != fs.ModeSocket {
			t.Fatalf("umask %o: %v %v", umask, info.Mode(), err)
		}
		connects(t, l, "unix", path)
	}
	spec, path := unixSpec(t)
	mustOpen(t, spec, nil)
	if info, _ := os.Lstat(path); info.Mode().Perm() != 0o600 {
		t.Fatalf("without a mode: %v", info.Mode())
	}
}

func TestStaleSocketFiles(t *testing.T) {
	spec, path := unixSpec(t)

	// A socket file whose listener is gone.
	leaveStale := func(typ int) {
		fd, err := unix.Socket(unix.AF_UNIX, typ, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd)
	}
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		leaveStale(typ)
		l, err := Open(spec, nil)
		if err != nil {
			t.Fatalf("stale socket of type %d: %v", typ, err)
		}
		connects(t, l, "unix", path)
		_ = l.Close()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal("the socket file stays after Close")
		}
	}

	live := mustOpen(t, spec, nil)
	if _, err := Open(spec, nil); fail.KindOf(err) != fail.Exists {
		t.Fatalf("a live socket was taken: %v", err)
	}
	if _, err := OpenPacket(spec, nil); fail.KindOf(err) != fail.Exists {
		t.Fatalf("a live socket of another type was taken: %v", err)
	}
	_ = live.Close()

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(spec, nil); fail.KindOf(err) != fail.Exists {
		t.Fatalf("a file that is no socket: %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Fatal("it was destroyed")
	}
}

func TestCloseLeavesForeignSocket(t *testing.T) {
	spec, path := unixSpec(t)
	first := mustOpen(t, spec, nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, spec, nil)
	_ = first.Close()
	connects(t, second, "unix", path)
}

func TestAllow(t *testing.T) {
	spec, path := unixSpec(t)
	spec.Allow = []string{strconv.Itoa(os.Getuid())}
	connects(t, mustOpen(t, spec, nil), "unix", path)

	spec, path = unixSpec(t)
	spec.Allow = []string{strconv.Itoa(os.Getuid() + 1)}
	l := mustOpen(t, spec, nil)
	denied := make(chan Cred, 1)
	l.(*Listener).OnDenied(func(_ net.Conn, who Cred) { denied <- who })
	go func() { _, _ = l.Accept() }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatalf("read %d bytes", n)
	}
	if who := <-denied; who.UID != uint32(os.Getuid()) || who.PID != int32(os.Getpid()) {
		t.Fatalf("%+v", who)
	}
}

func TestAllowNetworks(t *testing.T) {
	spec := conf.Listen{Address: "127.0.0.1:0", AllowNetworks: []conf.Network{conf.MustNetwork("127.0.0.0/8")}}
	l := mustOpen(t, spec, nil)
	connects(t, l, "tcp", l.Addr().String())

	spec.AllowNetworks = []conf.Network{conf.MustNetwork("192.0.2.0/24"), conf.MustNetwork("::/0")}
	l = mustOpen(t, spec, nil)
	denied := make(chan net.Conn, 1)
	l.(*Listener).OnDenied(func(conn net.Conn, _ Cred) { denied <- conn })
	go func() { _, _ = l.Accept() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatalf("read %d bytes", n)
	}
	<-denied
}

func listenerFile(t *testing.T, l net.Listener) *os.File {
	t.Helper()
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestInherited(t *testing.T) {
	var files []*os.File
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, listenerFile(t, l))
		addrs = append(addrs, l.Addr().String())
		_ = l.Close()
	}
	packetPath := filepath.Join(t.TempDir(), "p")
	packet, err := net.Listen("unixpacket", packetPath)
	if err != nil {
		t.Fatal(err)
	}
	defer packet.Close()
	files = append(files, listenerFile(t, packet), listenerFile(t, packet))
	in := NewInherited(files, []string{"smtp", "smtp", "session"})

	two := mustOpen(t, conf.Listen{Address: "systemd:smtp"}, in)
	for _, a := range append(addrs, addrs...) {
		connects(t, two, "tcp", a)
	}
	if _, err := Open(conf.Listen{Address: "systemd:smtp"}, in); fail.KindOf(err) != fail.NotFound {
		t.Fatalf("the same descriptors twice: %v", err)
	}
	p, err := OpenPacket(conf.Listen{Address: "systemd:session"}, in)
	if err != nil {
		t.Fatal(err)
	}
	connects(t, p, "unixpacket", packetPath)
	_ = p.Close()
	if _, err := os.Lstat(packetPath); err != nil {
		t.Fatal("an inherited socket file was removed")
	}
	if got := in.Names(); len(got) != 1 || got[0] != "unknown" {
		t.Fatal(got)
	}
	if _, err := Open(conf.Listen{Address: "systemd:unknown"}, in); fail.KindOf(err) != fail.Invalid {
		t.Fatalf("a packet socket as a stream: %v", err)
	}
}

func TestManyCloses(t *testing.T) {
	a, b := mustOpen(t, conf.Listen{Address: "127.0.0.1:0"}, nil), mustOpen(t, conf.Listen{Address: "127.0.0.1:0"}, nil)
	m := newMany([]net.Listener{a, b})
	ended := make(chan error)
	go func() { _, err := m.Accept(); ended <- err }()
	if m.Addr().String() != a.Addr().String() {
		t.Fatal(m.Addr())
	}
	_ = m.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c, err := d.DialContext(ctx, "tcp", b.Addr().String()); err == nil {
		_ = c.Close()
		t.Fatal("the second one still listens")
	}
}

func TestListenFDs(t *testing.T) {
	cases := []struct {
		pid, fds string
		n        int
		bad      bool
	}{
		{"", "", 0, false},
		{"42", "3", 3, false},
		{"43", "3", 0, false}, // for another process
		{"x", "3", 0, false},
		{"42", "-1", 0, true},
		{"42", "x", 0, true},
		{"42", "99999", 0, true},
	}
	for _, c := range cases {
		n, err := parseInherit(c.pid, c.fds, 42)
		if n != c.n || (err != nil) != c.bad {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
	}
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "2")
	t.Setenv("LISTEN_FDNAMES", "a:b")
	in, err := InheritedFDs()
	if err != nil || len(in.Names()) != 0 || os.Getenv("LISTEN_FDS") != "" {
		t.Fatal(in.Names(), err, os.Getenv("LISTEN_FDS"))
	}
}

func TestAmong(t *testing.T) {
	nets := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/10")}
	for ip, want := range map[string]bool{
		"192.0.2.9": true, "::ffff:192.0.2.9": true, "192.0.3.1": false, "fe80::1%eth0": true, "2001:db8::1": false,
	} {
		if got := Among(nets, netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %t", ip, got)
		}
	}
	if Among([]netip.Prefix{netip.MustParsePrefix("::/0"), netip.MustParsePrefix("0.0.0.0/0")}, netip.Addr{}) {
		t.Error("no address is in a network")
	}
}
