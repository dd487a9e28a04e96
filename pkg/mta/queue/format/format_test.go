package format

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestHeader(t *testing.T) {
	h := Header{Kind: Segment, Number: 7, Epoch: 9}
	b := h.Append(nil)
	got, err := ParseHeader(Segment, b)
	if err != nil || got != h || len(b) != HeaderSize {
		t.Fatalf("%+v, %v, %d bytes", got, err, len(b))
	}
	if _, err := ParseHeader(Log, b); !fail.Is(err, fail.Corrupt) {
		t.Errorf("segment read as a log: %v", err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if _, err := ParseHeader(Segment, bad); !fail.Is(err, fail.Corrupt) {
			t.Errorf("bit flipped at %d: %v", i, err)
		}
	}
	newer := bytes.Clone(b)
	le.PutUint32(newer[8:], Version+1)
	le.PutUint32(newer[60:], Sum(0, newer[:60]))
	if _, err := ParseHeader(Segment, newer); !fail.Is(err, fail.Invalid) {
		t.Errorf("newer version: %v, want Invalid", err)
	}
}

// segment builds the bytes of a segment with one record per body.
func segment(epoch uint64, bodies ...string) (data []byte, offs []int64) {
	data = make([]byte, SegmentStart)
	copy(data, Header{Kind: Segment, Number: 1, Epoch: epoch}.Append(nil))
	for i, body := range bodies {
		offs = append(offs, int64(len(data)))
		data = appendRecord(data, epoch, uint32(i), uint32(len(data)), body)
	}
	return data, append(offs, int64(len(data)))
}

func appendRecord(data []byte, epoch uint64, seq, durable uint32, body string) []byte {
	env := item.AppendEnvelope(nil, &item.Envelope{EnvID: body})
	r := Record{
		Epoch: epoch, Seq: seq, ID: item.ID(100 + seq), Durable: durable, Envelope: uint32(len(env)), Headers: 2,
		Body: uint64(len(body)), BodySum: Sum(0, []byte(body)), MetaSum: Sum(Sum(0, env), []byte("H\n")),
	}
	at := len(data)
	data = r.Append(data)
	data = append(append(append(data, env...), "H\n"...), body...)
	return append(data, make([]byte, int(r.Size())-(len(data)-at))...)
}

func scanAll(t *testing.T, data []byte, epoch uint64, start, limit, known int64) ([]uint32, Scan) {
	t.Helper()
	var seqs []uint32
	s, err := ScanSegment(bytes.NewReader(data), int64(len(data)), epoch, start, limit, known, func(off int64, r Record, meta []byte) error {
		if len(meta) != int(r.Envelope+r.Headers) {
			t.Errorf("meta of record at %d: %d bytes", off, len(meta))
		}
		seqs = append(seqs, r.Seq)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seqs, s
}

func TestScanSegment(t *testing.T) {
	big := string(bytes.Repeat([]byte("0123456789"), 100_000))
	data, offs := segment(5, "a", big, "c", "", "e")
	flip := func(at int64) []byte {
		b := bytes.Clone(data)
		b[at] ^= 0x10
		return b
	}
	stale := appendRecord(bytes.Clone(data), 4, 9, 0, "left over from an earlier use")
	for _, c := range []struct {
		name                string
		data                []byte
		start, limit, known int64
		seqs                []uint32
		gaps, lost          int
	}{
		{"whole", data, SegmentStart, 0, 0, []uint32{0, 1, 2, 3, 4}, 0, 0},
		{"from the middle", data, offs[2], 0, 0, []uint32{2, 3, 4}, 0, 0},
		{"limited after an abort", data, SegmentStart, offs[3], 0, []uint32{0, 1, 2}, 0, 0},
		{"older epoch behind the end", stale, SegmentStart, 0, 0, []uint32{0, 1, 2, 3, 4}, 0, 0},
		{"torn tail", data[:offs[5]-8], SegmentStart, 0, offs[3], []uint32{0, 1, 2, 3}, 0, 0},
		{"torn tail of bits", flip(offs[4] + 8), SegmentStart, 0, offs[4], []uint32{0, 1, 2, 3}, 0, 0},
		{"durable tail missing", data[:offs[4]], SegmentStart, 0, offs[5], []uint32{0, 1, 2, 3}, 1, 1},
		{"header damaged in the middle", flip(offs[2] + 20), SegmentStart, 0, 0, []uint32{0, 1, 3, 4}, 1, 1},
		{"envelope damaged", flip(offs[0] + RecordHeader), SegmentStart, 0, 0, []uint32{1, 2, 3, 4}, 1, 1},
		{"large body damaged", flip(offs[1] + 700_000), SegmentStart, 0, 0, []uint32{0, 2, 3, 4}, 1, 1},
		{"epoch of nobody", data, SegmentStart, 0, 0, nil, 0, 0},
		{"empty", data[:SegmentStart], SegmentStart, 0, 0, nil, 0, 0},
	} {
		epoch := uint64(5)
		if c.name == "epoch of nobody" {
			epoch = 6
		}
		seqs, s := scanAll(t, c.data, epoch, c.start, c.limit, c.known)
		if !reflect.DeepEqual(seqs, c.seqs) || len(s.Gaps) != c.gaps || len(s.Damaged()) != c.lost {
			t.Errorf("%s: records %v, gaps %v; want %v, %d gaps, %d damaged", c.name, seqs, s.Gaps, c.seqs, c.gaps, c.lost)
		}
	}
}

// A hole that lies above every durable mark is what a crash leaves of a group
// that was being written: no damage.
func TestScanSegmentHoleOfUnsyncedGroup(t *testing.T) {
	data := make([]byte, SegmentStart)
	for i := range 3 {
		data = appendRecord(data, 5, uint32(i), SegmentStart, "same group")
	}
	copy(data[SegmentStart:], make([]byte, 24))
	seqs, s := scanAll(t, data, 5, SegmentStart, 0, 0)
	if !reflect.DeepEqual(seqs, []uint32{1, 2}) || len(s.Gaps) != 1 || len(s.Damaged()) != 0 {
		t.Errorf("records %v, gaps %+v", seqs, s.Gaps)
	}
}

type failingReader struct {
	r   *bytes.Reader
	bad int64
}

func (f failingReader) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.bad {
		return 0, errors.New("input/output error")
	}
	return f.r.ReadAt(p, off)
}

func TestScanSegmentReadError(t *testing.T) {
	big := string(make([]byte, 1<<20))
	data, offs := segment(5, "a", big, "b", big)
	s, err := ScanSegment(failingReader{bytes.NewReader(data), offs[2] + 1000}, int64(len(data)), 5, SegmentStart, 0, 0,
		func(int64, Record, []byte) error { return nil })
	if err != nil || len(s.Damaged()) != 1 || s.Damaged()[0].Err == nil {
		t.Errorf("%+v, %v; want the read error as damage", s, err)
	}
}

func frames(generation uint32, durable []uint32, payloads ...string) []byte {
	data := Header{Kind: Log, Number: uint64(generation)}.Append(nil)
	for i, p := range payloads {
		f := Frame{Type: TypeFlags, Generation: generation, Seq: uint64(i), Durable: durable[i]}
		data = AppendFrame(data, f, func(b []byte) []byte { return append(b, p...) })
	}
	return data
}

func TestScanFrames(t *testing.T) {
	whole := frames(3, []uint32{64, 64, 64, 200}, "one", "", "three", "four")
	flip := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 1
		return b
	}
	second := HeaderSize + int(pad8(FrameHeader+3))
	for _, c := range []struct {
		name string
		data []byte
		want []string
		gaps []bool
	}{
		{"whole", whole, []string{"one", "", "three", "four"}, nil},
		{"torn", whole[:len(whole)-9], []string{"one", "", "three"}, nil},
		{"damaged below the mark", flip(second + 4), []string{"one", "three", "four"}, []bool{true}},
		{"another generation", frames(2, []uint32{0}, "old"), nil, nil},
		{"bad payload kept apart", frames(3, []uint32{0, 0}, "bad", "good"), []string{"good"}, []bool{true}},
	} {
		var got []string
		s, err := ScanFrames(bytes.NewReader(c.data), int64(len(c.data)), 3, 0, func(_ int64, f Frame) error {
			if string(f.Payload) == "bad" {
				return short("test")
			}
			got = append(got, string(f.Payload))
			return nil
		})
		var gaps []bool
		for _, g := range s.Gaps {
			gaps = append(gaps, g.Lost)
		}
		if err != nil || !reflect.DeepEqual(got, c.want) || !reflect.DeepEqual(gaps, c.gaps) {
			t.Errorf("%s: %q, gaps %v, %v; want %q, gaps %v", c.name, got, gaps, err, c.want, c.gaps)
		}
	}
}

func TestPayloads(t *testing.T) {
	base := time.Unix(1e9, 0)
	b := Base{LastID: 5, LastSegment: 6, LastEpoch: 7}
	if got, err := ParseBase(b.Append(nil)); err != nil || got != b {
		t.Errorf("base: %+v, %v", got, err)
	}
	si := SegmentInfo{Number: 1, Epoch: 2, Flags: SegFailed, Covered: 4, Limit: 5}
	if got, err := ParseSegmentInfo(si.Append(nil)); err != nil || got != si {
		t.Errorf("segment: %+v, %v", got, err)
	}
	loc := Location{Segment: 1, Epoch: 2, Offset: 3, Length: 4}
	if id, got, err := ParseMoved(AppendMoved(nil, 9, loc)); err != nil || got != loc || id != 9 {
		t.Errorf("moved: %v %+v, %v", id, got, err)
	}
	m := Message{ID: 9, Flags: MsgHeld, Loc: loc, Size: 77, Arrival: base.UnixNano(), Summary: item.AppendSummary(nil, &item.Summary{Sender: addr.Address{Local: "a"}}, base)}
	if got, text, _, err := ParseMessage(m.Append(nil)); err != nil || text != string(m.Summary) || !reflect.DeepEqual(got, m) {
		t.Errorf("message: %+v, %v", got, err)
	}
	s := States{ID: 9, States: []IndexedState{{3, item.State{Status: item.Failed, Reason: "no", Last: base}}, {1, item.State{}}}}
	if got, err := ParseStates(s.Append(nil, base), base); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("states: %+v, %v", got, err)
	}
	if id, flags, err := ParseFlags(AppendFlags(nil, 9, MsgWarned)); err != nil || id != 9 || flags != MsgWarned {
		t.Errorf("flags: %v %v %v", id, flags, err)
	}
	if ids, err := ParseRemoved(AppendRemoved(AppendRemoved(nil, 1), 2)); err != nil || !reflect.DeepEqual(ids, []item.ID{1, 2}) {
		t.Errorf("removed: %v %v", ids, err)
	}
	if n, err := ParseEnd(AppendEnd(nil, 42)); err != nil || n != 42 {
		t.Errorf("end: %v %v", n, err)
	}
}

func TestPayloadsRefuseShortInput(t *testing.T) {
	for n := range 8 {
		p := make([]byte, n)
		_, e1 := ParseBase(p)
		_, e2 := ParseSegmentInfo(p)
		_, _, e3 := ParseMoved(p)
		_, _, _, e4 := ParseMessage(p)
		_, e5 := ParseStates(p, time.Time{})
		_, _, e6 := ParseFlags(p)
		_, e7 := ParseEnd(p)
		for i, err := range []error{e1, e2, e3, e4, e5, e6, e7} {
			if !fail.Is(err, fail.Corrupt) {
				t.Errorf("%d bytes, decoder %d: %v", n, i, err)
			}
		}
	}
}

func FuzzScanSegment(f *testing.F) {
	data, _ := segment(5, "a", "bb")
	f.Add(data[SegmentStart:])
	f.Fuzz(func(t *testing.T, b []byte) {
		end := int64(0)
		s, err := ScanSegment(bytes.NewReader(b), int64(len(b)), 5, 0, 0, 0, func(off int64, r Record, meta []byte) error {
			if off < end {
				t.Fatalf("record at %d overlaps the one before, which ends at %d", off, end)
			}
			end = off + r.Size()
			return nil
		})
		if err != nil || s.End > int64(len(b)) {
			t.Fatalf("%+v, %v", s, err)
		}
	})
}

func FuzzScanFrames(f *testing.F) {
	f.Add(frames(1, []uint32{0, 0}, "one", "two"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ScanFrames(bytes.NewReader(b), int64(len(b)), 1, 0, func(int64, Frame) error { return nil })
		if err != nil || s.End > max(int64(len(b)), HeaderSize) {
			t.Fatalf("%+v, %v", s, err)
		}
	})
}

// Whatever a payload decoder accepts, it can write again.
func FuzzPayloads(f *testing.F) {
	base := time.Unix(1e9, 0)
	s := States{ID: 9, States: []IndexedState{{3, item.State{Status: item.Failed, Reason: "no", Last: base}}}}
	f.Add(s.Append(nil, base))
	m := Message{ID: 9, Arrival: base.UnixNano(), Summary: item.AppendSummary(nil, &item.Summary{}, base)}
	f.Add(m.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, _, _, err := ParseMessage(b); err == nil {
			again, _, _, err := ParseMessage(m.Append(nil))
			if err != nil || !reflect.DeepEqual(m, again) {
				t.Fatalf("message %+v, %+v, %v", m, again, err)
			}
		}
		if s, err := ParseStates(b, base); err == nil {
			again, err := ParseStates(s.Append(nil, base), base)
			if err != nil || !reflect.DeepEqual(s, again) {
				t.Fatalf("states %+v, %+v, %v", s, again, err)
			}
		}
		_, _ = ParseBase(b)
		_, _ = ParseSegmentInfo(b)
		_, _, _ = ParseMoved(b)
		_, _, _ = ParseFlags(b)
		_, _ = ParseRemoved(b)
		_, _ = ParseEnd(b)
		for _, kind := range []Kind{Segment, Log, Checkpoint} {
			_, _ = ParseHeader(kind, b)
		}
		_, _ = ParseRecord(b)
	})
}
