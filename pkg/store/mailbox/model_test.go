package mailbox

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// The model of a folder: messages known by their bodies, which are all
// different, with the flags in force and those that the file's name showed
// when the folder was last looked at. Keywords count as flags with names.
type modelMessage struct {
	uid   uint32
	flags map[string]bool
	seen  map[string]bool
}

type modelFolder struct {
	messages map[string]*modelMessage // by body
	next     uint32
}

type fileOnDisk struct {
	path  string
	flags map[string]bool
}

// world is a house, its model, and another program that works on the files.
type world struct {
	*house
	rt      *rapid.T
	mode    Mode
	folders map[string]*modelFolder
	handles []*Mailbox
	views   []*Snapshot
	bodies  int
}

func flagNames(f Flags) map[string]bool {
	out := map[string]bool{}
	for _, c := range f.String() {
		out[string(c)] = true
	}
	return out
}

// disk reads what is really there, in the plainest way.
func (w *world) disk(folder string) map[string]fileOnDisk {
	f, err := w.tree.Folder(folder)
	must(w.t, err)
	k, err := f.Keywords()
	must(w.t, err)
	out := map[string]fileOnDisk{}
	for _, d := range []string{"new", "cur"} {
		entries, err := w.fs.ReadDir(filepath.Join(f.Dir(), d))
		must(w.t, err)
		for _, e := range entries {
			path := filepath.Join(f.Dir(), d, e.Name())
			body, err := disk.ReadFile(w.fs, path, 1000)
			must(w.t, err)
			_, info := maildir.Split(e.Name())
			flags := flagNames(info.Flags)
			for i := range 26 {
				if info.Letters&(1<<i) != 0 {
					flags[k.Name(i)] = true
				}
			}
			out[string(body)] = fileOnDisk{path, flags}
		}
	}
	return out
}

// sync is what looking at a folder means: for each flag, what somebody changed
// in the name wins, else what is in force stays.
func (w *world) sync(folder string) {
	f := w.folders[folder]
	found := w.disk(folder)
	for body, m := range f.messages {
		now, ok := found[body]
		if !ok {
			delete(f.messages, body)
			continue
		}
		for _, k := range keysOf(m.seen, now.flags) {
			if m.seen[k] != now.flags[k] {
				set(m.flags, k, now.flags[k])
			}
		}
		m.seen = now.flags
	}
	var fresh []string
	for body := range found {
		if f.messages[body] == nil && !w.buried(folder, body) {
			fresh = append(fresh, body)
		}
	}
	slices.Sort(fresh)
	for _, body := range fresh {
		f.messages[body] = &modelMessage{f.next, maps.Clone(found[body].flags), found[body].flags}
		f.next++
	}
}

// buried reports whether a body was expunged and its file only not removed yet.
func (w *world) buried(folder, body string) bool {
	for _, slot := range w.acct.openBoxes() {
		b := slot.box
		if b.folderName() != folder {
			continue
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		file := w.disk(folder)[body].path
		base, _ := maildir.Split(filepath.Base(file))
		for _, g := range b.graves {
			if g.ref.Base == base {
				return true
			}
		}
	}
	return false
}

func set(m map[string]bool, k string, on bool) {
	if on {
		m[k] = true
	} else {
		delete(m, k)
	}
}

func keysOf(a, b map[string]bool) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Collect(maps.Keys(all))
}

func (w *world) body() string {
	w.bodies++
	return fmt.Sprintf("body-%06d\n", w.bodies)
}

func (w *world) pickFlags() (Flags, []string) {
	f := rapid.SampledFrom([]Flags{0, Seen, Flagged, Deleted, Seen | Answered, Draft | Deleted}).Draw(w.rt, "flags")
	k := rapid.SampledFrom([][]string{nil, {"Foo"}, {"$Junk"}, {"Foo", "$Junk"}}).Draw(w.rt, "keywords")
	return f, k
}

func both(f Flags, keywords []string) map[string]bool {
	m := flagNames(f)
	for _, k := range keywords {
		m[k] = true
	}
	return m
}

// uidSet draws some of the folder's UIDs, and some that do not exist.
func (w *world) uidSet(folder string) Set {
	first := rapid.Uint32Range(1, w.folders[folder].next).Draw(w.rt, "first")
	s := Set{{First: first, Last: first + rapid.Uint32Range(0, 5).Draw(w.rt, "more")}}
	if rapid.Bool().Draw(w.rt, "two ranges") {
		s = append(s, Range{First: 1, Last: 2}).Normalize()
	}
	return s
}

func (w *world) in(folder string, s Set) []string {
	var out []string
	for body, m := range w.folders[folder].messages {
		if s.Contains(m.uid) {
			out = append(out, body)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return int(w.folders[folder].messages[a].uid) - int(w.folders[folder].messages[b].uid)
	})
	return out
}

// handle draws one of the session's handles.
func (w *world) handle() (*Mailbox, string) {
	m := w.handles[rapid.IntRange(0, len(w.handles)-1).Draw(w.rt, "handle")]
	return m, m.Name()
}

var steps = map[string]func(*world){
	"append": func(w *world) {
		folder := rapid.SampledFrom([]string{"INBOX", "B"}).Draw(w.rt, "folder")
		flags, keywords := w.pickFlags()
		w.sync(folder)
		body := w.body()
		uid := w.house.append(folder, body, Incoming{Flags: flags, Keywords: keywords})
		f := w.folders[folder]
		if uid != f.next {
			w.rt.Fatalf("appended as %d, want %d", uid, f.next)
		}
		f.messages[body] = &modelMessage{uid, both(flags, keywords), both(flags, keywords)}
		f.next++
	},
	"store": func(w *world) {
		m, folder := w.handle()
		if w.mode == Shared {
			w.sync(folder)
		}
		s, op := w.uidSet(folder), rapid.SampledFrom([]Op{Add, Remove, Replace}).Draw(w.rt, "op")
		flags, keywords := w.pickFlags()
		_, err := m.Store(bg, s, change(op, flags, keywords...))
		must(w.t, err)
		want := both(flags, keywords)
		for _, body := range w.in(folder, s) {
			x := w.folders[folder].messages[body]
			for _, k := range keysOf(x.flags, want) {
				switch {
				case op == Add && want[k], op == Replace && want[k]:
					x.flags[k] = true
				case op == Remove && want[k], op == Replace && k != "P":
					delete(x.flags, k)
				}
			}
			if w.mode == Shared {
				x.seen = maps.Clone(x.flags) // the name says so already
			}
		}
	},
	"expunge": func(w *world) {
		m, folder := w.handle()
		if w.mode == Shared {
			w.sync(folder)
		}
		s := w.uidSet(folder)
		_, err := m.Expunge(bg, s)
		must(w.t, err)
		for _, body := range w.in(folder, s) {
			if w.folders[folder].messages[body].flags["T"] {
				delete(w.folders[folder].messages, body)
			}
		}
	},
	"copy": func(w *world) { w.copy(false) },
	"move": func(w *world) { w.copy(true) },
	"deliver": func(w *world) {
		folder := rapid.SampledFrom([]string{"INBOX", "B"}).Draw(w.rt, "folder")
		flags := rapid.SampledFrom([]Flags{0, 0, Seen}).Draw(w.rt, "flags")
		w.deliver(folder, w.body(), flags)
	},
	"outside rename": func(w *world) {
		if f, ok := w.outsideFile(); ok {
			base, info := maildir.Split(filepath.Base(f.path))
			info.Flags ^= rapid.SampledFrom([]Flags{Seen, Flagged, Answered, Deleted}).Draw(w.rt, "toggled")
			to := filepath.Join(filepath.Dir(filepath.Dir(f.path)), "cur", maildir.Join(base, info))
			must(w.t, w.fs.Rename(f.path, to))
		}
	},
	"outside remove": func(w *world) {
		if f, ok := w.outsideFile(); ok {
			must(w.t, w.fs.Remove(f.path))
		}
	},
	"flush": func(w *world) {
		m, folder := w.handle()
		must(w.t, m.Flush(bg))
		w.look(folder)
	},
	"claim": func(w *world) {
		m, folder := w.handle()
		_, err := m.ClaimRecent(bg)
		must(w.t, err)
		w.look(folder)
	},
	"rest": func(w *world) {
		m, _ := w.handle()
		m.box.rest()
	},
	"reopen": func(w *world) {
		w.reopen()
		w.openHandles()
		w.look("INBOX")
		w.look("B")
		w.views = nil
	},
}

// look makes both the house and the model look at a folder.
func (w *world) look(folder string) {
	for _, m := range w.handles {
		if m.Name() == folder {
			must(w.t, m.Sync(bg))
			break
		}
	}
	w.sync(folder)
}

func (w *world) outsideFile() (fileOnDisk, bool) {
	folder := rapid.SampledFrom([]string{"INBOX", "B"}).Draw(w.rt, "folder")
	found := w.disk(folder)
	bodies := slices.Sorted(maps.Keys(found))
	bodies = slices.DeleteFunc(bodies, func(b string) bool { return w.buried(folder, b) })
	if len(bodies) == 0 {
		return fileOnDisk{}, false
	}
	return found[rapid.SampledFrom(bodies).Draw(w.rt, "body")], true
}

func (w *world) copy(move bool) {
	m, folder := w.handle()
	to := map[string]string{"INBOX": "B", "B": "INBOX"}[folder]
	w.look(folder)
	s := w.uidSet(folder)
	bodies := w.in(folder, s)
	if len(bodies) == 0 {
		return
	}
	w.look(to)
	src, dst := w.folders[folder], w.folders[to]
	for _, body := range bodies {
		if dst.messages[body] != nil || w.buried(to, body) {
			return // the model knows messages by their bodies
		}
	}
	run := m.Copy
	if move {
		run = m.Move
	}
	c, err := run(bg, s, to)
	must(w.t, err)
	for i, body := range bodies {
		x := src.messages[body]
		if c.Source[i] != x.uid || c.Dest[i] != dst.next {
			w.rt.Fatalf("copied %v to %v", c.Source, c.Dest)
		}
		flags := maps.Clone(x.flags)
		delete(flags, "P")
		dst.messages[body] = &modelMessage{dst.next, flags, maps.Clone(flags)}
		dst.next++
		if move {
			delete(src.messages, body)
		}
	}
}

func (w *world) openHandles() {
	w.handles = []*Mailbox{w.house.box("INBOX"), w.house.box("INBOX"), w.house.box("B")}
}

// check compares all handles with the model, and each handle's last view with
// its present one.
func (w *world) check() {
	views := make([]*Snapshot, len(w.handles))
	for i, m := range w.handles {
		s := m.Snapshot()
		views[i] = s
		f := w.folders[m.Name()]
		var want []string
		for body, x := range f.messages {
			want = append(want, fmt.Sprintf("%06d %s %v", x.uid, strings.TrimSpace(body), slices.Sorted(maps.Keys(x.flags))))
		}
		slices.Sort(want)
		var got []string
		for _, x := range s.All() {
			flags := both(x.Flags, s.KeywordNames(x))
			got = append(got, fmt.Sprintf("%06d %s %v", x.UID, strings.TrimSpace(w.read(m, x.UID)), slices.Sorted(maps.Keys(flags))))
		}
		if !slices.Equal(got, want) {
			w.rt.Fatalf("%s shows\n  %s\nwant\n  %s", m.Name(), strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
		if w.views != nil {
			w.checkDelta(w.views[i], s)
		}
	}
	w.views = views
}

func (w *world) checkDelta(old, now *Snapshot) {
	d := Diff(old, now)
	if now.HighestModSeq() < old.HighestModSeq() || now.UIDNext() < old.UIDNext() || now.UIDValidity() != old.UIDValidity() {
		w.rt.Fatalf("a counter went back")
	}
	gone := map[uint32]bool{}
	for _, g := range d.Expunged {
		gone[g.UID] = true
		if old.UID(g.Index) != g.UID {
			w.rt.Fatalf("message %d was not at %d", g.UID, g.Index)
		}
	}
	changed := map[int]bool{}
	for _, i := range d.Changed {
		changed[i] = true
	}
	for _, x := range old.All() {
		i, ok := now.Find(x.UID)
		if ok == gone[x.UID] {
			w.rt.Fatalf("message %d: there %v, expunged %v", x.UID, ok, gone[x.UID])
		}
		if !ok {
			continue
		}
		y := now.At(i)
		differs := x.Flags != y.Flags || !slices.Equal(old.KeywordNames(x), now.KeywordNames(y))
		if differs && (!changed[i] || y.ModSeq <= x.ModSeq) {
			w.rt.Fatalf("message %d changed: told %v, MODSEQ from %d to %d", x.UID, changed[i], x.ModSeq, y.ModSeq)
		}
	}
	for i, y := range now.All() {
		if _, ok := old.Find(y.UID); !ok && (i < d.Appended || y.UID < old.UIDNext()) {
			w.rt.Fatalf("message %d is new at %d, appended from %d, UIDNEXT was %d", y.UID, i, d.Appended, old.UIDNext())
		}
	}
}

// Random operations by several sessions and by another program that renames,
// delivers and removes files, against the model above.
func TestAgainstModel(t *testing.T) {
	names := slices.Sorted(maps.Keys(steps))
	for _, mode := range []Mode{Exclusive, Shared} {
		rapid.Check(t, func(rt *rapid.T) {
			w := &world{house: inMemory(t, mode), rt: rt, mode: mode, folders: map[string]*modelFolder{}}
			must(t, w.acct.Create(bg, "B"))
			for _, n := range []string{"INBOX", "B"} {
				w.folders[n] = &modelFolder{messages: map[string]*modelMessage{}, next: 1}
			}
			w.openHandles()
			for range rapid.IntRange(1, 25).Draw(rt, "steps") {
				name := rapid.SampledFrom(names).Draw(rt, "step")
				steps[name](w)
				if rapid.Bool().Draw(rt, "look") {
					w.look("INBOX")
					w.look("B")
					w.check()
				}
			}
			// In the end everything is in the file names.
			w.look("INBOX")
			w.look("B")
			must(t, w.store.Close(bg))
			for folder, f := range w.folders {
				found := w.disk(folder)
				if len(found) != len(f.messages) {
					rt.Fatalf("%d files, %d messages", len(found), len(f.messages))
				}
				for body, m := range f.messages {
					if !maps.Equal(found[body].flags, m.flags) {
						rt.Fatalf("%s: file says %v, in force %v", body, found[body].flags, m.flags)
					}
				}
			}
		})
	}
}
