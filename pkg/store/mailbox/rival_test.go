package mailbox

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// rivalFS is a file system on which another program is at work at moments
// that cannot be met from outside.
type rivalFS struct {
	*disk.Forgetful
	locking atomic.Pointer[func()] // once, before the UID list is locked
	still   map[string]fs.FileInfo // directories whose mtime is too coarse to show changes
	passed  map[string]int         // listings that pass over an entry that begins so
}

func (r *rivalFS) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	r.beforeLock(name)
	return r.Forgetful.OpenFile(name, flag, perm)
}

func (r *rivalFS) Link(oldName, newName string) error {
	r.beforeLock(newName)
	return r.Forgetful.Link(oldName, newName)
}

func (r *rivalFS) beforeLock(name string) {
	if strings.HasSuffix(name, "dovecot-uidlist.lock") {
		if act := r.locking.Swap(nil); act != nil {
			(*act)()
		}
	}
}

func (r *rivalFS) Stat(name string) (fs.FileInfo, error) {
	if info, ok := r.still[name]; ok {
		return info, nil
	}
	return r.Forgetful.Stat(name)
}

func (r *rivalFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := r.Forgetful.ReadDir(name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		for prefix := range r.passed {
			if strings.HasPrefix(e.Name(), prefix) && r.passed[prefix] > 0 {
				r.passed[prefix]--
				return true
			}
		}
		return false
	}), err
}

// withRival is a house in shared mode; give is another server that numbers a
// message in cur/ or new/.
func withRival(t *testing.T) (h *house, rival *rivalFS, give func(body string, uid uint32, flags Flags) string) {
	return withRivalIn(t, Shared)
}

func withRivalIn(t *testing.T, mode Mode) (h *house, rival *rivalFS, give func(body string, uid uint32, flags Flags) string) {
	rival = &rivalFS{Forgetful: disk.NewForgetful(), still: map[string]fs.FileInfo{}, passed: map[string]int{}}
	rival.SetNow(func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) })
	h = newHouse(t, rival, "/home", mode)
	rival.SetNow(h.clock.now)
	return h, rival, func(body string, uid uint32, flags Flags) string {
		f, err := h.tree.Folder("INBOX")
		must(t, err)
		l, err := f.Lock(bg)
		must(t, err)
		d := h.deliver("INBOX", body, flags)
		list, err := f.UIDList()
		must(t, err)
		list.Records = append(list.Records, maildir.UIDRecord{UID: uid, Base: d.Base})
		must(t, l.Rewrite(list))
		return d.Base
	}
}

// The other server numbers a message after our look and before our lock: an
// append must not pass it by, or it would get a second UID.
func TestAppendAfterRivalsUID(t *testing.T) {
	h, rival, give := withRival(t)
	m := h.box("INBOX")
	h.append("INBOX", "one", Incoming{})
	h.see(m, "1:")
	h.clock.sleep(5e9)
	h.see(m, "1:") // all is known: the append's own look finds nothing
	act := func() { give("two", 7, Seen) }
	rival.locking.Store(&act)
	if uid := h.append("INBOX", "three", Incoming{}); uid != 8 {
		t.Errorf("appended as %d", uid)
	}
	h.see(m, "1: 7:S 8:")
	must(t, h.store.Close(bg))
}

// The other server moved a message to cur/ and numbered it, in the tick of our
// own last change: new/ alone is not all there is to look at.
func TestCoarseMtimeHidesNoUID(t *testing.T) {
	h, rival, give := withRival(t)
	m := h.box("INBOX")
	h.append("INBOX", "one", Incoming{})
	h.see(m, "1:")
	h.clock.sleep(5e9)
	h.see(m, "1:")
	cur := filepath.Join(h.cfg.Maildir, "cur")
	info, err := rival.Stat(cur)
	must(t, err)
	rival.still[cur] = info
	give("two", 7, Seen)
	give("three", 8, 0)
	h.see(m, "1: 7:S 8:")
	must(t, h.store.Close(bg))
}

// A file that is renamed again and again while its directory is read may be
// passed over more than once: it is not gone, and keeps its UID.
func TestPassedOverTwice(t *testing.T) {
	h, rival, give := withRival(t)
	m := h.box("INBOX")
	known := give("one", 3, Seen)
	h.see(m, "3:S")
	rival.passed[known] = 3
	fresh := give("two", 7, Seen)
	rival.passed[fresh] = 3
	h.see(m, "3:S 7:S")
	must(t, h.store.Close(bg))
}

// The other server renames a file after our look and before our lock: the
// message that is expunged must not stay as a new one.
func TestExpungeOfARenamedFile(t *testing.T) {
	for _, mode := range []Mode{Shared, Exclusive} {
		h, rival, give := withRivalIn(t, mode)
		m := h.box("INBOX")
		base := give("one", 3, Seen)
		give("two", 4, 0)
		h.see(m, "3:S 4:")
		h.clock.sleep(5e9)
		h.see(m, "3:S 4:")
		act := func() {
			must(t, h.fs.Rename(filepath.Join(h.cfg.Maildir, "cur", base+":2,S"), filepath.Join(h.cfg.Maildir, "cur", base+":2,FS")))
		}
		rival.locking.Store(&act)
		_, err := m.Remove(bg, SetOf(3))
		must(t, err)
		h.see(m, "4:")
		must(t, m.Flush(bg))
		h.clock.sleep(5e9)
		h.see(m, "4:")
		must(t, h.store.Close(bg))
		if left, err := h.fs.ReadDir(filepath.Join(h.cfg.Maildir, "cur")); err != nil || len(left) > 1 {
			t.Errorf("left in cur/: %v %v", left, err)
		}
	}
}

// A message that comes back after it was expunged has one line in the list.
func TestBackWithOneLine(t *testing.T) {
	h, _, give := withRival(t)
	m := h.box("INBOX")
	base := give("one", 3, Seen)
	h.see(m, "3:S")
	cur := filepath.Join(h.cfg.Maildir, "cur", base+":2,S")
	must(t, h.fs.Rename(cur, "/home/aside"))
	h.see(m, "")
	must(t, h.fs.Rename("/home/aside", cur))
	h.see(m, "4:S")
	f, err := h.tree.Folder("INBOX")
	must(t, err)
	list, err := f.UIDList()
	must(t, err)
	if len(list.Records) != 1 || list.Records[0].UID != 4 {
		t.Errorf("the list has %v", list.Records)
	}
	must(t, h.store.Close(bg))
}

// A keyword that the other program named and used after our look has its name
// when it shows.
func TestRivalsKeyword(t *testing.T) {
	h, rival, give := withRival(t)
	m := h.box("INBOX")
	base := give("one", 3, Seen)
	h.see(m, "3:S")
	act := func() {
		f, err := h.tree.Folder("INBOX")
		must(t, err)
		l, err := f.Lock(bg)
		must(t, err)
		_, _, err = l.AllotKeywords([]string{"a", "Theirs"})
		must(t, err)
		must(t, l.Unlock())
		h.rename("INBOX", base, ":2,Sb")
	}
	rival.locking.Store(&act)
	h.append("INBOX", "two", Incoming{})
	h.see(m, "3:S(Theirs) 4:")
	must(t, h.store.Close(bg))
}

// The other program listed the folder without the lock, saw the letter of a
// keyword that is newer than the list it had read, and wrote its own list: the
// keyword has its name again at the next look, and no message has two.
func TestRivalLosesAKeyword(t *testing.T) {
	for _, theirs := range []string{"0 unknown-0\n", "1 Theirs\n"} {
		h, _, _ := withRival(t)
		m := h.box("INBOX")
		h.append("INBOX", "one", Incoming{})
		_, err := m.Store(bg, SetOf(1), change(Add, 0, "Ours"))
		must(t, err)
		h.clock.sleep(5e9)
		h.see(m, "1:(Ours)")
		file := filepath.Join(h.cfg.Maildir, "dovecot-keywords")
		must(t, disk.WriteFile(h.fs, file, []byte(theirs), 0o600))
		h.see(m, "1:(Ours)")
		want := strings.Trim("0 Ours\n"+strings.TrimPrefix(theirs, "0 unknown-0\n"), "\n")
		if got := h.contents(file); strings.Trim(got, "\n") != want {
			t.Errorf("the list is %q", got)
		}
		must(t, h.store.Close(bg))
	}
}

// Files that get other names, or go, after a copy has begun and before its links
// are made: those that are still there are copied, as one, and nothing of what
// was begun before is ever seen.
func TestCopyOfWhatIsRenamedMeanwhile(t *testing.T) {
	for _, mode := range []Mode{Shared, Exclusive} {
		h, rival, _ := withRivalIn(t, mode)
		must(t, h.acct.Create(bg, "Copies"))
		m, dest := h.box("INBOX"), h.box("Copies")
		for _, text := range []string{"one", "two", "three", "four"} {
			h.append("INBOX", text, Incoming{})
		}
		h.see(m, "1: 2: 3: 4:")
		im := m.Snapshot().im
		act := func() {
			h.rename("INBOX", im.At(1).Name, ":2,S")
			must(t, h.fs.Remove(filepath.Join(h.cfg.Maildir, "cur", im.At(2).Name+":2,")))
		}
		rival.locking.Store(&act)
		got, err := m.Copy(bg, SetOf(1, 2, 3, 4), "Copies")
		must(t, err)
		want := "[1 2 4]"
		if mode == Shared { // they were held on to before
			want = "[1 2 3 4]"
		}
		if fmt.Sprint(got.Source) != want || len(got.Dest) != len(got.Source) {
			t.Fatalf("copied %v to %v", got.Source, got.Dest)
		}
		must(t, dest.Sync(bg))
		if s := dest.Snapshot(); s.Len() != len(got.Dest) || h.read(dest, s.UID(1)) != "two" || h.read(dest, s.UID(s.Len()-1)) != "four" {
			t.Errorf("%s", show(s))
		}
		if files := strings.Fields(h.files("Copies")); len(files) != len(got.Dest) {
			t.Errorf("%d files: %v", len(files), files)
		}
		must(t, h.store.Close(bg))
	}
}
