package mailbox

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// countingFS counts syncs.
type countingFS struct {
	disk.FS
	syncs atomic.Int64
}

func (c *countingFS) OpenFile(name string, flag int, perm os.FileMode) (disk.File, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &countedFile{f, c}, nil
}

func (c *countingFS) SyncDir(name string) error {
	c.syncs.Add(1)
	return c.FS.SyncDir(name)
}

func (c *countingFS) Chtimes(name string, mtime time.Time) error {
	return disk.Chtimes(c.FS, name, mtime)
}

type countedFile struct {
	disk.File
	fs *countingFS
}

func (f *countedFile) Sync() error {
	f.fs.syncs.Add(1)
	return f.File.Sync()
}

func (f *countedFile) Unwrap() disk.File { return f.File }

// appendTogether has n appends to m's folder wait for the writer lock at the
// same time.
func (h *house) appendTogether(m *Mailbox, n int) (uids []uint32, errs []error) {
	h.t.Helper()
	uids, errs = make([]uint32, n), make([]error, n)
	appends := make([]*Append, n)
	for i := range appends {
		p, err := h.acct.Append(bg, m.Name())
		must(h.t, err)
		must(h.t, p.Add(bg, Incoming{}, strings.NewReader(fmt.Sprint("together ", i))))
		appends[i] = p
	}
	var group sync.WaitGroup
	m.box.mu.Lock()
	for i, p := range appends {
		group.Go(func() {
			var got []uint32
			if _, got, errs[i] = p.Commit(bg); errs[i] == nil {
				uids[i] = got[0]
			}
		})
	}
	for waiting := 0; waiting < n; runtime.Gosched() {
		m.box.lineMu.Lock()
		waiting = len(m.box.line)
		m.box.lineMu.Unlock()
	}
	m.box.mu.Unlock()
	group.Wait()
	return uids, errs
}

// An append makes two syncs: the message, and its name with its UID. Appends
// that wait for each other share the second.
func TestSyncsOfAppends(t *testing.T) {
	fs := &countingFS{FS: disk.NewForgetful()}
	h := newHouse(t, fs, "/home", Exclusive)
	m := h.box("INBOX")
	h.append("INBOX", "first", Incoming{})
	before := fs.syncs.Load()
	h.append("INBOX", "second", Incoming{})
	if n := fs.syncs.Load() - before; n != 2 {
		t.Errorf("%d syncs for one append", n)
	}
	const together = 8
	before = fs.syncs.Load()
	uids, errs := h.appendTogether(m, together)
	if n := fs.syncs.Load() - before; n != together+1 {
		t.Errorf("%d syncs for %d appends at a time", n, together)
	}
	for i, uid := range uids {
		must(t, errs[i])
		if got := h.read(m, uid); got != fmt.Sprint("together ", i) {
			t.Errorf("UID %d is %q", uid, got)
		}
	}
	must(t, h.store.Close(bg))
}

// Who looks into a folder in which nothing happens makes no sync.
func TestSyncsOfLooks(t *testing.T) {
	mem := disk.NewForgetful()
	mem.SetNow(func() time.Time { return time.Unix(1_700_000_000, 1) }) // long before the house's clock
	fs := &countingFS{FS: mem}
	h := newHouse(t, fs, "/home", Exclusive)
	h.append("INBOX", "first", Incoming{})
	for i := range 3 {
		before := fs.syncs.Load()
		_, err := h.acct.Status(bg, "INBOX", false)
		must(t, err)
		must(t, h.box("INBOX").Close())
		if n := fs.syncs.Load() - before; i > 0 && n != 0 {
			t.Errorf("%d syncs for look %d", n, i)
		}
	}
	must(t, h.store.Close(bg))
}

// Nor does who watches it meanwhile.
func TestSyncsOfWatching(t *testing.T) {
	fs := &countingFS{FS: disk.OS()}
	h := live(t, Config{FS: fs, Poll: time.Hour})
	if h.store.watcher == nil {
		t.Skip("no inotify here")
	}
	h.append("INBOX", "first", Incoming{})
	old := time.Now().Add(-time.Hour)
	for _, dir := range []string{"new", "cur"} {
		must(t, os.Chtimes(filepath.Join(h.cfg.Maildir, dir), old, old))
	}
	for i := range 3 {
		before := fs.syncs.Load()
		m := h.box("INBOX")
		m.Watch()()
		must(t, m.Sync(bg))
		must(t, m.Close())
		if n := fs.syncs.Load() - before; i > 0 && n != 0 {
			t.Errorf("%d syncs for look %d", n, i)
		}
	}
}

// What appends share may fail: then it fails for all of them, nothing shows,
// and their UIDs are not given again.
func TestAppendsFailTogether(t *testing.T) {
	faulty := disk.NewFaulty(disk.NewForgetful())
	h := newHouse(t, faulty, "/home", Exclusive)
	m := h.box("INBOX")
	h.append("INBOX", "first", Incoming{})
	faulty.Add(disk.Fault{Op: disk.OpSyncDir, Path: "/home/Maildir/cur", Err: syscall.EIO})
	_, errs := h.appendTogether(m, 3)
	for _, err := range errs {
		if err == nil {
			t.Error("an append was acknowledged although its name is not durable")
		}
	}
	h.see(m, "1:")
	if uid := h.append("INBOX", "last", Incoming{}); uid != 5 {
		t.Errorf("appended as %d: UIDs of what failed are not given again", uid)
	}
	must(t, h.store.Close(bg))
}

// Crashes before the UID list is on disk: what a client was told stays, also
// when the index is lost with it, and when messages were removed by hand
// meanwhile no UID is given again.
func TestCrashBeforeUIDListIsSynced(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(h *house)
		want  string
	}{
		{"nothing else", func(*house) {}, "1: 2:F 3:"},
		{"the index is lost", func(h *house) { must(t, disk.RemoveAll(h.fs, "/home/index")) }, "1: 2:F 3:"},
		{"a message is lost", func(h *house) {
			for _, f := range h.disk("INBOX") {
				if h.contents(f) == "two" {
					must(t, h.fs.Remove(f))
				}
			}
		}, "1: 3:"},
		{"the last is lost", func(h *house) {
			for _, f := range h.disk("INBOX") {
				if h.contents(f) == "three" {
					must(t, h.fs.Remove(f))
				}
			}
		}, "1: 2:F"},
	} {
		mem := disk.NewForgetful()
		h := newHouse(t, mem, "/home", Exclusive)
		h.append("INBOX", "one", Incoming{})
		must(t, h.store.Close(bg))
		h.open()
		h.append("INBOX", "two", Incoming{Flags: Flagged})
		last := h.append("INBOX", "three", Incoming{})
		validity := h.box("INBOX").Snapshot().UIDValidity()
		for seed := range uint64(20) {
			after := mem.Crash()
			if seed > 0 {
				after = mem.CrashRandom(seed)
			}
			g := &house{t: t, fs: after, base: "/home", clock: h.clock, cfg: h.cfg, tree: maildir.NewTree(after, h.cfg.Maildir, maildir.Options{Now: h.clock.now})}
			c.spoil(g)
			g.open()
			m := g.box("INBOX")
			if got := show(m.Snapshot()); got != c.want || m.Snapshot().UIDValidity() != validity {
				t.Fatalf("%s, seed %d: %q, want %q", c.name, seed, got, c.want)
			}
			if c.name != "the index is lost" {
				if uid := g.append("INBOX", "new", Incoming{}); uid <= last {
					t.Fatalf("%s, seed %d: UID %d is given again", c.name, seed, uid)
				}
			}
			must(t, g.store.Close(bg))
		}
	}
}

// The list is on disk soon, so that another server may take over; a list that
// cannot be synced is written anew.
func TestUIDListIsWrittenBehind(t *testing.T) {
	faulty := disk.NewFaulty(disk.NewForgetful())
	h := newHouse(t, faulty, "/home", Exclusive)
	m := h.box("INBOX")
	h.append("INBOX", "one", Incoming{})
	if l := m.box.format.(uidList); !l.Behind() {
		t.Fatal("it is on disk already")
	}
	faulty.Add(disk.Fault{Op: disk.OpSync, Path: "dovecot-uidlist", Err: syscall.EIO})
	if err := m.Flush(bg); err == nil || faulty.Hits() != 1 {
		t.Fatalf("the fault did not show: %v", err)
	}
	h.append("INBOX", "two", Incoming{})
	must(t, m.Flush(bg))
	list, err := maildirOf(h).UIDList()
	must(t, err)
	if len(list.Records) != 2 || list.Records[0].UID != 1 || list.Records[1].UID != 2 {
		t.Errorf("the list has %v", list.Records)
	}
	must(t, h.store.Close(bg))
}

func maildirOf(h *house) *maildir.Folder {
	f, err := h.tree.Folder("INBOX")
	must(h.t, err)
	return f
}

// Names say UIDs of their own folder only, and another program's file with the
// same UID does not take it away.
func TestUIDsInNames(t *testing.T) {
	h := inMemory(t, Exclusive)
	m := h.box("INBOX")
	h.append("INBOX", "one", Incoming{})
	validity := m.Snapshot().UIDValidity()
	for i, base := range []string{
		maildir.WithUID("1795442559.M1P2.x", validity, 1),   // taken
		maildir.WithUID("1795442560.M1P2.x", validity+1, 9), // of another folder
		maildir.WithUID("1795442561.M1P2.x", validity, 1<<32-1),
	} {
		f, err := h.fs.OpenFile(filepath.Join(h.cfg.Maildir, "cur", base+":2,"), os.O_WRONLY|os.O_CREATE, 0o600)
		must(t, err)
		fmt.Fprint(f, i)
		must(t, f.Close())
	}
	h.see(m, "1: 2: 3: 4:")
	must(t, h.store.Close(bg))
}

// Two crashes, one after the other: the second one does not count on from where
// the first one did, or a UID that a client saw in between would be another
// message's.
func TestCrashAfterCrash(t *testing.T) {
	mem := disk.NewForgetful()
	h := newHouse(t, mem, "/home", Exclusive)
	h.append("INBOX", "one", Incoming{})
	must(t, h.store.Close(bg))
	seen := uint32(1)
	for range 3 {
		h.open()
		uid := h.append("INBOX", "again", Incoming{})
		if uid <= seen {
			t.Fatalf("UID %d was given after %d", uid, seen)
		}
		seen = uid
		mem = mem.Crash()
		g := &house{t: t, fs: mem, base: "/home", clock: h.clock, cfg: h.cfg, tree: maildir.NewTree(mem, h.cfg.Maildir, maildir.Options{Now: h.clock.now})}
		for _, f := range g.disk("INBOX") { // another program removes it; its name holds the UID
			if g.contents(f) == "again" {
				must(t, mem.Remove(f))
			}
		}
		h = g
	}
}
