package mailbox

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/index/dovecot"
	"github.com/postcote/postcote/pkg/store/maildir"
)

var bg = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, what string, err error, kind fail.Kind) {
	t.Helper()
	if !fail.Is(err, kind) {
		t.Errorf("%s: %v, want kind %v", what, err, kind)
	}
}

// house is a store with one account.
type house struct {
	t     testing.TB
	fs    disk.FS
	base  string
	clock *clock
	store *Store
	acct  *Account
	cfg   AccountConfig
	tree  *maildir.Tree // as another program sees it
}

// newHouse opens an account on fsys below base, without the background.
func newHouse(t testing.TB, fsys disk.FS, base string, mode Mode) *house {
	h := &house{t: t, fs: fsys, base: base, clock: &clock{}}
	h.clock.at.Store(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC).UnixNano())
	if mem, ok := fsys.(*disk.Forgetful); ok {
		mem.SetNow(h.clock.now)
	}
	h.cfg = AccountConfig{User: "joe@example.org", Maildir: base + "/Maildir", Mode: mode}
	h.tree = maildir.NewTree(fsys, h.cfg.Maildir, maildir.Options{Namer: maildir.NewNamer("deliverd", 2, h.clock.now), Now: h.clock.now})
	h.open()
	return h
}

// inMemory is a house whose file system and clock are exact: each time stamp
// is later than all before it.
func inMemory(t testing.TB, mode Mode) *house {
	return newHouse(t, disk.NewForgetful(), "/home", mode)
}

type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(0, c.at.Add(1000)).UTC() }

func (c *clock) sleep(d time.Duration) { c.at.Add(int64(d)) }

func (h *house) try() error {
	s, err := NewStore(Config{FS: h.fs, IndexRoot: h.base + "/index", Host: "imapd", NoWatch: true, Now: h.clock.now})
	if err != nil {
		return err
	}
	h.store = s
	h.acct, err = s.Account(bg, h.cfg)
	return err
}

func (h *house) open() {
	h.t.Helper()
	must(h.t, h.try())
}

// reopen closes everything and opens it again, as a restart does.
func (h *house) reopen() {
	h.t.Helper()
	must(h.t, h.store.Close(bg))
	h.open()
}

func (h *house) box(name string) *Mailbox {
	h.t.Helper()
	m, err := h.acct.Open(bg, name)
	must(h.t, err)
	return m
}

func (h *house) deliver(folder, body string, flags Flags) maildir.Delivered {
	h.t.Helper()
	d, err := h.tree.Deliver(bg, folder, maildir.Meta{Flags: flags}, strings.NewReader(body))
	must(h.t, err)
	return d
}

func (h *house) append(folder, body string, in Incoming) uint32 {
	h.t.Helper()
	p, err := h.acct.Append(bg, folder)
	must(h.t, err)
	must(h.t, p.Add(bg, in, strings.NewReader(body)))
	_, uids, err := p.Commit(bg)
	must(h.t, err)
	return uids[0]
}

// show is a view as text: "1:FS(foo) 2:".
func show(s *Snapshot) string {
	var out []string
	for _, m := range s.All() {
		x := fmt.Sprintf("%d:%v", m.UID, m.Flags)
		if k := s.KeywordNames(m); len(k) > 0 {
			k = slices.Clone(k)
			slices.Sort(k)
			x += "(" + strings.Join(k, ",") + ")"
		}
		out = append(out, x)
	}
	return strings.Join(out, " ")
}

func (h *house) see(m *Mailbox, want string) {
	h.t.Helper()
	must(h.t, m.Sync(bg))
	if got := show(m.Snapshot()); got != want {
		h.t.Errorf("the view is %q, want %q", got, want)
	}
}

// files lists the names in cur and new of a folder, without base names.
func (h *house) files(folder string) string {
	h.t.Helper()
	f, err := h.tree.Folder(folder)
	must(h.t, err)
	var out []string
	for _, d := range []string{"new", "cur"} {
		entries, err := h.fs.ReadDir(filepath.Join(f.Dir(), d))
		must(h.t, err)
		for _, e := range entries {
			_, info, _ := strings.Cut(e.Name(), ":")
			out = append(out, d+":"+info)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (h *house) read(m *Mailbox, uid uint32) string {
	h.t.Helper()
	f, err := m.OpenMessage(bg, uid)
	must(h.t, err)
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	must(h.t, err)
	return string(data)
}

func change(op Op, flags Flags, keywords ...string) Change {
	return Change{Op: op, Flags: flags, Keywords: keywords, UnchangedSince: NoCondition}
}

func TestLifeOfAMailbox(t *testing.T) {
	for _, mode := range []Mode{Exclusive, Shared} {
		h := inMemory(t, mode)
		h.deliver("INBOX", "Subject: one\r\n\r\nfirst\r\n", 0)
		h.deliver("INBOX", "Subject: two\r\n\r\nsecond\r\n", Flagged)
		m := h.box("inbox")
		h.see(m, "1: 2:F")
		if s := m.Snapshot(); s.UIDNext() != 3 || s.Recent() != 2 || s.UIDValidity() == 0 {
			t.Errorf("%d %d %d", s.UIDNext(), s.Recent(), s.UIDValidity())
		}
		first, err := m.ClaimRecent(bg)
		if err != nil || first != 1 {
			t.Errorf("claimed from %d: %v", first, err)
		}

		res, err := m.Store(bg, SetOf(1, 2), change(Add, Seen, "$Junk"))
		must(t, err)
		if res.ModSeq <= 1 || !slices.Equal(res.Changed, Set{{First: 1, Last: 2}}) {
			t.Errorf("%+v", res)
		}
		h.see(m, "1:S($Junk) 2:FS($Junk)")
		must(t, m.Flush(bg))
		if got := h.files("INBOX"); got != "cur:2,FSa cur:2,Sa" {
			t.Errorf("files %s", got)
		}
		if uid := h.append("INBOX", "Subject: three\r\n\r\n", Incoming{Flags: Draft, Keywords: []string{"Foo"}}); uid != 3 {
			t.Errorf("appended as %d", uid)
		}
		_, err = m.Store(bg, SetOf(2), change(Replace, Deleted, "Foo"))
		must(t, err)
		h.see(m, "1:S($Junk) 2:T(Foo) 3:D(Foo)")
		if got := h.read(m, 2); got != "Subject: two\n\nsecond\n" {
			t.Errorf("message 2 is %q", got)
		}

		must(t, h.acct.Create(bg, "Töst.x"))
		c, err := m.Copy(bg, Set{{First: 1, Last: 3}}, "Töst.x")
		must(t, err)
		if !slices.Equal(c.Source, []uint32{1, 2, 3}) || !slices.Equal(c.Dest, []uint32{1, 2, 3}) {
			t.Errorf("%+v", c)
		}
		gone, err := m.Expunge(bg, nil)
		must(t, err)
		if !slices.Equal(gone, Set{{First: 2, Last: 2}}) {
			t.Errorf("expunged %v", gone)
		}
		h.see(m, "1:S($Junk) 3:D(Foo)")
		_, err = m.Move(bg, SetOf(3), "Töst.x")
		must(t, err)
		h.see(m, "1:S($Junk)")
		modseq := m.Snapshot().HighestModSeq()
		must(t, m.Close())

		h.reopen()
		m = h.box("INBOX")
		h.see(m, "1:S($Junk)")
		if got := m.Snapshot().HighestModSeq(); got != modseq {
			t.Errorf("HIGHESTMODSEQ was %d, is %d", modseq, got)
		}
		h.see(h.box("Töst.x"), "1:S($Junk) 2:T(Foo) 3:D(Foo) 4:D(Foo)")
		if got := h.files("INBOX"); got != "cur:2,Sa" {
			t.Errorf("files %s", got)
		}
		must(t, h.store.Close(bg))
	}
}

// In exclusive mode a change is durable in the log, and in the name after the
// flush; in shared mode it is in the name at once.
func TestWhenNamesChange(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.append("INBOX", "x", Incoming{})
	m := h.box("INBOX")
	_, err := m.Store(bg, SetOf(1), change(Add, Seen))
	must(t, err)
	if got := h.files("INBOX"); got != "cur:2," {
		t.Errorf("exclusive, before the flush: %s", got)
	}
	must(t, m.Flush(bg))
	if got := h.files("INBOX"); got != "cur:2,S" {
		t.Errorf("exclusive, after the flush: %s", got)
	}
	_, err = m.Store(bg, SetOf(1), change(Add, Flagged))
	must(t, err)
	must(t, m.Close()) // the last handle flushes
	if got := h.files("INBOX"); got != "cur:2,FS" {
		t.Errorf("exclusive, after closing: %s", got)
	}
	must(t, h.store.Close(bg))

	h = inMemory(t, Shared)
	h.append("INBOX", "x", Incoming{})
	m = h.box("INBOX")
	_, err = m.Store(bg, SetOf(1), change(Add, Seen))
	must(t, err)
	if got := h.files("INBOX"); got != "cur:2,S" {
		t.Errorf("shared: %s", got)
	}
	must(t, h.store.Close(bg))
}

func (h *house) rename(folder, match, to string) {
	h.t.Helper()
	f, err := h.tree.Folder(folder)
	must(h.t, err)
	for _, d := range []string{"new", "cur"} {
		entries, err := h.fs.ReadDir(filepath.Join(f.Dir(), d))
		must(h.t, err)
		for _, e := range entries {
			if strings.Contains(e.Name(), match) {
				base, _, _ := strings.Cut(e.Name(), ":")
				must(h.t, h.fs.Rename(filepath.Join(f.Dir(), d, e.Name()), filepath.Join(f.Dir(), "cur", base+to)))
				return
			}
		}
	}
	h.t.Fatalf("no file like %s", match)
}

// Three-way merge: what another program did to the file name is taken over,
// what was done here meanwhile stays, and what nobody understands is kept.
func TestMergeWithForeignChanges(t *testing.T) {
	h := inMemory(t, Exclusive)
	uid := h.append("INBOX", "xyz", Incoming{Flags: Flagged})
	m := h.box("INBOX")
	_, err := m.Store(bg, SetOf(uid), change(Add, Seen, "Foo")) // pending
	must(t, err)
	h.rename("INBOX", ",S=3", ":2,RZ,keep") // removed F, added R and what we do not know
	h.see(m, "1:RS(Foo)")
	must(t, m.Flush(bg))
	if got := h.files("INBOX"); got != "cur:2,RSZa,keep" {
		t.Errorf("files %s", got)
	}
	h.see(m, "1:RS(Foo)")
	h.reopen()
	h.see(h.box("INBOX"), "1:RS(Foo)")
	must(t, h.store.Close(bg))
}

func TestForeignDeleteAndUnknownLetter(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.append("INBOX", "a", Incoming{})
	h.append("INBOX", "bb", Incoming{})
	m := h.box("INBOX")
	h.see(m, "1: 2:")
	h.rename("INBOX", ",S=2", ":2,Sd")
	h.see(m, "1: 2:S(unknown-3)")
	f, _ := h.tree.Folder("INBOX")
	entries, err := h.fs.ReadDir(filepath.Join(f.Dir(), "cur"))
	must(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), ",S=1,") {
			must(t, h.fs.Remove(filepath.Join(f.Dir(), "cur", e.Name())))
		}
	}
	before := m.Snapshot().HighestModSeq()
	h.see(m, "2:S(unknown-3)")
	if m.Snapshot().HighestModSeq() <= before {
		t.Error("an expunge must raise HIGHESTMODSEQ")
	}
	_, err = m.OpenMessage(bg, 1)
	wantKind(t, "removed message", err, fail.NotFound)
	must(t, h.store.Close(bg))
}

// A message that is expunged stays readable for sessions that still see it,
// for a minute.
func TestExpungedStaysReadable(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.append("INBOX", "hello", Incoming{Flags: Deleted})
	a, b := h.box("INBOX"), h.box("INBOX")
	_, err := a.Expunge(bg, nil)
	must(t, err)
	h.see(a, "")
	must(t, a.Flush(bg))
	if got := h.read(b, 1); got != "hello" {
		t.Errorf("read %q", got)
	}
	b.Snapshot()
	must(t, a.Flush(bg))
	_, err = b.OpenMessage(bg, 1)
	wantKind(t, "after a newer view", err, fail.NotFound)
	if got := h.files("INBOX"); got != "" {
		t.Errorf("files %s", got)
	}

	h.append("INBOX", "again", Incoming{Flags: Deleted})
	a.Snapshot()
	b.Snapshot()
	_, err = a.Expunge(bg, nil)
	must(t, err)
	h.clock.sleep(2 * maxGrave)
	must(t, a.Flush(bg))
	_, err = b.OpenMessage(bg, 2)
	wantKind(t, "after a minute", err, fail.NotFound)
	must(t, h.store.Close(bg))
}

func TestHandlesHearOfChanges(t *testing.T) {
	h := inMemory(t, Exclusive)
	a, b := h.box("INBOX"), h.box("INBOX")
	for len(b.Changes()) > 0 {
		<-b.Changes()
	}
	old := b.Snapshot()
	h.append("INBOX", "x", Incoming{})
	_, err := a.Store(bg, SetOf(1), change(Add, Seen))
	must(t, err)
	if len(b.Changes()) != 1 {
		t.Fatal("not signalled, or more than once")
	}
	d := Diff(old, b.Snapshot())
	if d.Appended != 0 || len(d.Changed) != 0 || len(d.Expunged) != 0 {
		t.Errorf("%+v", d)
	}
	must(t, h.store.Close(bg))
	wantKind(t, "after closing", b.Err(), fail.Unavailable)
	_, err = b.Store(bg, SetOf(1), change(Add, Seen))
	wantKind(t, "store after closing", err, fail.Unavailable)
	if show(b.Snapshot()) != "1:S" {
		t.Error("snapshots stay usable")
	}
}

func TestUnchangedSince(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.append("INBOX", "a", Incoming{})
	h.append("INBOX", "b", Incoming{})
	m := h.box("INBOX")
	r1, err := m.Store(bg, SetOf(1), change(Add, Seen))
	must(t, err)
	c := change(Add, Flagged)
	c.UnchangedSince = r1.ModSeq - 1
	r2, err := m.Store(bg, SetOf(1, 2), c)
	must(t, err)
	if !slices.Equal(r2.Modified, SetOf(1)) || !slices.Equal(r2.Changed, SetOf(2)) || r2.ModSeq <= r1.ModSeq {
		t.Errorf("%+v", r2)
	}
	r3, err := m.Store(bg, SetOf(2), change(Add, Flagged))
	if err != nil || r3.ModSeq != 0 || len(r3.Changed) != 0 {
		t.Errorf("a change that changes nothing: %+v %v", r3, err)
	}
	_, err = m.Store(bg, SetOf(2), change(Add, 0, "a b"))
	wantKind(t, "bad keyword", err, fail.Invalid)
	must(t, h.store.Close(bg))
}

func TestSecondOpenerIsRefused(t *testing.T) {
	h := inMemory(t, Exclusive)
	other := *h
	err := other.try()
	wantKind(t, "second opener", err, fail.Exists)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("the text should name the owner: %v", err)
	}
	must(t, h.store.Release(bg, h.cfg.User))
	must(t, other.try())
	must(t, other.store.Close(bg))
	must(t, h.store.Close(bg))
}

func TestRelease(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.append("INBOX", "x", Incoming{})
	m := h.box("INBOX")
	_, err := m.Store(bg, SetOf(1), change(Add, Answered))
	must(t, err)
	must(t, h.store.Release(bg, h.cfg.User))
	if got := h.files("INBOX"); got != "cur:2,R" {
		t.Errorf("not flushed: %s", got)
	}
	// A Dovecot counts on above what our clients were told; we do after it.
	told := m.Snapshot().HighestModSeq()
	if n, found, err := dovecot.ModSeq(h.fs, h.tree.Root()); err != nil || !found || n < told {
		t.Errorf("Dovecot begins at %d, %v; clients were told of %d", n, err, told)
	}
	wantKind(t, "handle", m.Err(), fail.Unavailable)
	_, err = h.acct.Open(bg, "INBOX")
	wantKind(t, "open", err, fail.Unavailable)
	must(t, m.Close())
	must(t, h.acct.Close())
	must(t, h.store.Close(bg))
}

func TestFreeze(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.append("INBOX", "x", Incoming{})
	m := h.box("INBOX")
	_, err := m.Store(bg, SetOf(1), change(Add, Seen))
	must(t, err)
	thaw, err := h.store.Freeze(bg, h.cfg.User)
	must(t, err)
	if got := h.files("INBOX"); got != "cur:2,S" {
		t.Errorf("not flushed: %s", got)
	}
	h.deliver("INBOX", "new", 0)
	h.see(m, "1:S") // looking writes, so it waits
	done := make(chan error)
	go func() {
		_, err := m.Store(bg, SetOf(1), change(Add, Flagged))
		done <- err
	}()
	select {
	case <-done:
		t.Error("a change was made while frozen")
	case <-time.After(20 * time.Millisecond):
	}
	thaw()
	thaw() // again does nothing
	must(t, <-done)
	h.see(m, "1:FS 2:")
	must(t, h.store.Close(bg))
}
