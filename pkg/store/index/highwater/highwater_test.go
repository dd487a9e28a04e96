package highwater

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/index"
)

func folder(t *testing.T, text string) *disk.Forgetful {
	t.Helper()
	m := disk.NewForgetful()
	if err := errors.Join(m.Mkdir("/m", 0o700), m.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	if text != "" {
		if err := disk.WriteFile(m, "/m/"+Name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func at() string { return "/m" }

func open(t *testing.T, fsys disk.FS) *Mark {
	t.Helper()
	m, err := Open(fsys, at, 7)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestParse(t *testing.T) {
	const head = header + "\nuidvalidity 7\nbound 99\n"
	for _, c := range []struct {
		text string
		ok   bool
		gone string // UIDs of 1 to 9
	}{
		{head, true, ""},
		{head + "gone 2:4\ngone 7:7\n", true, "2347"},
		{head + "gone 7:8\ngone 2:4\ngone 4:5\ngone 2:2\n", true, "234578"},
		{head + "gone 2:4\ngone 7:", true, "234"},
		{head + "gone 2:4\ngone 7:7", true, "234"},
		{head + "gone 4:2\ngone 7:7\n", true, ""},
		{head + "gone 0:2\n", true, ""},
		{head + "nonsense\ngone 7:7\n", true, ""},
		{strings.Replace(head, "7", "8", 1) + "gone 2:4\n", true, ""}, // of another UIDVALIDITY
		{"", false, ""},
		{header + "\n", false, ""},
		{strings.TrimSuffix(head, "\n"), false, ""},
		{strings.Replace(head, "1", "2", 1), false, ""},
		{strings.Replace(head, "99", "-1", 1), false, ""},
		{strings.Replace(head, "99", "99999999999999999999", 1), false, ""},
	} {
		m, err := Open(folder(t, c.text), at, 7)
		if c.text == "" {
			err = fail.New(fail.Corrupt, "no file")
		}
		if (err == nil) != c.ok || err == nil && (!m.Known() || m.Bound() != 99) || err != nil && (m.Known() || m.Bound() != 0 || !fail.Is(err, fail.Corrupt)) {
			t.Errorf("%q: %+v, %v", c.text, m, err)
		}
		got := ""
		for uid := range uint32(10) {
			if m.Gone(uid) {
				got += string(rune('0' + uid))
			}
		}
		if got != c.gone {
			t.Errorf("%q: gone are %q, want %q", c.text, got, c.gone)
		}
	}
}

// The bound is durable when Cover returns, and seldom written.
func TestCover(t *testing.T) {
	mem := folder(t, "")
	m := open(t, mem)
	if m.Known() {
		t.Error("known before it was ever written")
	}
	must(t, m.Cover(1000))
	for n := uint64(1000); n < 1000+Margin/2; n += Margin / 64 {
		must(t, m.Cover(n))
		if got := open(t, mem.Crash()); got.Bound() < n+slack || !got.Known() {
			t.Fatalf("covers %d after a crash, want %d", got.Bound(), n)
		}
		mem = mem.Crash()
		m = open(t, mem)
	}
	if m.Bound() != 1000+Margin {
		t.Errorf("the bound was written again: %d", m.Bound())
	}
	faulty := disk.NewFaulty(mem, disk.Fault{Op: disk.OpSync, Err: syscall.EIO})
	m = open(t, faulty)
	if err := m.Cover(Margin * 2); err == nil || m.Bound() != 1000+Margin {
		t.Errorf("bound %d after a write that failed (%v)", m.Bound(), err)
	}
	if err := m.Cover(Margin*2 + 1); err != nil || m.Bound() != 1000+Margin {
		t.Errorf("tried again at once: bound %d, %v", m.Bound(), err)
	}
	if err := m.Cover(Margin*2 + rest); err != nil || m.Bound() != Margin*3+rest {
		t.Errorf("bound %d, %v", m.Bound(), err)
	}
}

func TestNotes(t *testing.T) {
	mem := folder(t, "")
	m := open(t, mem)
	must(t, m.Expunged([]index.Range{{First: 1, Last: 1}}, nil)) // before there is a file
	must(t, m.Cover(1))
	must(t, m.Expunged([]index.Range{{First: 2, Last: 4}, {First: 7, Last: 7}}, nil))
	m = open(t, mem)
	if m.Gone(1) || !m.Gone(3) || !m.Gone(7) || m.Gone(5) {
		t.Errorf("%+v", m)
	}
	must(t, m.Cover(2*Margin)) // keeps the notes
	if m = open(t, mem); !m.Gone(4) {
		t.Errorf("%+v", m)
	}
	must(t, m.Removed())
	if m = open(t, mem); m.Gone(3) || m.Bound() != 3*Margin {
		t.Errorf("%+v", m)
	}
	// Notes that are never dropped do not grow for ever.
	for uid := uint32(10); uid < 20000; uid++ {
		last := []index.Range{{First: uid, Last: uid}}
		must(t, m.Expunged(last, func() []index.Range { return last }))
	}
	info, err := mem.Stat("/m/" + Name)
	must(t, err)
	if info.Size() > maxNotes+100 || !open(t, mem).Gone(19999) {
		t.Errorf("%d bytes", info.Size())
	}
}

func FuzzParse(f *testing.F) {
	f.Add(header + "\nuidvalidity 7\nbound 99\ngone 2:4\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		_, bound, gone, ok := parse(text)
		if bound >= 1<<62 || !ok && len(gone) > 0 {
			t.Error(bound, gone)
		}
	})
}
