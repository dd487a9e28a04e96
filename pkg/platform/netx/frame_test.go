package netx

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// packetPair is two connected unixpacket connections.
func packetPair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn := func(fd int) *net.UnixConn {
		f := os.NewFile(uintptr(fd), "pair")
		defer f.Close()
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c.(*net.UnixConn)
	}
	return conn(fds[0]), conn(fds[1])
}

func openFDs(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	return len(d)
}

func tempFile(t *testing.T, text string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestFrameCarriesOneDescriptor(t *testing.T) {
	a, b := packetPair(t)
	if err := SendFrame(a, []byte("frame"), tempFile(t, "content")); err != nil {
		t.Fatal(err)
	}
	frame, f, err := RecvFrame(b, make([]byte, 5))
	if err != nil || string(frame) != "frame" {
		t.Fatalf("%q %v", frame, err)
	}
	defer f.Close()
	if data, _ := io.ReadAll(f); string(data) != "content" {
		t.Fatalf("%q", data)
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Fatal("the descriptor would survive an exec")
	}
	_ = a.Close()
	if _, _, err := RecvFrame(b, make([]byte, 5)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// TestBadFramesLeakNothing: whatever a peer sends, no descriptor stays open.
func TestBadFramesLeakNothing(t *testing.T) {
	file := tempFile(t, "x")
	fd := int(file.Fd())
	many := func(n int) []byte {
		fds := make([]int, n)
		for i := range fds {
			fds[i] = fd
		}
		return unix.UnixRights(fds...)
	}
	cases := []struct {
		name string
		data string
		oob  []byte
		recv func(net.Conn) error
		want fail.Kind
	}{
		{"frame too long", "123456", many(1), frameOf(5), fail.Invalid},
		{"no descriptor", "12345", nil, frameOf(5), fail.Invalid},
		{"two descriptors", "12345", many(2), frameOf(5), fail.Invalid},
		{"sixteen descriptors", "12345", many(oobFDs), frameOf(5), fail.Invalid},
		{"more than the control buffer holds", "12345", many(oobFDs + 9), frameOf(5), fail.Invalid},
		{"two control messages", "12345", append(many(1), many(1)...), frameOf(5), fail.Invalid},
		{"descriptor with a plain packet", "12345", many(1), packetOf(5), fail.Invalid},
		{"plain packet too long", "123456", nil, packetOf(5), fail.Invalid},
	}
	for _, c := range cases {
		a, b := packetPair(t)
		before := openFDs(t)
		if _, _, err := a.WriteMsgUnix([]byte(c.data), c.oob, nil); err != nil {
			t.Fatal(c.name, err)
		}
		if err := c.recv(b); err == nil || fail.KindOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
		if after := openFDs(t); after > before { // fewer when the collector has closed what an earlier test left
			t.Errorf("%s: %d descriptors before, %d after", c.name, before, after)
		}
	}
}

func frameOf(limit int) func(net.Conn) error {
	return func(c net.Conn) error {
		_, f, err := RecvFrame(c, make([]byte, limit))
		if err == nil {
			_ = f.Close()
		}
		return err
	}
}

func packetOf(limit int) func(net.Conn) error {
	return func(c net.Conn) error { _, err := RecvPacket(c, make([]byte, limit)); return err }
}

func TestPacket(t *testing.T) {
	a, b := packetPair(t)
	_, _ = a.Write([]byte("hint"))
	if got, err := RecvPacket(b, make([]byte, 10)); err != nil || string(got) != "hint" {
		t.Fatalf("%q %v", got, err)
	}
}

func TestFramesNeedUnixSockets(t *testing.T) {
	c, _ := net.Pipe()
	if err := SendFrame(c, nil, tempFile(t, "")); fail.KindOf(err) != fail.Invalid {
		t.Error(err)
	}
	if _, err := RecvPacket(c, make([]byte, 1)); fail.KindOf(err) != fail.Invalid {
		t.Error(err)
	}
	if _, err := Peer(c); fail.KindOf(err) != fail.Invalid {
		t.Error(err)
	}
	if err := WaitReadable(c); fail.KindOf(err) != fail.Invalid {
		t.Error(err)
	}
	if _, err := NewLazy(c); fail.KindOf(err) != fail.Invalid {
		t.Error(err)
	}
}

func TestStreamConnRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	uf, err := udp.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*os.File{
		"a file": tempFile(t, ""), "a listener": listenerFile(t, l), "a datagram socket": uf,
	} {
		c, err := StreamConn(f)
		if fail.KindOf(err) != fail.Invalid {
			t.Errorf("%s: %v, %v", name, c, err)
		}
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s was left open", name)
		}
	}
}

// TestSentConnectionWorks: a TCP connection goes through a frame, and both
// copies keep their deadlines, which a descriptor made blocking would lose.
func TestSentConnectionWorks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := dial(t, l.Addr().String())
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a, b := packetPair(t)
	if err := SendFrame(a, []byte("x"), server.(syscall.Conn)); err != nil {
		t.Fatal(err)
	}
	_, f, err := RecvFrame(b, make([]byte, 1))
	if err != nil {
		t.Fatal(err)
	}
	moved, err := StreamConn(f)
	if err != nil {
		t.Fatal(err)
	}
	defer moved.Close()
	_ = server.Close()
	_, _ = io.WriteString(moved, "from the new owner")
	if got := hello(t, client); !strings.HasSuffix(got, "new owner") {
		t.Fatal(got)
	}
	_ = moved.SetReadDeadline(Deadline(1))
	var ne net.Error
	if _, err := moved.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatal(err)
	}
}

// FuzzParseRights: control data is the kernel's, but its parser must not
// trust lengths either.
func FuzzParseRights(f *testing.F) {
	f.Add(unix.UnixRights(1000001))
	f.Add(append(unix.UnixRights(1000001), unix.UnixRights(1000002, 1000003)...))
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, oob []byte) {
		fds, err := parseRights(oob)
		if err == nil && len(fds) > len(oob)/4 {
			t.Fatal("more descriptors than bytes for them")
		}
	})
}
