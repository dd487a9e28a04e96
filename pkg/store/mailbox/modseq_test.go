package mailbox

import (
	"slices"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// vanished is what Vanished says of all UIDs.
func vanished(t *testing.T, m *Mailbox, since uint64, wantExact bool) Set {
	t.Helper()
	gone, exact := m.Snapshot().Vanished(since, Set{{First: 1, Last: 1<<32 - 1}})
	if exact != wantExact {
		t.Errorf("since %d: exact is %v", since, exact)
	}
	return gone
}

// What is expunged is remembered with its MODSEQ, whoever did it, over a
// restart too.
func TestVanished(t *testing.T) {
	h := inMemory(t, Exclusive)
	for range 6 {
		h.append("INBOX", "x", Incoming{})
	}
	m := h.box("INBOX")
	start := m.Snapshot().HighestModSeq()
	_, err := m.Remove(bg, SetOf(2, 5))
	must(t, err)
	_, err = h.acct.Append(bg, "Nowhere")
	wantKind(t, "appending to no folder", err, fail.NotFound)
	must(t, h.acct.Create(bg, "Other"))
	_, err = m.Move(bg, SetOf(6), "Other")
	must(t, err)
	moved := m.Snapshot().HighestModSeq()
	must(t, m.Flush(bg))
	for _, f := range h.disk("INBOX") { // another program removes one of 1, 3 and 4
		must(t, h.fs.Remove(f))
		break
	}
	must(t, m.Sync(bg))
	now := m.Snapshot().HighestModSeq()
	for range 2 {
		for _, c := range []struct {
			since uint64
			n     int
		}{{start, 4}, {start + 1, 2}, {moved, 1}, {now, 0}, {now + 9, 0}} {
			gone := vanished(t, m, c.since, true)
			n := 0
			for _, g := range gone {
				n += int(g.Last-g.First) + 1
			}
			if n != c.n {
				t.Errorf("since %d: %v, want %d", c.since, gone, c.n)
			}
		}
		if gone, exact := m.Snapshot().Vanished(start, Set{{First: 1, Last: 5}}); !exact || !gone.Contains(2) || !gone.Contains(5) || gone.Contains(6) {
			t.Errorf("of 1:5: %v %v", gone, exact)
		}
		if gone := vanished(t, m, 0, false); !gone.Contains(2) || !gone.Contains(5) || !gone.Contains(6) || gone.Contains(7) {
			t.Errorf("since the beginning: %v", gone)
		}
		h.reopen()
		m = h.box("INBOX")
	}
	must(t, h.store.Close(bg))
}

// disk lists the files of a folder.
func (h *house) disk(folder string) []string {
	f, err := h.tree.Folder(folder)
	must(h.t, err)
	entries, err := h.fs.ReadDir(f.Dir() + "/cur")
	must(h.t, err)
	var out []string
	for _, e := range entries {
		out = append(out, f.Dir()+"/cur/"+e.Name())
	}
	return out
}

// A message that clients have seen and whose record a crash has lost is told
// as expunged when its file is gone too.
func TestLostAppendVanishes(t *testing.T) {
	mem := disk.NewForgetful()
	h := newHouse(t, mem, "/home", Exclusive)
	h.append("INBOX", "one", Incoming{})
	m := h.box("INBOX")
	_, err := m.Store(bg, SetOf(1), change(Add, Seen)) // durable
	must(t, err)
	uid := h.append("INBOX", "two", Incoming{})
	shown := m.Snapshot().HighestModSeq()
	after := newHouse(t, mem.Crash(), "/home", Exclusive)
	for _, d := range after.disk("INBOX") {
		if after.contents(d) == "two" {
			must(t, after.fs.Remove(d))
		}
	}
	m = after.box("INBOX")
	if _, there := m.Snapshot().Find(uid); there {
		t.Fatal("the message is still there")
	}
	if gone := vanished(t, m, shown, true); !gone.Contains(uid) || gone.Contains(1) {
		t.Errorf("expunged are %v, without %d", gone, uid)
	}
	must(t, after.store.Close(bg))
}

func (h *house) contents(name string) string {
	data, err := disk.ReadFile(h.fs, name, 1000)
	must(h.t, err)
	return string(data)
}

// A lost index: from its MODSEQ on everything is known, before that nothing.
func TestVanishedWithoutIndex(t *testing.T) {
	h := inMemory(t, Exclusive)
	for range 4 {
		h.append("INBOX", "x", Incoming{})
	}
	m := h.box("INBOX")
	_, err := m.Remove(bg, SetOf(2, 4))
	must(t, err)
	before, next := m.Snapshot().HighestModSeq(), m.Snapshot().UIDNext()
	must(t, h.store.Close(bg))
	must(t, disk.RemoveAll(h.fs, h.base+"/index"))
	h.open()
	m = h.box("INBOX")
	start := m.Snapshot().HighestModSeq()
	// Nobody can tell that this was no crash: some UIDs are passed over.
	after := m.Snapshot().UIDNext()
	if start <= before || after < next || after > next+maxAhead {
		t.Errorf("HIGHESTMODSEQ went from %d to %d, UIDNEXT from %d to %d", before, start, next, after)
	}
	_, err = m.Remove(bg, SetOf(3))
	must(t, err)
	if gone := vanished(t, m, before, false); !slices.Equal(gone, Set{{First: 2, Last: after - 1}}) {
		t.Errorf("expunged are %v", gone)
	}
	if gone := vanished(t, m, start, true); !slices.Equal(gone, Set{{First: 3, Last: 3}}) {
		t.Errorf("expunged are %v", gone)
	}
	must(t, h.store.Close(bg))
}

// RFC 7162 section 3.1.12: a change of other flags does not make a conditional
// +FLAGS or -FLAGS fail, if the caller knows what they were; and section 3.1.3:
// 0 passes for a keyword that is not there.
func TestUnchangedSinceLooksAtFlags(t *testing.T) {
	h := inMemory(t, Exclusive)
	for range 3 {
		h.append("INBOX", "x", Incoming{})
	}
	m, other := h.box("INBOX"), h.box("INBOX")
	told := m.Snapshot()
	_, err := other.Store(bg, SetOf(1, 2), change(Add, Deleted, "$Work"))
	must(t, err)
	for _, c := range []struct {
		what    string
		change  Change
		refused bool
	}{
		{"another flag", Change{Op: Add, Flags: Seen, UnchangedSince: told.HighestModSeq(), Told: told}, false},
		{"that flag", Change{Op: Add, Flags: Seen | Deleted, UnchangedSince: told.HighestModSeq(), Told: told}, true},
		{"another keyword", Change{Op: Remove, Keywords: []string{"$Play"}, UnchangedSince: told.HighestModSeq(), Told: told}, false},
		{"that keyword", Change{Op: Remove, Keywords: []string{"$work"}, UnchangedSince: told.HighestModSeq(), Told: told}, true},
		{"all flags", Change{Op: Replace, Flags: Seen, UnchangedSince: told.HighestModSeq(), Told: told}, true},
		{"not told", Change{Op: Add, Flags: Flagged, UnchangedSince: told.HighestModSeq()}, true},
		{"told of newer ones", Change{Op: Add, Flags: Flagged, UnchangedSince: told.HighestModSeq() - 3, Told: told}, true},
		{"no such keyword", Change{Op: Add, Keywords: []string{"$MDNSent"}}, false},
		{"keyword is there", Change{Op: Add, Keywords: []string{"$MDNSent"}}, true},
		{"a system flag always exists", Change{Op: Add, Flags: Draft, Told: told}, true},
	} {
		res, err := m.Store(bg, SetOf(1), c.change)
		must(t, err)
		if res.Modified.Contains(1) != c.refused || (res.ModSeq == 0) != (c.refused || c.what == "another keyword") {
			t.Errorf("%s: %+v", c.what, res)
		}
	}
	must(t, h.store.Close(bg))
}
