package hint

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
)

func sample() Hint {
	return Hint{
		Generation: 7, Sequence: 1, User: "alice@example.org", Mailbox: "Lists/Gö",
		File: "1795442559.M291697P20153.vm,S=3237,W=3547", Size: 3237, VSize: 3547,
		Received: time.Unix(1_795_442_559, 291_697_000),
	}
}

func TestBytes(t *testing.T) {
	packet, err := sample2().Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "01" + "0000000000000007" + "0000000000000001" + "0000000000000ca5" + "0000000000000ddb" + "18eab17eb9332768" +
		"0011" + hex.EncodeToString([]byte("alice@example.org")) + "0009" + hex.EncodeToString([]byte("Lists/Gö")) +
		"0029" + hex.EncodeToString([]byte(sample().File))
	if got := hex.EncodeToString(packet); got != want {
		t.Fatalf("%s\n%s", got, want)
	}
	if len(packet) > MaxPacket {
		t.Fatal(len(packet))
	}
	for n := range packet {
		if _, err := Parse(packet[:n]); fail.KindOf(err) != fail.Invalid {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	h, err := Parse(packet)
	if err != nil || h != sample() {
		t.Fatalf("%+v %v", h, err)
	}
}

func TestWhatCannotBe(t *testing.T) {
	for what, change := range map[string]func(*Hint){
		"sequence 0":     func(h *Hint) { h.Sequence = 0 },
		"no user":        func(h *Hint) { h.User = "" },
		"line in user":   func(h *Hint) { h.User = "a\nb" },
		"long user":      func(h *Hint) { h.User = strings.Repeat("u", MaxUser+1) },
		"no mailbox":     func(h *Hint) { h.Mailbox = "" },
		"bad UTF-8":      func(h *Hint) { h.Mailbox = "\xff" },
		"long mailbox":   func(h *Hint) { h.Mailbox = strings.Repeat("m", MaxMailbox+1) },
		"no file":        func(h *Hint) { h.File = "" },
		"path":           func(h *Hint) { h.File = "../x" },
		"folder":         func(h *Hint) { h.File = "cur/x" },
		"hidden":         func(h *Hint) { h.File = "." },
		"flags":          func(h *Hint) { h.File = "x:2,S" },
		"NUL":            func(h *Hint) { h.File = "a\x00b" },
		"long file":      func(h *Hint) { h.File = strings.Repeat("f", MaxFile+1) },
		"negative size":  func(h *Hint) { h.Size = -1 },
		"negative vsize": func(h *Hint) { h.VSize = -1 },
	} {
		h := sample()
		change(&h)
		if _, err := h.Append(nil); fail.KindOf(err) != fail.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	good, _ := sample2().Append(nil)
	good[0]++
	if _, err := Parse(good); fail.KindOf(err) != fail.Invalid || !strings.Contains(err.Error(), "version") {
		t.Error(err)
	}
	good[0]--
	if _, err := Parse(append(good, 0)); fail.KindOf(err) != fail.Invalid {
		t.Error(err)
	}
}

func sample2() *Hint { h := sample(); return &h }

func FuzzParse(f *testing.F) {
	packet, _ := sample2().Append(nil)
	f.Add(packet)
	f.Fuzz(func(t *testing.T, packet []byte) {
		h, err := Parse(packet)
		if err != nil {
			return
		}
		if strings.ContainsAny(h.File, "/\x00:") || h.File == ".." {
			t.Fatalf("file name %q", h.File)
		}
		if again, err := h.Append(nil); err != nil || !bytes.Equal(again, packet) {
			t.Fatalf("two encodings of one hint: %x, %x, %v", packet, again, err)
		}
	})
}

func TestTracker(t *testing.T) {
	var tr Tracker
	for i, c := range []struct {
		gen, seq uint64
		missed   bool
	}{
		{1, 1, false}, {1, 2, false}, {1, 4, true}, {1, 5, false}, {1, 5, true}, {2, 1, true}, {2, 2, false}, {3, 9, true}, {3, 10, false},
	} {
		h := sample()
		h.Generation, h.Sequence = c.gen, c.seq
		if tr.See(h) != c.missed {
			t.Errorf("step %d: want missed %v", i, c.missed)
		}
	}
	var late Tracker
	h := sample()
	h.Sequence = 5
	if !late.See(h) {
		t.Error("who comes late has missed something")
	}
}

// receiver is an events socket that can be closed and opened again.
type receiver struct {
	t    *testing.T
	path string
	l    net.Listener
}

func (r *receiver) open() {
	l, err := netx.OpenPacket(conf.Listen{Address: "unix:" + r.path}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.l = l
	r.t.Cleanup(func() { _ = l.Close() })
}

func (r *receiver) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unixpacket", r.path)
}

func (r *receiver) accept() net.Conn {
	c, err := r.l.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *receiver) next(c net.Conn) Hint {
	packet, err := netx.RecvPacket(c, make([]byte, MaxPacket))
	if err != nil {
		r.t.Fatal(err)
	}
	h, err := Parse(packet)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

func TestSender(t *testing.T) {
	ctx := context.Background()
	now := time.Unix(1_800_000_000, 0)
	r := &receiver{t: t, path: filepath.Join(t.TempDir(), "events")}
	s := NewSender(r.dial, 42, func() time.Time { return now })
	defer s.Close()

	if err := s.Send(ctx, sample()); err == nil {
		t.Fatal("nobody listens")
	}
	r.open()
	if err := s.Send(ctx, sample()); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("tried again at once: %v", err)
	}
	now = now.Add(dialEvery)
	if err := s.Send(ctx, sample()); err != nil {
		t.Fatal(err)
	}
	c := r.accept()
	var tr Tracker
	if h := r.next(c); h.Generation != 42 || h.Sequence != 3 || !tr.See(h) {
		t.Fatalf("%+v", h)
	}
	bad := sample()
	bad.File = ""
	if err := s.Send(ctx, bad); fail.KindOf(err) != fail.Invalid {
		t.Fatal(err)
	}
	if err := s.Send(ctx, sample()); err != nil {
		t.Fatal(err)
	}
	if h := r.next(c); h.Sequence != 4 || tr.See(h) {
		t.Fatalf("%+v: what cannot be sent takes no number", h)
	}

	// imapd is restarted: the next hint finds the new one by itself.
	_, _ = c.Close(), r.l.Close()
	r.open()
	if err := s.Send(ctx, sample()); err != nil {
		t.Fatal(err)
	}
	if h := r.next(r.accept()); h.Sequence != 5 {
		t.Fatalf("%+v", h)
	}
	if s.Dropped() != 2 {
		t.Fatal(s.Dropped())
	}
}

// TestSlowReceiver: a receiver that does not read delays nobody for long, and
// later sees the gap.
func TestSlowReceiver(t *testing.T) {
	r := &receiver{t: t, path: filepath.Join(t.TempDir(), "events")}
	r.open()
	s := NewSender(r.dial, 1, time.Now)
	defer s.Close()
	n := uint64(0)
	for ; s.Dropped() == 0 && n < 100_000; n++ {
		_ = s.Send(context.Background(), sample())
	}
	if s.Dropped() != 1 {
		t.Fatal("the socket takes everything")
	}
	c := r.accept()
	var tr Tracker
	for range n - 1 {
		if tr.See(r.next(c)) {
			t.Fatal("missed too early")
		}
	}
	if err := s.Send(context.Background(), sample()); err != nil {
		t.Fatal(err)
	}
	if h := r.next(c); !tr.See(h) || h.Sequence != n+1 {
		t.Fatalf("%+v", h)
	}
}
