package mailbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// live is a house on a real disk with the background running.
func live(t testing.TB, cfg Config) *house {
	h := &house{t: t, fs: disk.OS(), base: t.TempDir(), clock: &clock{}}
	h.cfg = AccountConfig{User: "joe", Maildir: h.base + "/Maildir"}
	h.tree = maildir.NewTree(h.fs, h.cfg.Maildir, maildir.Options{Namer: maildir.NewNamer("deliverd", 2, nil)})
	cfg.IndexRoot = h.base + "/index"
	s, err := NewStore(cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(bg)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	for !s.running() {
		time.Sleep(time.Millisecond)
	}
	h.store = s
	h.acct, err = s.Account(bg, h.cfg)
	must(t, err)
	t.Cleanup(func() {
		must(t, s.Close(bg))
		cancel()
		wg.Wait()
	})
	return h
}

// until waits for a view.
func (h *house) until(m *Mailbox, want string) {
	h.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		got := show(m.Snapshot())
		if got == want {
			return
		}
		select {
		case <-m.Changes():
		case <-limit:
			h.t.Fatalf("the view is %q, want %q", got, want)
		}
	}
}

// A session that watches hears of deliveries and of foreign changes, by
// inotify, by polling, and by the hints of deliverd.
func TestNews(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		hint bool
	}{
		{"inotify", Config{Poll: time.Hour}, false},
		{"polling", Config{Poll: 5 * time.Millisecond, NoWatch: true}, false},
		{"hint", Config{Poll: time.Hour, NoWatch: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := live(t, c.cfg)
			if c.name == "inotify" && h.store.watcher == nil {
				t.Skip("no inotify here")
			}
			m := h.box("INBOX")
			stop := m.Watch()
			defer stop()
			d := h.deliver("INBOX", "x", 0)
			if c.hint {
				h.store.Hint("joe", Hint{Folder: "INBOX", File: d.Base})
				h.store.Hint("nobody", Hint{Folder: "INBOX"})
				h.store.Hint("joe", Hint{Folder: "../x"})
			}
			h.until(m, "1:")
			if c.hint {
				return
			}
			h.rename("INBOX", d.Base, ":2,F")
			h.until(m, "1:F")
		})
	}
}

// A hint is a reason to look only while its message is not known, and the names
// of several count together.
func TestHintOfKnownMessage(t *testing.T) {
	h := live(t, Config{Poll: time.Hour, NoWatch: true})
	m := h.box("INBOX")
	var names []string
	for range lastCome {
		names = append(names, h.deliver("INBOX", "x", 0).Base)
	}
	must(t, m.Sync(bg))
	late := h.deliver("INBOX", "x", 0).Base // nobody has looked since
	for _, c := range []struct {
		name  string
		files []string
		known bool
	}{
		{"none", nil, true},
		{"the last", names[lastCome-1:], true},
		{"all", names, true},
		{"one that has not been seen", []string{late}, false},
		{"one of several", []string{names[0], late}, false},
		{"one that is none", []string{"../cur/" + names[0]}, false},
		{"too many", append([]string{names[0]}, names...), false},
	} {
		if got := m.box.haveCome(slices.Clone(c.files)); got != c.known {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	h.store.Hint("joe", Hint{Folder: "INBOX", File: names[0]}) // is known, so that nothing happens
	h.store.Hint("joe", Hint{Folder: "INBOX", File: late})
	for end := time.Now().Add(30 * time.Second); m.Snapshot().Len() != lastCome+1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the hint has led to no look")
		}
	}
}

// The background writes flags to file names by itself.
func TestWriteBehind(t *testing.T) {
	h := live(t, Config{FlushIn: time.Millisecond})
	h.append("INBOX", "x", Incoming{})
	m := h.box("INBOX")
	_, err := m.Store(bg, SetOf(1), change(Add, Seen))
	must(t, err)
	for end := time.Now().Add(30 * time.Second); h.files("INBOX") != "cur:2,S"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("files %s", h.files("INBOX"))
		}
	}
}

// A process whose clients have all gone idle allocates nothing, so that the
// runtime would leave what was dropped in memory for minutes.
func TestDroppedMemoryIsCollected(t *testing.T) {
	h := inMemory(t, Exclusive)
	collections := func() int64 {
		var s debug.GCStats
		debug.ReadGCStats(&s)
		return s.NumGC
	}
	before := collections()
	h.store.dropped = collectAt
	h.store.tidy()
	if h.store.dropped != 0 || collections() == before {
		t.Errorf("%d collections more, %d bytes left", collections()-before, h.store.dropped)
	}
}

// However many sessions have a mailbox open, its messages are in memory once.
func TestHandlesShareOneState(t *testing.T) {
	h := inMemory(t, Exclusive)
	for range 1000 {
		h.deliver("INBOX", "x", Seen)
	}
	first := h.box("INBOX")
	must(t, first.Sync(bg))
	for range 10 {
		m := h.box("INBOX")
		if m.Snapshot() != first.Snapshot() {
			t.Fatal("a second session has a snapshot of its own")
		}
	}
	if per := first.box.ix.Image().Resident() / 1000; per > 64 {
		t.Errorf("%d bytes a message", per)
	}
}

// Idle folders are closed, idle accounts give their lock back, and both come
// back when they are asked for.
func TestIdleThingsAreClosed(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.store.runs.Store(true) // as if Run were there; the test does its work
	for range 150 {
		h.deliver("INBOX", "x", Seen)
	}
	m := h.box("INBOX")
	h.deliver("INBOX", "y", 0)
	must(t, m.Sync(bg))
	want := show(m.Snapshot())
	m.box.cache.Settle() // or what works in the background uses the mailbox a minute later
	h.clock.sleep(time.Minute)
	h.store.tidy()
	if n := m.box.ix.Image().Resident(); n != 0 {
		t.Errorf("%d bytes of an idle mailbox stay in memory", n)
	}
	if h.store.dropped < 150*30 {
		t.Errorf("%d bytes were dropped", h.store.dropped)
	}
	h.see(m, want)
	must(t, m.Close())
	h.store.tidy()
	if len(h.acct.openBoxes()) != 1 {
		t.Error("closed at once")
	}
	h.clock.sleep(time.Minute)
	h.store.tidy()
	if len(h.acct.openBoxes()) != 0 {
		t.Error("an idle folder stays open")
	}
	h.see(h.box("INBOX"), want)
	must(t, h.acct.Close())
	h.clock.sleep(time.Minute)
	h.store.tidy()
	if got := h.store.Accounts(); len(got) != 0 {
		t.Errorf("open accounts %v", got)
	}
	a, err := h.store.Account(bg, h.cfg)
	must(t, err)
	h.acct = a
	h.see(h.box("INBOX"), want)
	must(t, h.store.Close(bg))
}

// Many sessions at once, with another program in between: nothing is lost,
// nothing deadlocks (and nothing races, under the race detector).
func TestConcurrentSessions(t *testing.T) {
	h := live(t, Config{FlushIn: time.Millisecond, Poll: time.Millisecond})
	must(t, h.acct.Create(bg, "B"))
	const sessions, rounds = 4, 15
	var wg sync.WaitGroup
	for s := range sessions {
		wg.Go(func() {
			m, err := h.acct.Open(bg, "INBOX")
			if err != nil {
				t.Error(err)
				return
			}
			defer m.Close()
			defer m.Watch()()
			for i := range rounds {
				p, err := h.acct.Append(bg, "INBOX")
				if err == nil {
					err = p.Add(bg, Incoming{}, strings.NewReader(fmt.Sprintf("Subject: %d.%d\r\n\r\n", s, i)))
				}
				var uids []uint32
				if err == nil {
					_, uids, err = p.Commit(bg)
				}
				if err == nil {
					_, err = m.Store(bg, SetOf(uids[0]), change(Add, Seen, fmt.Sprintf("k%d", s)))
				}
				if err == nil {
					_, err = m.AppendEnvelope(bg, nil, uids[0])
				}
				if err == nil && i%5 == 4 {
					_, err = m.Move(bg, SetOf(uids[0]), "B")
				}
				if err == nil {
					err = m.Sync(bg)
				}
				if err != nil {
					t.Error(err)
					return
				}
				for _, x := range m.Snapshot().All() {
					_ = x
				}
			}
		})
	}
	wg.Go(func() {
		for i := range rounds {
			if _, err := h.tree.Deliver(bg, "INBOX", maildir.Meta{}, strings.NewReader(fmt.Sprint("delivered ", i))); err != nil {
				t.Error(err)
			}
			if entries, err := os.ReadDir(filepath.Join(h.cfg.Maildir, "cur")); err == nil && len(entries) > 0 {
				old := entries[i%len(entries)].Name()
				base, info := maildir.Split(old)
				info.Flags |= Flagged
				_ = os.Rename(filepath.Join(h.cfg.Maildir, "cur", old), filepath.Join(h.cfg.Maildir, "cur", maildir.Join(base, info)))
			}
		}
	})
	wg.Wait()
	m := h.box("INBOX")
	must(t, m.Sync(bg))
	must(t, m.Flush(bg))
	must(t, m.Sync(bg))
	st, err := h.acct.Status(bg, "B", false)
	must(t, err)
	if n := m.Snapshot().Len() + st.Messages; n != sessions*rounds+rounds || st.Messages != sessions*rounds/5 {
		t.Errorf("%d messages in all, %d in B", n, st.Messages)
	}
	if n := m.Snapshot().Count(0, Seen); n != rounds {
		t.Errorf("%d messages have lost a flag", n-rounds)
	}
	must(t, m.Close())
}

// A look that comes too soon after a change proves nothing. The next one reads
// the folder, and finds what another program did in the same moment; where it
// did nothing, what we did ourselves is no reason to compare every name again.
func TestDoubt(t *testing.T) {
	for _, mode := range []Mode{Exclusive, Shared} {
		h := inMemory(t, mode)
		h.deliver("INBOX", "one", 0)
		m := h.box("INBOX")
		h.append("INBOX", "two", Incoming{})
		_, err := m.Store(bg, SetOf(2), change(Add, Flagged))
		must(t, err)
		_, err = m.ClaimRecent(bg)
		must(t, err)
		h.see(m, "1: 2:F")
		must(t, m.Flush(bg))
		same, err := m.box.format.(printed).Unchanged()
		if must(t, err); !same {
			t.Errorf("mode %v: our own changes are taken for those of others", mode)
		}
		cur := m.box.dir + "/cur"
		before, err := disk.Peek(h.fs, cur)
		must(t, err)
		h.rename("INBOX", ":2,F", ":2,FS")
		must(t, h.fs.(*disk.Forgetful).Chtimes(cur, before.ModTime))
		h.see(m, "1: 2:FS")
		must(t, h.store.Close(bg))
	}
}
