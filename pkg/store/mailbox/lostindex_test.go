package mailbox

import (
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// killed is what another process finds after this one was killed: all that it
// wrote, synced or not. lost: without the indexes.
func (h *house) killed(lost bool) *house {
	h.t.Helper()
	mem := h.fs.(*disk.Forgetful)
	v, err := disk.OpenVolume(mem, "/")
	must(h.t, err)
	must(h.t, v.Visit().SyncDir("/"))
	return h.after(mem.Crash(), lost)
}

func (h *house) after(mem *disk.Forgetful, lost bool) *house {
	h.t.Helper()
	if lost {
		must(h.t, disk.RemoveAll(mem, h.base+"/index"))
	}
	mem.SetNow(h.clock.now)
	g := &house{t: h.t, fs: mem, base: h.base, clock: h.clock, cfg: h.cfg, tree: h.tree.Through(mem)}
	g.open()
	return g
}

// No MODSEQ that was shown is given to another change, however often the index
// is lost or the process killed, within one second or with a clock that goes
// back.
func TestModSeqWithoutIndex(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.append("INBOX", "x", Incoming{})
	shown := uint64(0)
	for round, lost := range []bool{false, true, true, false, true, false, false, true, true} {
		m := h.box("INBOX")
		begin := m.Snapshot().HighestModSeq()
		if begin < shown {
			t.Errorf("round %d: HIGHESTMODSEQ went from %d to %d", round, shown, begin)
		}
		for _, op := range []Op{Add, Remove, Add} {
			res, err := m.Store(bg, SetOf(1), change(op, Flagged))
			must(t, err)
			if res.ModSeq != 0 && res.ModSeq <= shown {
				t.Errorf("round %d: MODSEQ %d was given out before (%d)", round, res.ModSeq, shown)
			}
			shown = max(shown, res.ModSeq, m.Snapshot().HighestModSeq())
			must(t, m.Flush(bg))
		}
		_, err := m.Store(bg, SetOf(1), change(Remove, Flagged))
		must(t, err)
		shown = max(shown, m.Snapshot().HighestModSeq())
		if round == 4 {
			h.clock.sleep(-48 * time.Hour)
		}
		h = h.killed(lost)
	}
	must(t, h.store.Close(bg))
}

// A UID that a client was told is not given to another message when its line
// in the list, its file and the index are lost together.
func TestUIDWithoutIndex(t *testing.T) {
	mem := disk.NewForgetful()
	h := newHouse(t, mem, "/home", Exclusive)
	h.append("INBOX", "one", Incoming{})
	must(t, h.box("INBOX").Flush(bg))
	uid := h.append("INBOX", "two", Incoming{})
	g := h.after(mem.Crash(), true)
	for _, d := range g.disk("INBOX") {
		if g.contents(d) == "two" {
			must(t, g.fs.Remove(d))
		}
	}
	// The listing above did not open the folder: this does.
	if next := g.append("INBOX", "three", Incoming{}); next <= uid {
		t.Errorf("UID %d was message two, %d is message three", uid, next)
	}
	must(t, g.store.Close(bg))
}

// An expunged message does not come back when the process is killed before its
// file is removed, and the index lost.
func TestExpungedWithoutIndex(t *testing.T) {
	h := inMemory(t, Exclusive)
	for range 9 {
		h.append("INBOX", "x", Incoming{})
	}
	m := h.box("INBOX")
	must(t, m.Flush(bg))
	for _, set := range []Set{SetOf(2, 3, 4, 7), SetOf(9)} {
		_, err := m.Remove(bg, set)
		must(t, err)
	}
	h = h.killed(true)
	m = h.box("INBOX")
	h.see(m, "1: 5: 6: 8:")
	must(t, m.Flush(bg))
	if left := h.disk("INBOX"); len(left) != 4 {
		t.Errorf("left are %v", left)
	}
	h = h.killed(true)
	h.see(h.box("INBOX"), "1: 5: 6: 8:")
	must(t, h.store.Close(bg))
}
