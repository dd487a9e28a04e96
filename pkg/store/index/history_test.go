package index

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// copyDir puts files of testdata into a file system in memory.
func copyDir(t *testing.T, dir string) disk.FS {
	t.Helper()
	m := disk.NewForgetful()
	must(t, disk.MkdirAll(m, "/index", dirPerm))
	entries, err := disk.OS().ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		data, err := disk.ReadFile(disk.OS(), dir+"/"+e.Name(), 1<<20)
		must(t, err)
		write(t, m, "/index/"+e.Name(), data)
	}
	return m
}

// An index that version 1 has written: its base does not know what was
// expunged before, its log does; and a chunk whose highest MODSEQ is not known
// is looked at.
func TestVersion1IsRead(t *testing.T) {
	m := copyDir(t, "testdata/v1")
	for _, rewritten := range []bool{false, true} {
		x, err := Open(m, "/index", 1)
		must(t, err)
		im := x.Image()
		if im.Len() != 7 || im.HighestModSeq != 15 || im.UIDValidity != 7 || im.UIDNext != 13 {
			t.Fatalf("%d messages, %+v", im.Len(), im.Meta)
		}
		if r := im.At(1); r.UID != 4 || !slices.Equal(im.KeywordNames(r.Keywords), []string{"$Work"}) || r.Name != standardName(4, 400, 408) {
			t.Errorf("%+v", r)
		}
		if gone, ok := im.Vanished(12); ok {
			t.Errorf("%v since 12", gone)
		}
		if gone, ok := im.Vanished(13); !ok || !slices.Equal(gone, []Range{{7, 7}, {9, 10}}) {
			t.Errorf("%v, %v since 13", gone, ok)
		}
		if gone, ok := im.Vanished(14); !ok || len(gone) > 0 {
			t.Errorf("%v, %v since 14", gone, ok)
		}
		if got := slices.Collect(im.ChangedSince(12, 0, im.Len())); !slices.Equal(got, []int{2, 3, 6}) {
			t.Errorf("changed since 12: %v", got)
		}
		if !rewritten {
			must(t, x.Checkpoint())
			if data, err := disk.ReadFile(m, "/index/base", 1<<20); err != nil || data[7] != version {
				t.Errorf("%v, version %d", err, data[7])
			}
		}
		must(t, x.Close())
	}
}

func TestHistoryIsKeptOnDisk(t *testing.T) {
	m := disk.NewForgetful()
	x := filled(t, m, 3000)
	var want []Range
	start := x.Image().HighestModSeq
	for uid := uint32(1); uid < 3000; uid += 2 {
		b := x.Begin()
		b.Expunge([]Range{{uid, uid}}, b.ModSeq())
		_, err := x.Commit(b, false)
		must(t, err)
		want = append(want, Range{uid, uid})
		if uid == 1501 {
			must(t, x.Checkpoint())
			x.Image().Evict()
		}
	}
	for range 2 {
		for _, k := range []int{0, 1, 700, 1499, 1500} {
			if gone, ok := x.Image().Vanished(start + uint64(k)); !ok || !slices.Equal(gone, want[k:]) {
				t.Fatalf("%d expunges later: %v, %d ranges, want %d", k, ok, len(gone), len(want[k:]))
			}
		}
		must(t, x.Close())
		var err error
		x, err = Open(m, "/index", 1)
		must(t, err)
	}
	must(t, x.Checkpoint())
	if x.Image().Evict(); x.Image().Resident() > 0 {
		t.Errorf("%d bytes are in memory for nobody", x.Image().Resident())
	}
}

// The history has a bounded size: it forgets what is oldest and says so.
func TestHistoryForgets(t *testing.T) {
	h := history{since: 5}
	modseq := uint64(5)
	for range 3 * maxHistory / 2 {
		modseq++
		h = h.add(modseq, []Range{{uint32(modseq), uint32(modseq)}})
	}
	if h.len() > maxHistory || h.len() < maxHistory-maxBlock {
		t.Errorf("%d ranges are kept", h.len())
	}
	bytes := 0
	for _, b := range h.blocks {
		bytes += len(*b.data.Load())
	}
	if bytes > 8*maxHistory {
		t.Errorf("%d bytes", bytes)
	}
	im := newImage(Meta{UIDNext: 1 << 30}, nil, tables{}, h)
	if _, ok := im.Vanished(h.since - 1); ok {
		t.Error("what is forgotten is believed to be known")
	}
	if gone, ok := im.Vanished(h.since); !ok || len(gone) != 1 || gone[0] != (Range{uint32(h.since) + 1, uint32(modseq)}) {
		t.Errorf("%v, %v since %d", gone, ok, h.since)
	}
}

// An expunge of very many ranges is kept coarsely: what it does not say for
// certain is looked up in the messages that are there.
func TestHugeExpunge(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 10_000)
	var set []Range
	for uid := uint32(1); uid <= 10_000; uid += 3 {
		set = append(set, Range{uid, uid + 1})
	}
	set[len(set)-1].Last = 10_000
	b := x.Begin()
	since := x.Image().HighestModSeq
	b.Expunge(set, b.ModSeq())
	_, err := x.Commit(b, false)
	must(t, err)
	if n := x.Image().gone.len(); n > maxEvent {
		t.Errorf("%d ranges are kept", n)
	}
	if gone, ok := x.Image().Vanished(since); !ok || !slices.Equal(gone, set) {
		t.Errorf("%v, %d ranges, want %d", ok, len(gone), len(set))
	}
}

// Whatever is expunged in whatever portions, with restarts in between: the
// history says what went after any moment, and never of a message that is there
// that it is gone.
func TestHistoryProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := disk.NewForgetful()
		x := filled(t, m, rapid.IntRange(1, 60).Draw(rt, "messages"))
		start := x.Image().HighestModSeq
		at := map[uint32]uint64{} // MODSEQ of each expunge
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			b := x.Begin()
			var err error
			switch rapid.SampledFrom([]string{"expunge", "expunge", "append", "checkpoint", "reopen", "crash"}).Draw(rt, "what") {
			case "expunge":
				var set []Range
				for i := range x.Image().Len() {
					if uid := x.Image().UID(i); rapid.IntRange(0, 4).Draw(rt, "goes") == 0 {
						set = joined(append(set, Range{uid, uid}))
						at[uid] = b.ModSeq()
					}
				}
				b.Expunge(set, b.ModSeq())
			case "append":
				r := message(x.Image().UIDNext)
				r.ModSeq = b.ModSeq()
				b.Append(&r, nil)
			case "checkpoint":
				err = x.Checkpoint()
				x.Image().Evict()
			case "reopen":
				must(t, x.Close())
				x, err = Open(m, "/index", 1)
			case "crash":
				m = m.Crash()
				x, err = Open(m, "/index", 1)
			}
			must(t, err)
			_, err = x.Commit(b, true)
			must(t, err)
		}
		moments := append(slices.Collect(maps.Values(at)), start, x.Image().HighestModSeq)
		for _, since := range moments {
			checkVanished(rt, x.Image(), since, at)
			checkVanished(rt, x.Image(), max(start, since-1), at)
		}
	})
}

func checkVanished(t *rapid.T, im *Image, since uint64, at map[uint32]uint64) {
	gone, ok := im.Vanished(since)
	if !ok {
		t.Fatalf("since %d nothing is known", since)
	}
	for uid := uint32(1); uid < im.UIDNext; uid++ {
		told := slices.ContainsFunc(gone, func(r Range) bool { return r.First <= uid && uid <= r.Last })
		if want := at[uid] > since; told != want {
			t.Fatalf("since %d: UID %d: told %v, want %v (%v of %v)", since, uid, told, want, gone, at)
		}
	}
}

func TestAbsent(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 600)
	b := x.Begin()
	b.Expunge([]Range{{1, 3}, {5, 5}, {511, 514}, {600, 600}}, b.ModSeq())
	_, err := x.Commit(b, false)
	must(t, err)
	for _, c := range []struct{ set, want []Range }{
		{[]Range{{1, 1<<32 - 1}}, []Range{{1, 3}, {5, 5}, {511, 514}, {600, 600}}},
		{[]Range{{512, 600}, {2, 4}}, []Range{{2, 3}, {512, 514}, {600, 600}}},
		{[]Range{{6, 510}, {700, 800}}, nil},
		{[]Range{{3, 5}, {4, 6}}, []Range{{3, 3}, {5, 5}}},
		{nil, nil},
	} {
		if got := x.Image().Absent(c.set); !slices.Equal(got, c.want) {
			t.Errorf("of %v: %v, want %v", c.set, got, c.want)
		}
	}
}

// ChangedSince looks only at chunks in which something changed.
func TestChangedSinceCostsWhatChanged(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 100_000)
	must(t, x.Checkpoint())
	b := x.Begin()
	since := x.Image().HighestModSeq
	b.Flags([]Range{{50_000, 50_001}}, flagSeen, 0, nil, nil, b.ModSeq())
	_, err := x.Commit(b, false)
	must(t, err)
	must(t, x.Checkpoint())
	im := x.Image()
	im.Evict()
	if got := slices.Collect(im.ChangedSince(since, 0, im.Len())); !slices.Equal(got, []int{49_999, 50_000}) {
		t.Error(got)
	}
	if one := maxChunk * 70; im.Resident() > one {
		t.Errorf("%d bytes were read for two messages", im.Resident())
	}
	if got := slices.Collect(im.ChangedSince(since, 50_000, 60_000)); !slices.Equal(got, []int{50_000}) {
		t.Error(got)
	}
}
