package mailbox

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// foreigner is another program that works on a folder without locks.
type foreigner struct {
	*house
	dir  string
	next int
}

func (f *foreigner) path(place maildir.Place, file string) string {
	return filepath.Join(f.dir, place.Dir(), file)
}

func (f *foreigner) add(place maildir.Place, info string) string {
	f.t.Helper()
	f.next++
	file := fmt.Sprintf("%d.foreign%s", 1_795_442_559+f.next, info)
	must(f.t, os.WriteFile(f.path(place, file), []byte("Subject: x\n\ny\n"), 0o600))
	return file
}

// watched is a folder of n messages that a session watches; whatever happened
// before the watch began is looked at.
func watched(t *testing.T, n int) (*foreigner, *Mailbox, func()) {
	h := live(t, Config{Poll: time.Hour})
	if h.store.watcher == nil {
		t.Skip("no inotify here")
	}
	f := &foreigner{house: h, dir: h.cfg.Maildir}
	for range n {
		f.add(maildir.InCur, ":2,")
	}
	m := h.box("INBOX")
	stop := m.Watch()
	b := m.box
	b.mu.Lock()
	defer b.mu.Unlock()
	must(t, b.sync(bg, true))
	if w, ok := b.watch.(settler); !ok || w.Settle() != nil {
		t.Skip("a file system of which nobody knows when events come")
	}
	return f, m, stop
}

// What the names of a few files say is all there is to look at; where they do
// not say all, and after an event is lost, it takes a look at all.
func TestForeignChangesByName(t *testing.T) {
	const base = 1_795_442_559
	file := func(i int, info string) string { return fmt.Sprintf("%d.foreign%s", base+i, info) }
	for _, c := range []struct {
		name   string
		change func(f *foreigner)
		alone  bool
		want   string
	}{
		{"flags", func(f *foreigner) {
			must(f.t, os.Rename(f.path(maildir.InCur, file(2, ":2,")), f.path(maildir.InCur, file(2, ":2,S"))))
		}, true, "1: 2:S 3:"},
		{"there and back", func(f *foreigner) {
			must(f.t, os.Rename(f.path(maildir.InCur, file(2, ":2,")), f.path(maildir.InCur, file(2, ":2,S"))))
			must(f.t, os.Rename(f.path(maildir.InCur, file(2, ":2,S")), f.path(maildir.InCur, file(2, ":2,"))))
		}, true, "1: 2: 3:"},
		{"to new/", func(f *foreigner) {
			must(f.t, os.Rename(f.path(maildir.InCur, file(2, ":2,")), f.path(maildir.InNew, file(2, ""))))
		}, true, "1: 2: 3:"},
		{"a message more", func(f *foreigner) { f.add(maildir.InCur, ":2,F") }, true, "1: 2: 3: 4:F"},
		{"no message", func(f *foreigner) {
			must(f.t, os.WriteFile(f.path(maildir.InCur, ".hidden"), nil, 0o600))
		}, true, "1: 2: 3:"},
		{"a letter without a name", func(f *foreigner) {
			must(f.t, os.Rename(f.path(maildir.InCur, file(3, ":2,")), f.path(maildir.InCur, file(3, ":2,Sb"))))
		}, true, "1: 2: 3:S(unknown-1)"},
		{"a letter with one", func(f *foreigner) {
			must(f.t, os.WriteFile(filepath.Join(f.dir, "dovecot-keywords"), []byte("0 work\n"), 0o600))
			must(f.t, os.Rename(f.path(maildir.InCur, file(3, ":2,")), f.path(maildir.InCur, file(3, ":2,a"))))
		}, false, "1: 2: 3:(work)"},
		{"gone", func(f *foreigner) { must(f.t, os.Remove(f.path(maildir.InCur, file(1, ":2,")))) }, false, "2: 3:"},
		{"a second file of a message", func(f *foreigner) {
			must(f.t, os.WriteFile(f.path(maildir.InCur, file(1, ":2,S")), []byte("z"), 0o600))
		}, false, "1: 2: 3: 4:S"},
		{"a folder", func(f *foreigner) { must(f.t, os.Mkdir(f.path(maildir.InCur, "folder"), 0o700)) }, false, "1: 2: 3:"},
		{"lost events", func(f *foreigner) {
			must(f.t, os.WriteFile(f.path(maildir.InCur, ".0"), nil, 0o600))
			for i := range 150 { // with two events each
				must(f.t, os.Rename(f.path(maildir.InCur, fmt.Sprint(".", i)), f.path(maildir.InCur, fmt.Sprint(".", i+1))))
			}
		}, false, "1: 2: 3:"},
		{"nothing", func(*foreigner) {}, false, "1: 2: 3:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, m, stop := watched(t, 3)
			defer stop()
			b := m.box
			b.mu.Lock() // nobody else looks meanwhile
			c.change(f)
			lk, err := b.format.Lock(bg)
			must(t, err)
			done, err := b.syncNamed(lk)
			must(t, err)
			must(t, lk.Unlock())
			b.mu.Unlock()
			if done != c.alone {
				t.Errorf("names alone did: %v", done)
			}
			if done {
				if got := show(m.Snapshot()); got != c.want {
					t.Errorf("by name the view is %q, want %q", got, c.want)
				}
			}
			b.mu.Lock()
			must(t, b.sync(bg, true))
			b.mu.Unlock()
			if got := show(m.Snapshot()); got != c.want {
				t.Errorf("the view is %q, want %q", got, c.want)
			}
		})
	}
}

// A message that comes while we change a folder ourselves that nobody watches is
// found at the next look, however fine the clock of its file system is.
func TestForeignChangeBehindOurs(t *testing.T) {
	h := live(t, Config{Poll: time.Hour})
	f := &foreigner{house: h, dir: h.cfg.Maildir}
	f.add(maildir.InNew, "")
	m := h.box("INBOX")
	b := m.box
	b.mu.Lock()
	must(t, b.sync(bg, true))
	must(t, b.own(func() error {
		f.add(maildir.InNew, "") // as deliverd does
		dir := filepath.Join(f.dir, "new")
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		for { // the stamp is old enough to prove that nothing came after it
			now, known := disk.StampClock(disk.OS(), dir)
			if !known || now.After(info.ModTime()) {
				return nil
			}
		}
	}))
	must(t, b.sync(bg, false))
	b.mu.Unlock()
	if got := show(m.Snapshot()); got != "1: 2:" {
		t.Errorf("the view is %q", got)
	}
}

// After a few changes of our own in a folder that nobody watches a delivery by
// another program costs a look at new/ alone.
func TestDeliveryAfterAChangeOfOurs(t *testing.T) {
	f, m, stop := watched(t, 3)
	stop()
	must(t, m.Close())
	f.again()
	m = f.box("INBOX")
	_, err := m.Store(bg, SetOf(2), change(Add, Seen))
	must(t, err)
	must(t, m.Flush(bg))
	b := m.box
	b.mu.Lock()
	defer b.mu.Unlock()
	f.add(maildir.InNew, "")
	must(t, b.watch.(settler).Settle())
	if _, onlyNew, all, err := b.whatChanged(false); err != nil || !onlyNew || all {
		t.Errorf("new/ is to be listed: %v, all: %v, %v", onlyNew, all, err)
	}
	must(t, b.sync(bg, false))
	if got := show(m.Snapshot()); got != "1: 2:S 3: 4:" {
		t.Errorf("the view is %q", got)
	}
}

// What came before that watch began, and did not show, is not believed away.
func TestHiddenBeforeAChangeOfOurs(t *testing.T) {
	f, m, stop := watched(t, 3)
	stop()
	must(t, m.Close())
	f.again()
	m = f.box("INBOX")
	b := m.box
	b.mu.Lock()
	mtime := b.known.Cur.Mtime
	b.known.Cur.At = mtime // the look was too early to prove anything
	b.mu.Unlock()
	f.add(maildir.InCur, ":2,F")
	must(t, os.Chtimes(filepath.Join(f.dir, "cur"), mtime, mtime)) // in the same step of the clock
	_, err := m.Store(bg, SetOf(2), change(Add, Seen))
	must(t, err)
	must(t, m.Flush(bg))
	must(t, m.Sync(bg))
	if got := show(m.Snapshot()); got != "1: 2:S 3: 4:F" {
		t.Errorf("the view is %q", got)
	}
}

// Whatever another program does, a view that follows it by name is what a look at
// all would show, and no UID changes.
func TestForeignChangesAtRandom(t *testing.T) {
	f, m, stop := watched(t, 20)
	defer stop()
	type message struct {
		place maildir.Place
		file  string
	}
	files := map[string]message{} // by base name
	for i := range 20 {
		base := fmt.Sprintf("%d.foreign", 1_795_442_560+i)
		files[base] = message{maildir.InCur, base + ":2,"}
	}
	uids := map[string]uint32{}
	view := func() string {
		var out []string
		s := m.Snapshot()
		for i := range s.Len() {
			r := s.im.At(i)
			if uid, ok := uids[r.Name]; ok && uid != r.UID {
				t.Fatalf("message %s was %d and is %d", r.Name, uid, r.UID)
			}
			uids[r.Name] = r.UID
			out = append(out, r.Name+Flags(r.Flags).String())
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	want := func() string {
		var out []string
		for base, x := range files {
			_, info := maildir.Split(x.file)
			out = append(out, base+info.Flags.String())
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	infos := []string{":2,", ":2,S", ":2,F", ":2,FS", ":2,RS"}
	for range 150 {
		for range 1 + rand.IntN(3) {
			bases := slices.Sorted(maps.Keys(files))
			switch k := rand.IntN(10); {
			case k == 0 || len(bases) < 5:
				file := f.add(maildir.InCur, infos[rand.IntN(len(infos))])
				base, _ := maildir.Split(file)
				files[base] = message{maildir.InCur, file}
			case k == 1:
				file := f.add(maildir.InNew, "")
				files[file] = message{maildir.InNew, file}
			case k == 2:
				base := bases[rand.IntN(len(bases))]
				must(t, os.Remove(f.path(files[base].place, files[base].file)))
				delete(files, base)
			default:
				base := bases[rand.IntN(len(bases))]
				x, to := files[base], base+infos[rand.IntN(len(infos))]
				must(t, os.Rename(f.path(x.place, x.file), f.path(maildir.InCur, to)))
				files[base] = message{maildir.InCur, to}
			}
		}
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			must(t, m.Sync(bg))
			if got := view(); got == want() {
				break
			} else if time.Now().After(end) {
				t.Fatalf("the view is\n%s, want\n%s", got, want())
			}
		}
	}
	m.box.mu.Lock()
	must(t, m.box.sync(bg, true))
	m.box.mu.Unlock()
	if got := view(); got != want() {
		t.Errorf("after a look at all the view is\n%s, want\n%s", got, want())
	}
}
