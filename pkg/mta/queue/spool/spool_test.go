package spool

import (
	"bytes"
	"context"
	"io"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestMessageComesBackAsItWas(t *testing.T) {
	fsys := disk.NewForgetful()
	s, r := mustOpen(t, testConfig(fsys))
	if r.Messages != 0 || len(r.Damage) != 0 {
		t.Errorf("recovery of nothing: %+v", r)
	}
	sizes := []int{0, 1, 4 << 10, 4<<10 + 1, 100_000, 65 << 10}
	var ids []item.ID
	for i, n := range sizes {
		e := mustAdd(t, s, i, n, 2)
		ids = append(ids, e.ID)
		wantText(t, s, e, i, n)
	}
	mustClose(t, s)

	s, r = mustOpen(t, testConfig(fsys))
	defer mustClose(t, s)
	if r.Messages != len(sizes) || len(r.Damage) != 0 || r.Orphans != 0 {
		t.Errorf("recovery: %+v", r)
	}
	var listed []item.ID
	for i, e := range s.Entries() {
		listed = append(listed, e.ID)
		wantText(t, s, e, i, sizes[i])
		env, states, err := s.Load(e)
		want := envelope(2)
		want.Arrival, want.Size = env.Arrival, env.Size
		if err != nil || !reflect.DeepEqual(env, want) || len(states) != 2 {
			t.Errorf("envelope %+v, states %v, %v", env, states, err)
		}
	}
	if !slices.Equal(listed, ids) {
		t.Errorf("listed %v, committed %v", listed, ids)
	}
	if next := s.ids.next(time.Unix(0, 0)); next <= ids[len(ids)-1] {
		t.Errorf("id %v is not above %v although only the clock went back", next, ids)
	}
}

func TestSkipStandsForEditedHeaders(t *testing.T) {
	s, _ := mustOpen(t, testConfig(disk.NewForgetful()))
	defer mustClose(t, s)
	for _, pad := range []int{0, 3000, 70_000, 200_000} {
		w, err := s.Begin(0)
		if err != nil {
			t.Fatal(err)
		}
		tail := "\r\nBody" + string(make([]byte, pad))
		for _, part := range []string{"Subject: old\r\n", tail} {
			if _, err := io.WriteString(w, part); err != nil {
				t.Fatal(err)
			}
		}
		e, err := w.Commit(context.Background(), envelope(1), []byte("Subject: new\r\n"), 14)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := text(s, e); err != nil || got != "Subject: new\r\n"+tail {
			t.Errorf("pad %d: %.30q... (%d bytes), %v", pad, got, len(got), err)
		}
	}
}

func TestCommitRefuses(t *testing.T) {
	s, _ := mustOpen(t, testConfig(disk.NewForgetful()))
	defer mustClose(t, s)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	null := envelope(1)
	null.Recipients[0].Addr = addr.Address{}
	for name, c := range map[string]struct {
		ctx  context.Context
		env  *item.Envelope
		skip int64
		kind fail.Kind
	}{
		"no recipient":     {context.Background(), envelope(0), 0, fail.Invalid},
		"null recipient":   {context.Background(), null, 0, fail.Invalid},
		"skip past end":    {context.Background(), envelope(1), 99, fail.Invalid},
		"context is over":  {cancelled, envelope(1), 0, fail.Temporary},
		"negative skip":    {context.Background(), envelope(1), -1, fail.Invalid},
		"header too large": {context.Background(), envelope(1), 0, fail.Invalid},
	} {
		var headers []byte
		if name == "header too large" {
			headers = make([]byte, format.MaxHeaders+1)
		}
		w, err := s.Begin(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(c.ctx, c.env, headers, c.skip); !fail.Is(err, c.kind) {
			t.Errorf("%s: %v, want kind %v", name, err, c.kind)
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Errorf("%s: write after a failed commit succeeds", name)
		}
	}
	if n := len(s.Entries()); n != 0 {
		t.Errorf("%d messages after refusals", n)
	}
}

func TestStatesAndFlagsSurvive(t *testing.T) {
	fsys := disk.NewForgetful()
	s, _ := mustOpen(t, testConfig(fsys))
	a, b, c := mustAdd(t, s, 1, 100, 3), mustAdd(t, s, 2, 100, 1), mustAdd(t, s, 3, 5000, 1)
	deferred := item.State{
		Status: item.Deferred, Attempts: 2, Code: item.Code{Class: 4, Subject: 4, Detail: 1},
		Reason: "connect to mx.example.org[192.0.2.1]:25: Connection refused", Remote: "mx.example.org", Last: time.Unix(1e9, 0), Next: time.Unix(2e9, 0),
	}
	setState(s, a, 1, deferred)
	setState(s, a, 2, item.State{Status: item.Delivered, Relayed: true})
	s.Park(a)
	setState(s, a, 0, item.State{Status: item.Failed, Reason: "no", Notified: true})
	s.SetFlags(b, Held|Warned, 0)
	s.SetFlags(b, Expiring, Warned)
	if !s.Remove(c) || s.Remove(c) {
		t.Error("Remove must say true once")
	}
	if _, _, err := s.Load(c); !fail.Is(err, fail.NotFound) {
		t.Errorf("load of a removed message: %v", err)
	}
	check := func(s *Spool) {
		t.Helper()
		v, ok := s.View(s.Find(a.ID))
		if !ok || v.Recipients[1].State != deferred || v.Recipients[2].State.Status != item.Delivered || !v.Recipients[2].State.Relayed {
			t.Errorf("a: %+v", v)
		}
		if st := v.Recipients[0].State; st.Status != item.Failed || !st.Notified || v.Recipients[0].Addr != rcpt(0).Addr {
			t.Errorf("a: recipient 0: %+v", v.Recipients[0])
		}
		if flags, ok := s.Flags(s.Find(b.ID)); !ok || flags != Held|Expiring {
			t.Errorf("b: flags %x, %v", flags, ok)
		}
		if s.Find(c.ID) != nil {
			t.Error("c is back")
		}
	}
	check(s)
	for name, lastAct := range map[string]func(*Spool) error{"log": (*Spool).Sync, "checkpoint": (*Spool).checkpoint} {
		if err := lastAct(s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fsys = fsys.Crash()
		var r *Recovery
		s, r = mustOpen(t, testConfig(fsys))
		if r.Messages != 2 || len(r.Damage) != 0 {
			t.Errorf("after %s: %+v", name, r)
		}
		check(s)
	}
	mustClose(t, s)
	if left, err := fsys.ReadDir(testDir + "/large"); err != nil || len(left) != 0 {
		t.Errorf("large bodies left: %v, %v", left, err)
	}
}

func TestOnlyOneProcess(t *testing.T) {
	fsys := disk.NewForgetful()
	s, _ := mustOpen(t, testConfig(fsys))
	if _, _, err := Open(context.Background(), testConfig(fsys)); !fail.Is(err, fail.Unavailable) {
		t.Errorf("second open: %v, want Unavailable", err)
	}
	mustClose(t, s)
	s, _ = mustOpen(t, testConfig(fsys))
	mustClose(t, s)
	if _, err := s.Begin(0); !fail.Is(err, fail.Unavailable) {
		t.Errorf("Begin after Close: %v", err)
	}
}

func TestSpaceIsGivenBack(t *testing.T) {
	fsys := disk.NewForgetful()
	cfg := testConfig(fsys)
	s, _ := mustOpen(t, cfg)
	defer mustClose(t, s)
	for round := range 20 {
		var es []*Entry
		for i := range 60 {
			es = append(es, mustAdd(t, s, i, 3000, 1))
		}
		mustAdd(t, s, 0, 10_000, 1)
		for _, e := range append(es, s.Entries()...) {
			s.Remove(e)
		}
		if err := s.Tidy(); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Segments > 8 || st.Messages != 0 || st.Bytes != 0 || st.LargeBytes != 0 {
			t.Fatalf("round %d: %+v", round, st)
		}
	}
	segs, err := fsys.ReadDir(testDir + "/segments")
	if err != nil || len(segs) > 8 {
		t.Errorf("%d segment files, %v", len(segs), err)
	}
	if left, _ := fsys.ReadDir(testDir + "/large"); len(left) != 0 {
		t.Errorf("%d large bodies left", len(left))
	}
	if left, _ := fsys.ReadDir(testDir + "/state"); len(left) != 2 {
		t.Errorf("state files: %v; want one log and one checkpoint", left)
	}
	if fsys.Points()["queue.segment.recycled"] == 0 {
		t.Error("no segment was used again")
	}
}

// A message that stays for days must not keep the segment it came with.
func TestLongDeferredMovesOn(t *testing.T) {
	fsys := disk.NewForgetful()
	cfg := testConfig(fsys)
	s, _ := mustOpen(t, cfg)
	var stay, leave []*Entry
	for i := range 200 {
		e := mustAdd(t, s, i, 3000, 1)
		if i%40 == 0 {
			s.Park(e)
			stay = append(stay, e)
			continue
		}
		leave = append(leave, e)
	}
	for _, e := range leave {
		s.Remove(e)
	}
	large := mustAdd(t, s, 999, 9000, 1)
	before := s.Stats()
	reader, err := s.Open(stay[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := s.Tidy(); err != nil {
			t.Fatal(err)
		}
	}
	after := s.Stats()
	if used := after.Segments - after.FreeSegments; used > 4 || before.Segments < 8 {
		t.Errorf("segments in use: %d of %d before, %d after", before.Segments, len(stay), used)
	}
	if got, err := io.ReadAll(reader.Body()); err != nil || !bytes.Equal(got, body(0, 3000)) {
		t.Errorf("reader that was there first: %d bytes, %v", len(got), err)
	}
	_ = reader.Close()
	check := func() {
		t.Helper()
		for i, e := range stay {
			wantText(t, s, s.Find(e.ID), i*40, 3000)
		}
		wantText(t, s, s.Find(large.ID), 999, 9000)
	}
	check()
	s, _ = mustOpen(t, testConfig(fsys.Crash()))
	defer mustClose(t, s)
	check()
}

func TestManySubmittersShareSyncs(t *testing.T) {
	fsys := disk.NewForgetful()
	s, _ := mustOpen(t, testConfig(fsys))
	defer mustClose(t, s)
	const writers, each = 20, 30
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for k := range each {
				if _, err := add(s, i*each+k, 500+k*100, 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	es := s.Entries()
	if len(es) != writers*each {
		t.Fatalf("%d messages, want %d", len(es), writers*each)
	}
	if st := s.Stats(); st.Commits != writers*each {
		t.Errorf("stats: %+v", st)
	}
	for _, e := range es {
		if _, err := text(s, e); err != nil {
			t.Errorf("%s: %v", e.ID, err)
		}
	}
}

// TestSmallGroupsDoNotGrowTheFile: of many small groups few make the file of
// their segment longer, since that costs their sync more than the data does. What
// is read of it after a power failure is the messages.
func TestSmallGroupsDoNotGrowTheFile(t *testing.T) {
	fsys := disk.NewForgetful()
	cfg := testConfig(fsys)
	cfg.SegmentSize, cfg.Large = 3*aheadBytes/2, aheadBytes
	s, _ := mustOpen(t, cfg)
	length := func() int64 {
		t.Helper()
		info, err := s.active.file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	grown := func(sizes ...int) (lengths []int64) {
		t.Helper()
		for _, n := range sizes {
			mustAdd(t, s, n, n, 1)
			if l := length(); len(lengths) == 0 || l != lengths[len(lengths)-1] {
				lengths = append(lengths, l)
			}
		}
		return lengths
	}
	if got, want := grown(slices.Repeat([]int{1000}, 300)...), []int64{aheadBytes, 3 * aheadBytes / 2}; !slices.Equal(got, want) {
		t.Errorf("the file of small groups had lengths %d, want %d", got, want)
	}
	fsys = fsys.Crash()
	cfg.FS = fsys
	s, r := mustOpen(t, cfg)
	defer mustClose(t, s)
	if r.Messages != 300 || len(r.Damage) != 0 {
		t.Errorf("after a power failure: %+v", r)
	}
	for _, e := range s.Entries() {
		wantText(t, s, e, 1000, 1000)
	}
	grown(1000)
	if grown(aheadBytes / 2); length() != aheadBytes {
		t.Errorf("a file of %d bytes, %d of them used", length(), s.active.size)
	}
	if grown(aheadBytes / 2); length() != s.active.size {
		t.Errorf("a large group is followed by zeros: %d bytes, %d of them used", length(), s.active.size)
	}
	mustAdd(t, s, 0, aheadBytes/2, 1) // the segment is full
	for _, e := range s.Entries() {
		s.Remove(e)
	}
	if err := s.Tidy(); err != nil {
		t.Fatal(err)
	}
	if got := grown(slices.Repeat([]int{1000}, 200)...); fsys.Points()["queue.segment.recycled"] == 0 || len(got) != 1 {
		t.Errorf("a segment that is used again had lengths %d", got)
	}
}

func TestNoRoom(t *testing.T) {
	fsys := disk.NewForgetful()
	s, _ := mustOpen(t, testConfig(fsys))
	defer mustClose(t, s)
	space := disk.Space{Total: 1 << 30, Free: 1<<20 + 500, FreeInodes: 1000}
	fsys.SetSpace(space)
	if _, err := s.Begin(10_000); !fail.Is(err, fail.Full) {
		t.Errorf("announced size does not fit: %v, want Full", err)
	}
	w, err := s.Begin(400)
	if err != nil {
		t.Errorf("fits: %v", err)
	} else {
		w.Abort()
	}
	s.SetMinFree(1<<20 + 501)
	if err := s.Room(0); !fail.Is(err, fail.Full) {
		t.Errorf("MinFree has grown: %v, want Full", err)
	}
	s.SetMinFree(1 << 20)
	if err := s.Room(500); err != nil {
		t.Errorf("and is what it was: %v", err)
	}
	space.FreeInodes = 3
	fsys.SetSpace(space)
	s.roomAt.Store(0)
	if _, err := s.Begin(1); !fail.Is(err, fail.Full) {
		t.Errorf("no inodes: %v, want Full", err)
	}
}

// Beyond the memory budget a message above 64 KiB goes to a file of its own.
func TestBudget(t *testing.T) {
	fsys := disk.NewForgetful()
	cfg := testConfig(fsys)
	cfg.Large, cfg.Budget, cfg.SegmentSize = 256<<10, 600<<10, 1<<20
	s, _ := mustOpen(t, cfg)
	defer mustClose(t, s)
	var open []*Writer
	for i := range 10 {
		w, err := s.Begin(0)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 20 {
			if _, err := w.Write(body(i*100+k, 10_000)); err != nil {
				t.Fatal(err)
			}
		}
		open = append(open, w)
	}
	files, err := fsys.ReadDir(testDir + "/large")
	if err != nil || len(files) < 7 {
		t.Errorf("%d messages went to files, %v; the budget allows two of ten in memory", len(files), err)
	}
	if used := s.buffers.used.Load(); used > 600<<10+10*streamBuffer {
		t.Errorf("%d bytes of buffers", used)
	}
	for i, w := range open {
		e, err := w.Commit(context.Background(), envelope(1), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := text(s, e)
		if err != nil || got[:10_000] != string(body(i*100, 10_000)) || len(got) != 200_000 {
			t.Errorf("message %d: %d bytes, %v", i, len(got), err)
		}
	}
	if used := s.buffers.used.Load(); used != 0 {
		t.Errorf("%d bytes of buffers are not given back", used)
	}
}

// The promise of docs/targets: at most 400 bytes for each deferred recipient.
func TestMemoryOfDeferred(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory")
	}
	s, _ := mustOpen(t, testConfig(disk.NewForgetful()))
	defer mustClose(t, s)
	const n = 20_000
	seg := &segment{num: 1, epoch: 1}
	before := heap()
	heapOf := make([]*Entry, 0, n) // the scheduler's heap of what is due
	for i := range n {
		env := envelope(1)
		env.Sender = addr.Address{Local: "bounces+list-4711", Domain: "lists.example.com"}
		env.Recipients[0].Addr = addr.Address{Local: "firstname.lastname", Domain: "mail.example.org"}
		e := &Entry{ID: item.ID(i), Pos: -1, seg: seg, arrival: 1e18, hot: &hot{env: env, states: make([]item.State, 1)}}
		e.hot.states[0] = item.State{
			Status: item.Deferred, Attempts: 7, Code: item.Code{Class: 4, Subject: 4, Detail: 1}, Last: time.Unix(1e9+1000, 0), Next: time.Unix(1e9+5000, 0),
			Reason: "connect to mx1.mail.example.org[2001:db8:1234:5678::25]:25: Connection timed out (attempt over IPv6)",
			Remote: "mx1.mail.example.org", Diagnostic: "Connection timed out",
		}
		s.mu.Lock()
		s.put(e)
		s.mu.Unlock()
		s.Park(e)
		heapOf = append(heapOf, e)
	}
	each := (heap() - before) / n
	runtime.KeepAlive(heapOf)
	t.Logf("%d bytes per deferred recipient", each)
	if each > 400 {
		t.Errorf("%d bytes per deferred recipient, the limit is 400", each)
	}
	s.mu.Lock()
	s.index = table{}
	s.mu.Unlock()
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestNewerVersionIsLeftAlone(t *testing.T) {
	fsys := disk.NewForgetful()
	s, _ := mustOpen(t, testConfig(fsys))
	mustAdd(t, s, 1, 100, 1)
	mustClose(t, s)
	names, err := fsys.ReadDir(testDir + "/state")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range names {
		f, err := fsys.OpenFile(testDir+"/state/"+d.Name(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		var head [format.HeaderSize]byte
		_, _ = f.ReadAt(head[:], 0)
		head[8]++
		sum := format.Sum(0, head[:60])
		head[60], head[61], head[62], head[63] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		if _, err := f.WriteAt(head[:], 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Open(context.Background(), testConfig(fsys)); !fail.Is(err, fail.Invalid) {
		t.Errorf("open of a newer version: %v, want Invalid", err)
	}
}
