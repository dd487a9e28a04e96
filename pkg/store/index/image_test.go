package index

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func standardName(uid uint32, size, vsize int64) string {
	return fmt.Sprintf("1795442559.M%dP20153.mail.example.org,S=%d,W=%d", uid, size, vsize)
}

func message(uid uint32) Record {
	size, vsize := int64(uid)*100, int64(uid)*102
	return Record{UID: uid, Size: size, VSize: vsize, Date: 1_700_000_000 + int64(uid), Name: standardName(uid, size, vsize)}
}

// filled makes an index of n messages with UIDs 1 to n.
func filled(t testing.TB, fsys disk.FS, n int) *Index {
	t.Helper()
	x, err := Create(fsys, "/index", 1, Meta{UIDValidity: 7, HighestModSeq: 10}, ".A", nil)
	must(t, err)
	b := x.Begin()
	for uid := uint32(1); uid <= uint32(n); uid++ {
		r := message(uid)
		r.ModSeq = b.ModSeq()
		b.Append(&r, nil)
	}
	_, err = x.Commit(b, true)
	must(t, err)
	return x
}

func TestRecordKeepsWhatItIsGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := Record{
			UID: rapid.Uint32().Draw(t, "uid"), Flags: rapid.Uint8().Draw(t, "flags"), FileFlags: rapid.Uint8().Draw(t, "file flags"),
			FileLetters: rapid.Uint32().Draw(t, "letters"), State: rapid.SampledFrom([]State{0, InNew, Dirty, InNew | Dirty}).Draw(t, "state"), ModSeq: rapid.Uint64().Draw(t, "modseq"),
			Keywords: rapid.Uint32Range(0, maxSets).Draw(t, "set"), Cache: 8 * rapid.Int64Range(0, 1<<32-1).Draw(t, "cache"), Saved: rapid.Int64Range(0, 1<<32-1).Draw(t, "saved"),
			Size: Unknown, VSize: Unknown, Date: Unknown,
			Name: rapid.StringMatching(`[a-z0-9.,=]{1,80}`).Draw(t, "name"), Info: rapid.StringMatching(`(:2,[a-zA-Z]{0,9})?`).Draw(t, "info"),
		}
		if rapid.Bool().Draw(t, "sized") {
			x.Size = rapid.Int64Range(0, 1<<38).Draw(t, "size")
			x.VSize = x.Size + int64(rapid.Uint32().Draw(t, "lf"))
			if rapid.Bool().Draw(t, "standard") {
				x.Name = standardName(x.UID, x.Size, x.VSize)
			}
		}
		if rapid.Bool().Draw(t, "dated") {
			x.Date = rapid.Int64Range(Unknown+1, -Unknown-1).Draw(t, "date")
		}
		in := newInterner(tables{})
		c := chop([]Record{x}, in)[0]
		data, _ := c.load()
		if got := c.at(data, 0, in.hosts); got != x {
			t.Fatalf("put %+v, got %+v", x, got)
		}
	})
}

// Names says what Named says, and Lookup finds by name what they yield, whatever
// way a name is kept.
func TestNames(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 1000)
	b := x.Begin()
	odd := []Record{
		{UID: 1001, Name: "1", Size: Unknown, VSize: Unknown, Date: Unknown},
		{UID: 1002, Name: "a name of its own", Info: ":2,S,x", Size: Unknown, VSize: Unknown, Date: Unknown},
		{UID: 1003, Name: standardName(1003, 7, 8), Info: ":1,", Size: 7, VSize: 8, Date: Unknown},
		{UID: 1004, Name: standardName(1004, 9, 9), Size: Unknown, VSize: Unknown, Date: Unknown},
	}
	for _, r := range odd {
		b.Append(&r, nil)
	}
	b.Known(500, 1, 2, Unknown) // its name says other sizes
	im, err := x.Commit(b, true)
	must(t, err)
	var names []string
	for _, r := range im.Named() {
		names = append(names, r.Name)
	}
	n := 0
	for i, x := range im.Names() {
		r := im.At(i)
		if string(x.Base) != r.Name || string(x.Info) != r.Info || x.UID != r.UID {
			t.Fatalf("message %d is %q %q, want %q %q", r.UID, x.Base, x.Info, r.Name, r.Info)
		}
		if got := im.Lookup([]string{"none", r.Name}); len(got) != 1 || got[0] != r {
			t.Fatalf("looked for %s, found %+v", r.Name, got)
		}
		n++
	}
	if n != 1004 || len(im.Lookup(names)) != n || len(im.Lookup(nil)) != 0 || len(im.Lookup([]string{"", "1795442559"})) != 0 {
		t.Errorf("%d messages, %d of them found", n, len(im.Lookup(names)))
	}
}

func TestMemoryPerMessage(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 10_000)
	if per := float64(x.Image().Resident()) / 10_000; per > 64 {
		t.Errorf("%.1f bytes a message", per)
	}
	if got := x.Image().At(4321); got.Name != standardName(4322, 432200, 4322*102) {
		t.Errorf("name %s", got.Name)
	}
}

// Changing one message replaces one chunk.
func TestChunksAreShared(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 5_000)
	old := x.Image()
	b := x.Begin()
	b.Flags([]Range{{2000, 2000}}, flagSeen, 0, nil, nil, b.ModSeq())
	now, err := x.Commit(b, true)
	must(t, err)
	differ := 0
	for i := range old.list().chunks {
		if old.list().chunks[i] != now.list().chunks[i] {
			differ++
		}
	}
	if differ != 1 || len(old.list().chunks) != len(now.list().chunks) {
		t.Errorf("%d of %d chunks were replaced", differ, len(old.list().chunks))
	}
	if old.At(1999).Flags != 0 || now.At(1999).Flags != flagSeen {
		t.Error("the old image changed, or the new one did not")
	}
	if d := Diff(old, now); !reflect.DeepEqual(d, Delta{Changed: []int{1999}, Appended: 5000}) {
		t.Errorf("%+v", d)
	}
}

func TestEvictAndReload(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 3_000)
	must(t, x.Checkpoint())
	im := x.Image()
	im.Evict()
	if im.Resident() != 0 {
		t.Errorf("%d bytes stay", im.Resident())
	}
	if im.Len() != 3_000 || im.Count(0, flagSeen) != 3_000 || im.FirstWithout(flagSeen) != 0 {
		t.Error("the summaries are wrong")
	}
	if n := im.Resident(); n > 100_000 {
		t.Errorf("looking at the first chunk loaded %d bytes", n)
	}
	for i, r := range im.Named() {
		if want := message(uint32(i) + 1); r.Name != want.Name || r.Date != want.Date {
			t.Fatalf("message %d: %+v", i, r)
		}
	}
	// The base is replaced while an old image is held.
	b := x.Begin()
	b.Flags([]Range{{1, 3000}}, flagSeen, 0, nil, nil, b.ModSeq())
	_, err := x.Commit(b, true)
	must(t, err)
	must(t, x.Checkpoint())
	im.Evict()
	if r := im.At(2999); r.UID != 3000 || r.Flags != 0 {
		t.Errorf("the old image reads %+v", r)
	}
}

// model is the plainest description of an index.
type model struct {
	recs     map[uint32]Record
	keywords map[uint32]map[string]bool
	next     uint32
	modseq   uint64
	recent   uint32
}

func (m *model) uids() []uint32 {
	var out []uint32
	for uid := range m.recs {
		out = append(out, uid)
	}
	slices.Sort(out)
	return out
}

func (m *model) clone() *model {
	c := &model{recs: map[uint32]Record{}, keywords: map[uint32]map[string]bool{}, next: m.next, modseq: m.modseq, recent: m.recent}
	for k, v := range m.recs {
		c.recs[k] = v
		c.keywords[k] = map[string]bool{}
		for n := range m.keywords[k] {
			c.keywords[k][n] = true
		}
	}
	return c
}

// check compares an image with the model in every way of looking at it.
func (m *model) check(t *rapid.T, im *Image) {
	uids := m.uids()
	if im.Len() != len(uids) || im.UIDNext != m.next || im.HighestModSeq != m.modseq || im.FirstRecent != m.recent {
		t.Fatalf("%d messages, next %d, modseq %d, recent %d; want %d %d %d %d", im.Len(), im.UIDNext, im.HighestModSeq, im.FirstRecent, len(uids), m.next, m.modseq, m.recent)
	}
	unseen, dirty := 0, 0
	for i, r := range im.Named() {
		want := m.recs[uids[i]]
		got := r
		got.Keywords = 0
		if got != want {
			t.Fatalf("message %d: %+v, want %+v", i, got, want)
		}
		var names []string
		for n := range m.keywords[uids[i]] {
			names = append(names, n)
		}
		have := slices.Clone(im.KeywordNames(r.Keywords))
		sort.Strings(names)
		sort.Strings(have)
		if !slices.Equal(names, have) {
			t.Fatalf("UID %d has keywords %v, want %v", r.UID, have, names)
		}
		if r.Flags&flagSeen == 0 {
			unseen++
		}
		if r.State&Dirty != 0 {
			dirty++
		}
		if at, ok := im.Find(r.UID); !ok || at != i || im.At(i) != r || im.UID(i) != r.UID {
			t.Fatalf("UID %d is found at %d %v", r.UID, at, ok)
		}
	}
	for range im.In(Dirty, 0) {
		dirty--
	}
	if dirty != 0 {
		t.Fatalf("%d dirty messages were not listed", dirty)
	}
	if im.Count(0, flagSeen) != unseen {
		t.Fatalf("%d unseen, want %d", im.Count(0, flagSeen), unseen)
	}
	probe := rapid.Uint32Range(0, m.next+5).Draw(t, "probe")
	want, found := slices.BinarySearch(uids, probe)
	if at, ok := im.Find(probe); at != want || ok != found {
		t.Fatalf("UID %d is found at %d %v, want %d %v", probe, at, ok, want, found)
	}
}

func (m *model) checkDiff(t *rapid.T, before *model, old, now *Image) {
	var want Delta
	uids, was := m.uids(), before.uids()
	want.Appended = len(uids)
	for i, uid := range was {
		if _, ok := m.recs[uid]; !ok {
			want.Expunged = append(want.Expunged, Gone{uid, i})
		}
	}
	for i, uid := range uids {
		b, ok := before.recs[uid]
		switch a := m.recs[uid]; {
		case !ok:
			want.Appended = min(want.Appended, i)
		case a.Flags != b.Flags || a.ModSeq != b.ModSeq || !reflect.DeepEqual(m.keywords[uid], before.keywords[uid]):
			want.Changed = append(want.Changed, i)
		}
	}
	if got := Diff(old, now); !reflect.DeepEqual(got, want) {
		t.Fatalf("diff %+v, want %+v", got, want)
	}
}

// drawSet makes ranges of existing and other UIDs.
func drawSet(t *rapid.T, next uint32) []Range {
	var out []Range
	for at := uint32(1); len(out) < 4 && at < next+3; {
		first := rapid.Uint32Range(at, next+3).Draw(t, "first")
		last := first + rapid.Uint32Range(0, 300).Draw(t, "length")
		out = append(out, Range{first, last})
		at = last + 1
	}
	return out
}

func (m *model) in(set []Range, do func(uint32)) {
	for _, uid := range m.uids() {
		for _, r := range set {
			if r.First <= uid && uid <= r.Last {
				do(uid)
			}
		}
	}
}

// step draws one operation and does it to the batch and to the model.
func (m *model) step(t *rapid.T, b *Batch) {
	switch rapid.SampledFrom([]string{"append", "append", "flags", "flags", "expunge", "file", "known", "recent"}).Draw(t, "op") {
	case "append":
		n := rapid.SampledFrom([]int{1, 1, 3, 700}).Draw(t, "count")
		m.modseq = max(m.modseq, b.ModSeq())
		for range n {
			r := message(m.next)
			r.ModSeq = b.ModSeq()
			if m.next%5 == 0 {
				r.Name, r.Info = fmt.Sprintf("odd-%d", m.next), ":2,SZ"
			}
			kws := map[string]bool{}
			var ids []uint16
			if m.next%7 == 0 {
				id, _ := b.Keyword("$Junk")
				ids, kws["$Junk"] = append(ids, id), true
			}
			b.Append(&r, ids)
			m.recs[m.next], m.keywords[m.next] = r, kws
			m.next++
		}
	case "flags":
		set := drawSet(t, m.next)
		add, remove := rapid.Uint8Range(0, 63).Draw(t, "add"), rapid.Uint8Range(0, 63).Draw(t, "remove")
		name := rapid.SampledFrom([]string{"", "Foo", "$Junk", "Bar"}).Draw(t, "keyword")
		var more, less []uint16
		on := rapid.Bool().Draw(t, "on")
		if name != "" {
			id, _ := b.Keyword(name)
			if on {
				more = append(more, id)
			} else {
				less = append(less, id)
			}
		}
		b.Flags(set, add, remove, more, less, b.ModSeq())
		m.modseq = max(m.modseq, b.ModSeq())
		m.in(set, func(uid uint32) {
			r := m.recs[uid]
			r.Flags, r.ModSeq = r.Flags&^remove|add, b.ModSeq()
			r.State |= Dirty
			m.recs[uid] = r
			if name != "" && on {
				m.keywords[uid][name] = true
			} else if name != "" {
				delete(m.keywords[uid], name)
			}
		})
	case "expunge":
		set := drawSet(t, m.next) // also UIDs that are still to come: those stay
		b.Expunge(set, b.ModSeq())
		m.modseq = max(m.modseq, b.ModSeq())
		m.in(set, func(uid uint32) { delete(m.recs, uid) })
	case "file", "known":
		uids := m.uids()
		if len(uids) == 0 {
			return
		}
		uid := rapid.SampledFrom(uids).Draw(t, "uid")
		r := m.recs[uid]
		if rapid.Bool().Draw(t, "file") {
			r.FileFlags, r.FileLetters = rapid.Uint8Range(0, 63).Draw(t, "flags"), rapid.Uint32Range(0, 1<<26-1).Draw(t, "letters")
			r.Info = rapid.SampledFrom([]string{"", ":2,SZ", ":2,FZZ"}).Draw(t, "info")
			r.State &^= Dirty
			b.File(uid, r.FileFlags, r.FileLetters, 0, r.Info)
		} else {
			r.Size = rapid.Int64Range(1, 1e6).Draw(t, "size")
			r.VSize, r.Date = r.Size+5, r.Date+1
			b.Known(uid, r.Size, r.VSize, r.Date)
		}
		m.recs[uid] = r
	case "recent":
		m.recent = max(m.recent, m.next)
		b.FirstRecent(m.next)
	}
}

// Random batches against the model: the image, the difference between two
// images, and what is read back after closing, checkpointing and crashing.
func TestIndexAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := disk.NewForgetful()
		x, err := Create(mem, "/index", 1, Meta{UIDValidity: 7, HighestModSeq: 10}, ".A", nil)
		if err != nil {
			t.Fatal(err)
		}
		m := &model{recs: map[uint32]Record{}, keywords: map[uint32]map[string]bool{}, next: 1, modseq: 10, recent: 1}
		for range rapid.IntRange(1, 12).Draw(t, "batches") {
			old, before := x.Image(), m.clone()
			b := x.Begin()
			for range rapid.IntRange(1, 4).Draw(t, "ops") {
				m.step(t, b)
			}
			durable := rapid.Bool().Draw(t, "durable")
			now, err := x.Commit(b, durable)
			if err != nil {
				t.Fatal(err)
			}
			m.check(t, now)
			m.checkDiff(t, before, old, now)
			switch rapid.SampledFrom([]string{"", "", "checkpoint", "reopen", "crash"}).Draw(t, "then") {
			case "checkpoint":
				err = x.Checkpoint()
				x.Image().Evict()
			case "reopen":
				if err = x.Close(); err == nil {
					x, err = Open(mem, "/index", 2)
				}
			case "crash":
				if err = x.Sync(); err == nil {
					mem = mem.CrashRandom(rapid.Uint64().Draw(t, "seed"))
					x, err = Open(mem, "/index", 2)
				}
				if err == nil {
					if got := x.Image().HighestModSeq; got < m.modseq {
						t.Fatalf("HIGHESTMODSEQ went back from %d to %d", m.modseq, got)
					}
					m.modseq = x.Image().HighestModSeq
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			m.check(t, x.Image())
		}
	})
}

func TestKeywordLimit(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 1)
	b := x.Begin()
	for i := range MaxKeywords {
		if id, ok := b.Keyword(fmt.Sprintf("k%d", i)); !ok || int(id) != i {
			t.Fatalf("keyword %d: %d %v", i, id, ok)
		}
	}
	if _, ok := b.Keyword("one too many"); ok {
		t.Error("no limit")
	}
	if id, ok := b.Keyword("K7"); !ok || id != 7 {
		t.Error("case must not matter")
	}
	_, err := x.Commit(b, true)
	must(t, err)
	// A batch that is forgotten leaves no trace.
	x = filled(t, disk.NewForgetful(), 1)
	forgotten := x.Begin()
	_, _ = forgotten.Keyword("forgotten")
	b = x.Begin()
	id, _ := b.Keyword("kept")
	b.Flags([]Range{{1, 1}}, 0, 0, []uint16{id}, nil, b.ModSeq())
	im, err := x.Commit(b, true)
	must(t, err)
	if got := im.KeywordNames(im.At(0).Keywords); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("keywords %v", got)
	}
}

func TestOpenMissing(t *testing.T) {
	if _, err := Open(disk.NewForgetful(), "/none", 1); !fail.Is(err, fail.NotFound) {
		t.Errorf("%v", err)
	}
}

// What rests takes next to nothing, and is the same when somebody looks: the
// present image and older ones, which outlive the base they are in.
func TestRest(t *testing.T) {
	fsys := disk.NewForgetful()
	x := filled(t, fsys, 5_000)
	must(t, x.Checkpoint())
	commit := func(fn func(b *Batch)) *Image {
		b := x.Begin()
		fn(b)
		im, err := x.Commit(b, false)
		must(t, err)
		return im
	}
	all := func(im *Image) (out []Record) {
		for _, r := range im.Named() {
			out = append(out, r)
		}
		return out
	}
	first := x.Image()
	want := all(first)
	must(t, x.Rest())
	must(t, x.Rest()) // again
	if n := first.Resident(); n != 0 {
		t.Errorf("%d bytes are in memory for nobody", n)
	}
	if l := first.body.Load(); l.packed == nil || len(l.packed.text) > 60*10 {
		t.Errorf("ten chunks are not packed, or into %d bytes", len(l.packed.text))
	}
	flagged := commit(func(b *Batch) {
		fresh, _ := b.Keyword("$Fresh")
		b.Flags([]Range{{2000, 2000}}, flagSeen, 0, []uint16{fresh}, nil, b.ModSeq())
	})
	if d := Diff(first, flagged); !reflect.DeepEqual(d, Delta{Changed: []int{1999}, Appended: 5000}) {
		t.Errorf("%+v", d)
	}
	must(t, x.Rest())
	if n := flagged.Resident(); n > 64*maxChunk { // the changed chunk is nowhere else
		t.Errorf("%d bytes stay of one chunk", n)
	}
	if d := Diff(first, flagged); !reflect.DeepEqual(d, Delta{Changed: []int{1999}, Appended: 5000}) {
		t.Errorf("%+v", d)
	}
	if got := flagged.KeywordNames(flagged.At(1999).Keywords); !reflect.DeepEqual(got, []string{"$Fresh"}) {
		t.Errorf("keywords %q", got)
	}
	first.Evict()
	x.base.rest()
	must(t, x.Checkpoint()) // another base takes the name
	must(t, x.Rest())
	if !reflect.DeepEqual(all(first), want) {
		t.Error("the first image is another")
	}
	last := commit(func(b *Batch) { b.Expunge([]Range{{1, 4000}}, b.ModSeq()) })
	must(t, x.Rest())
	must(t, x.Close())
	again, err := Open(fsys, x.Dir(), 2)
	must(t, err)
	if !reflect.DeepEqual(all(again.Image()), all(last)) || again.Image().HighestModSeq != last.HighestModSeq {
		t.Error("what was committed between rests is not on disk")
	}
	must(t, again.Close())
}

// A log that has become shorter while it was closed is not written to: its
// place is taken by a checkpoint.
func TestRestLogShrinks(t *testing.T) {
	fsys := disk.NewForgetful()
	x := filled(t, fsys, 100)
	must(t, x.Rest())
	f, err := fsys.OpenFile(x.logName(x.seq), os.O_RDWR, 0)
	must(t, err)
	must(t, f.Truncate(10))
	must(t, f.Close())
	b := x.Begin()
	b.Flags([]Range{{7, 7}}, flagSeen, 0, nil, nil, b.ModSeq())
	if _, err := x.Commit(b, true); err == nil {
		t.Error("a log of another was written to")
	}
	b = x.Begin()
	b.Flags([]Range{{7, 7}}, flagSeen, 0, nil, nil, b.ModSeq())
	_, err = x.Commit(b, true)
	must(t, err)
	must(t, x.Close())
	again, err := Open(fsys, x.Dir(), 2)
	must(t, err)
	if again.Image().At(6).Flags != flagSeen {
		t.Error("the second attempt is lost")
	}
	must(t, again.Close())
}

// What SELECT asks is answered without a record where all messages are alike.
func TestSelectReadsNoRecord(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 2_000)
	must(t, x.Checkpoint())
	must(t, x.Rest())
	im := x.Image()
	if im.FirstWithout(flagSeen) != 0 || im.LastUID() != 2_000 || im.Recent() != 2_000 {
		t.Error(im.FirstWithout(flagSeen), im.LastUID(), im.Recent())
	}
	b := x.Begin()
	b.Flags([]Range{{1, 2000}}, flagSeen, 0, nil, nil, b.ModSeq())
	im, err := x.Commit(b, true)
	must(t, err)
	must(t, x.Checkpoint())
	must(t, x.Rest())
	if im.FirstWithout(flagSeen) != -1 || im.Count(0, flagSeen) != 0 || im.Resident() != 0 {
		t.Error(im.FirstWithout(flagSeen), im.Count(0, flagSeen), im.Resident())
	}
}
