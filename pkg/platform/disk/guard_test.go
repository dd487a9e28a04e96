package disk

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// TestFailedSyncPoisons: the disk recovers after one failed sync, as Linux
// does after marking lost pages clean; the file must not.
func TestFailedSyncPoisons(t *testing.T) {
	faulty := NewFaulty(NewForgetful(), Fault{Op: OpSync, Path: "log*", Nth: 2, Err: syscall.EIO})
	f, err := faulty.OpenFile("/log.1", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	g := Guard(f, "/log.1")
	if _, err := g.Write([]byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := g.Poisoned(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteAt([]byte("two"), 3); err != nil {
		t.Fatal(err)
	}
	first := g.Sync()
	if !errors.Is(first, syscall.EIO) {
		t.Fatal(first)
	}
	if err := f.Sync(); err != nil {
		t.Fatalf("the second sync of the disk must succeed for this test to mean anything: %v", err)
	}
	buf := make([]byte, 3)
	for what, do := range map[string]func() error{
		"sync":     g.Sync,
		"write":    func() error { _, err := g.Write(buf); return err },
		"writeat":  func() error { _, err := g.WriteAt(buf, 0); return err },
		"read":     func() error { _, err := g.Read(buf); return err },
		"readat":   func() error { _, err := g.ReadAt(buf, 0); return err },
		"truncate": func() error { return g.Truncate(0) },
		"stat":     func() error { _, err := g.Stat(); return err },
		"poisoned": g.Poisoned,
	} {
		err := do()
		var p *PoisonError
		if !errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EIO) || !errors.As(err, &p) || p.Name != "/log.1" {
			t.Errorf("%s after a failed sync: %v", what, err)
		}
		if fail.KindOf(err) != fail.Temporary {
			t.Errorf("%s: kind %v", what, fail.KindOf(err))
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestHealthyGuardIsTransparent(t *testing.T) {
	f, err := NewForgetful().OpenFile("/f", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	g := Guard(f, "/f")
	_, _ = g.Write([]byte("abcdef"))
	if err := g.Truncate(4); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if n, _ := g.ReadAt(buf, 1); string(buf[:n]) != "bcd" {
		t.Fatalf("%q", buf[:n])
	}
	if info, err := g.Stat(); err != nil || info.Size() != 4 {
		t.Fatal(info, err)
	}
	if n, _ := g.Read(buf); n != 0 {
		t.Fatal("the offset is not the file's")
	}
}
