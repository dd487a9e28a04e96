package handover

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
)

func sample() *Frame {
	return &Frame{
		Protocol: IMAP, Tag: "a1", Session: "DvVPC/JgDNF/AAAB",
		ClientPID: 20114, RequestID: 7, Cookie: "0123456789abcdef0123456789abcdef", Sealed: "AAsealed",
		Mechanism: "PLAIN", Secured: true, TLSVersion: "TLSv1.3", TLSCipher: "TLS_AES_128_GCM_SHA256",
		Peer:  netip.MustParseAddrPort("192.0.2.1:40000"),
		Local: netip.MustParseAddrPort("[2001:db8::1]:993"), Buffered: []byte("a2 SELECT INBOX\r\n"),
	}
}

func TestFrameRoundTrip(t *testing.T) {
	for _, f := range []*Frame{
		sample(),
		{Protocol: POP3},
		{
			Protocol: IMAP, Tag: strings.Repeat("t", MaxTag), Session: strings.Repeat("s", MaxSession), Cookie: strings.Repeat("c", MaxCookie), Sealed: strings.Repeat("s", MaxSealed),
			Mechanism: strings.Repeat("M", MaxMechanism), TLSVersion: strings.Repeat("v", MaxTLS), TLSCipher: strings.Repeat("x", MaxTLS),
			Peer: netip.MustParseAddrPort("[::1]:1"), Local: netip.MustParseAddrPort("[::1]:2"), Buffered: bytes.Repeat([]byte{0}, MaxBuffered),
		},
	} {
		packet, err := f.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(packet) > MaxFrame {
			t.Fatalf("%d bytes, more than MaxFrame", len(packet))
		}
		got, err := Parse(packet)
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Fatalf("%+v, %v", got, err)
		}
		for n := range min(len(packet), 300) {
			if _, err := Parse(packet[:n]); fail.KindOf(err) != fail.Invalid {
				t.Fatalf("cut at %d of %d: %v", n, len(packet), err)
			}
		}
	}
}

// TestBytes holds the format still: a change of these bytes needs a new
// version number.
func TestBytes(t *testing.T) {
	packet, err := sample().Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "020101" + "00004e92" + "00000007" +
		"0020" + hex.EncodeToString([]byte("0123456789abcdef0123456789abcdef")) +
		"0008" + hex.EncodeToString([]byte("AAsealed")) +
		"0002" + "6131" + "0010" + hex.EncodeToString([]byte("DvVPC/JgDNF/AAAB")) +
		"0005" + hex.EncodeToString([]byte("PLAIN")) + "0007" + hex.EncodeToString([]byte("TLSv1.3")) +
		"0016" + hex.EncodeToString([]byte("TLS_AES_128_GCM_SHA256")) +
		"04c00002019c40" + "1020010db8000000000000000000000001" + "03e1" +
		"0011" + hex.EncodeToString([]byte("a2 SELECT INBOX\r\n"))
	if got := hex.EncodeToString(packet); got != want {
		t.Fatalf("%s\n%s", got, want)
	}
}

func TestBadFrames(t *testing.T) {
	for what, change := range map[string]func(*Frame){
		"protocol":       func(f *Frame) { f.Protocol = 9 },
		"long tag":       func(f *Frame) { f.Tag = strings.Repeat("t", MaxTag+1) },
		"line in tag":    func(f *Frame) { f.Tag = "a\r\nb" },
		"8 bit session":  func(f *Frame) { f.Session = "\xff" },
		"long buffer":    func(f *Frame) { f.Buffered = make([]byte, MaxBuffered+1) },
		"mapped address": func(f *Frame) { f.Peer = netip.MustParseAddrPort("[::ffff:192.0.2.1]:1") },
		"zone":           func(f *Frame) { f.Local = netip.MustParseAddrPort("[fe80::1%eth0]:1") },
		"port only":      func(f *Frame) { f.Local = netip.AddrPortFrom(netip.Addr{}, 25) },
	} {
		f := sample()
		change(f)
		if _, err := f.Append(nil); fail.KindOf(err) != fail.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	good, _ := sample().Append(nil)
	for what, change := range map[string]func([]byte) []byte{
		"other version": func(b []byte) []byte { b[0]++; return b },
		"unknown flag":  func(b []byte) []byte { b[2] |= 0x80; return b },
		"one byte more": func(b []byte) []byte { return append(b, 0) },
		"odd address":   func(b []byte) []byte { return bytes.Replace(b, []byte{4, 192, 0, 2, 1}, []byte{3, 192, 0, 2, 1}, 1) },
		"mapped address": func(b []byte) []byte {
			return bytes.Replace(b, netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("::ffff:1.2.3.4").AsSlice(), 1)
		},
		"empty": func([]byte) []byte { return nil },
	} {
		if _, err := Parse(change(bytes.Clone(good))); fail.KindOf(err) != fail.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	packet, _ := sample().Append(nil)
	f.Add(packet)
	packet, _ = (&Frame{Protocol: POP3}).Append(nil)
	f.Add(packet)
	packet, _ = Answer{Taken: true, PID: 7}.Append(nil)
	f.Add(packet)
	f.Fuzz(func(t *testing.T, packet []byte) {
		if fr, err := Parse(packet); err == nil {
			if again, err := fr.Append(nil); err != nil || !bytes.Equal(again, packet) {
				t.Fatalf("two encodings of one frame: %x, %x, %v", packet, again, err)
			}
		}
		if a, err := ParseAnswer(packet); err == nil {
			if again, err := a.Append(nil); err != nil || !bytes.Equal(again, packet) {
				t.Fatalf("two encodings of one answer: %x, %x, %v", packet, again, err)
			}
		}
	})
}

// sessionRole listens as the session role does and serves one connection.
func sessionRole(t *testing.T, serve func(net.Conn)) (dial func() net.Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "session")
	l, err := netx.OpenPacket(conf.Listen{Address: "unix:" + path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	return func() net.Conn {
		c, err := net.Dial("unixpacket", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

func TestHandover(t *testing.T) {
	dial := sessionRole(t, func(c net.Conn) {
		f, stream, err := Receive(c, room())
		if err != nil {
			t.Error(err)
			return
		}
		defer stream.Close()
		if f.Session != sample().Session {
			t.Errorf("%+v", f)
		}
		if err := Take(c, 4711, "KEY"); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(stream, f.Tag+" OK Logged in")
		if _, _, err := Receive(c, room()); !errors.Is(err, io.EOF) {
			t.Errorf("after the last frame: %v", err)
		}
	})
	client, remote, err := netx.SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	link := dial()
	a, err := Offer(context.Background(), link, sample(), remote)
	if err != nil || !a.Taken || a.PID != 4711 || a.Seal != "KEY" {
		t.Fatal(a, err)
	}
	_ = remote.Close()
	_ = link.Close()
	if got, _ := io.ReadAll(client); string(got) != "a1 OK Logged in" {
		t.Fatalf("%q", got)
	}
}

func TestHandoverFails(t *testing.T) {
	drain := func(c net.Conn) *os.File { _, f, _ := netx.RecvFrame(c, room()); return f }
	for what, serve := range map[string]func(net.Conn){
		"refused":        func(c net.Conn) { drain(c); _ = Refuse(c, "too many sessions\r\n"+strings.Repeat("x", 999)) },
		"gone":           func(c net.Conn) { drain(c) },
		"garbage":        func(c net.Conn) { drain(c); _, _ = c.Write([]byte("hello")) },
		"an unfit reply": func(c net.Conn) { drain(c); _, _ = c.Write(make([]byte, 5000)) },
	} {
		dial := sessionRole(t, serve)
		stream, remote, err := netx.SocketPair()
		if err != nil {
			t.Fatal(err)
		}
		_, err = Offer(context.Background(), dial(), sample(), remote)
		if fail.KindOf(err) != fail.Unavailable {
			t.Errorf("%s: %v", what, err)
		}
		if what == "refused" && !strings.Contains(err.Error(), "too many sessions??xxx") {
			t.Errorf("%s: %v", what, err)
		}
		_, _ = stream.Close(), remote.Close()
	}

	hang := make(chan struct{})
	dial := sessionRole(t, func(c net.Conn) { drain(c); <-hang })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, remote, err := netx.SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Offer(ctx, dial(), sample(), remote); fail.KindOf(err) != fail.Unavailable {
		t.Errorf("a session role that hangs: %v", err)
	}
	close(hang)
	bad := sample()
	bad.Tag = "\n"
	if _, err := Offer(context.Background(), nil, bad, remote); fail.KindOf(err) != fail.Invalid {
		t.Error(err)
	}
}

// TestReceiveBelievesNothing: what is no frame with one stream socket is
// refused, and its descriptor closed.
func TestReceiveBelievesNothing(t *testing.T) {
	packet, _ := sample().Append(nil)
	for what, send := range map[string]func(a *net.UnixConn, file *os.File) error{
		"a file":        func(a *net.UnixConn, file *os.File) error { return netx.SendFrame(a, packet, file) },
		"garbage":       func(a *net.UnixConn, file *os.File) error { return netx.SendFrame(a, []byte("x"), file) },
		"no descriptor": func(a *net.UnixConn, _ *os.File) error { _, err := a.Write(packet); return err },
	} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		a, b := fileConn(t, fds[0]), fileConn(t, fds[1])
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := send(a, write); err != nil {
			t.Fatal(what, err)
		}
		_ = write.Close()
		if _, _, err := Receive(b, room()); fail.KindOf(err) != fail.Invalid {
			t.Errorf("%s: %v", what, err)
		}
		// A pipe ends when nobody holds its other side any more.
		_ = read.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := read.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: the descriptor is still open: %v", what, err)
		}
		_ = read.Close()
	}
}

// room is space for a frame.
func room() []byte { return make([]byte, MaxFrame) }

func fileConn(t *testing.T, fd int) *net.UnixConn {
	t.Helper()
	_ = syscall.SetNonblock(fd, true)
	f := os.NewFile(uintptr(fd), "pair")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UnixConn)
}
