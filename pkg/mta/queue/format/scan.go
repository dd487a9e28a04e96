package format

import (
	"errors"
	"io"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Gap is a stretch of a file that holds no sound record although one should
// be there.
type Gap struct {
	From, To int64
	// Lost is true when the stretch is known to have held durable records: it
	// is damage. Otherwise a crash may have left it: some sectors of writes
	// that nobody had been told about arrived and others did not.
	Lost bool
	Err  error // of reading, if that was the reason
}

// Scan is what walking a file gave.
type Scan struct {
	End     int64 // after the last sound record
	Durable int64 // the highest durable mark of a record
	Records int
	Gaps    []Gap
}

// Damaged returns the gaps that are damage.
func (s *Scan) Damaged() []Gap {
	var out []Gap
	for _, g := range s.Gaps {
		if g.Lost {
			out = append(out, g)
		}
	}
	return out
}

// walk is the state of a scan of either kind of file.
type walk struct {
	w    window
	pos  int64
	end  int64 // size of the file, or the limit
	scan Scan
	high int64 // durable mark of the records seen so far
}

// gap notes that nothing sound lies between from and the record at to.
func (k *walk) gap(from, to int64, err error) {
	k.scan.Gaps = append(k.scan.Gaps, Gap{From: from, To: to, Err: err})
}

// finish decides which gaps are damage. known is a mark below which the file
// is known to be durable from elsewhere, 0 when there is none.
func (k *walk) finish(known int64) Scan {
	k.scan.Durable = k.high
	k.high = max(k.high, known)
	switch {
	case k.w.err != nil:
		k.gap(k.scan.End, k.end, k.w.err)
	case k.scan.End < known:
		k.gap(k.scan.End, known, nil)
	}
	for i := range k.scan.Gaps {
		g := &k.scan.Gaps[i]
		g.Lost = g.From < k.high || g.Err != nil
	}
	return k.scan
}

// resync looks for a sound record at or after pos on an 8-byte grid.
func (k *walk) resync(pos int64, sound func(pos int64) bool) (int64, bool) {
	for ; pos < k.end; pos += 8 {
		if k.w.err != nil {
			return 0, false
		}
		if sound(pos) {
			return pos, true
		}
	}
	return 0, false
}

// ScanSegment walks the records of one epoch from start, and calls visit for
// each sound one with its header and the envelope and added headers, valid
// during the call only. Nothing at or
// above limit counts (0: no limit). known is an offset below which records are
// known to be durable. visit's error ends the scan and is returned.
func ScanSegment(r io.ReaderAt, size int64, epoch uint64, start, limit, known int64, visit func(off int64, rec Record, meta []byte) error) (Scan, error) {
	k := walk{w: window{r: r}, pos: start, end: size}
	if limit > 0 {
		k.end = min(k.end, limit)
	}
	k.scan.End = start
	var next uint32 // the least sequence number that may come
	first := true
	sound := func(pos int64) bool {
		rec, ok := k.record(pos, epoch)
		return ok && (first || rec.Seq >= next) && k.bodySound(pos, rec)
	}
	for k.pos < k.end {
		if !sound(k.pos) {
			to, ok := k.resync(k.pos+8, sound)
			if !ok {
				break
			}
			k.gap(k.pos, to, nil)
			k.pos = to
		}
		rec, _ := k.record(k.pos, epoch)
		meta := k.w.at(k.pos, int(rec.Meta()))
		if err := visit(k.pos, rec, meta[RecordHeader:]); err != nil {
			return k.scan, err
		}
		first, next = false, rec.Seq+1
		k.high = max(k.high, int64(rec.Durable))
		k.pos += rec.Size()
		k.scan.End = k.pos
		k.scan.Records++
	}
	return k.finish(known), nil
}

// record reads header, envelope and added headers at pos and checks them.
func (k *walk) record(pos int64, epoch uint64) (Record, bool) {
	rec, ok := ParseRecord(k.w.at(pos, RecordHeader))
	if !ok || rec.Epoch != epoch || pos+rec.Size() > k.end {
		return Record{}, false
	}
	meta := k.w.at(pos, int(rec.Meta()))
	return rec, len(meta) == int(rec.Meta()) && Sum(0, meta[RecordHeader:]) == rec.MetaSum
}

// bodySound checks the body inside the segment piece by piece.
func (k *walk) bodySound(pos int64, rec Record) bool {
	if rec.Flags&External != 0 {
		return true
	}
	sum := uint32(0)
	for off, left := pos+rec.Meta(), rec.Inline(); left > 0; {
		n := min(left, windowSize/2)
		piece := k.w.at(off, int(n))
		if int64(len(piece)) != n {
			return false
		}
		sum = Sum(sum, piece)
		off, left = off+n, left-n
	}
	return sum == rec.BodySum
}

// ScanFrames walks a state log or checkpoint after its header. known is a
// mark below which all is known to be durable (the size, for a checkpoint). The frame
// handed to visit is valid during the call only. An error of visit of kind
// fail.Corrupt makes the frame count as damaged; any other ends the scan.
func ScanFrames(r io.ReaderAt, size int64, generation uint32, known int64, visit func(off int64, f Frame) error) (Scan, error) {
	k := walk{w: window{r: r}, pos: HeaderSize, end: size}
	k.scan.End = HeaderSize
	var next uint64
	sound := func(pos int64) bool {
		f, ok := k.frame(pos, generation)
		return ok && f.Seq >= next
	}
	for k.pos < k.end {
		if !sound(k.pos) {
			to, ok := k.resync(k.pos+8, sound)
			if !ok {
				break
			}
			k.gap(k.pos, to, nil)
			k.pos = to
		}
		f, _ := k.frame(k.pos, generation)
		n := pad8(FrameHeader + int64(len(f.Payload)))
		if err := visit(k.pos, f); err != nil {
			if fail.KindOf(err) != fail.Corrupt {
				return k.scan, err
			}
			k.gap(k.pos, k.pos+n, err)
		}
		next = f.Seq + 1
		k.high = max(k.high, int64(f.Durable))
		k.pos += n
		k.scan.End = k.pos
		k.scan.Records++
	}
	return k.finish(known), nil
}

func (k *walk) frame(pos int64, generation uint32) (Frame, bool) {
	n, ok := frameLength(k.w.at(pos, FrameHeader), generation)
	if !ok || pos+n > k.end {
		return Frame{}, false
	}
	b := k.w.at(pos, int(n))
	if int64(len(b)) != n {
		return Frame{}, false
	}
	return parseFrame(b)
}

// window reads a file in large pieces and keeps the current one.
type window struct {
	r    io.ReaderAt
	buf  []byte
	base int64
	err  error // a read error other than the end of the file
}

const windowSize = 256 << 10

// at returns the n bytes at off, fewer at the end of the file or after an
// error. They are valid until the next call.
func (w *window) at(off int64, n int) []byte {
	if off >= w.base && off+int64(n) <= w.base+int64(len(w.buf)) {
		return w.buf[off-w.base:][:n]
	}
	if w.err != nil {
		return nil
	}
	want := max(n, windowSize)
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	got, err := w.r.ReadAt(w.buf[:want], off)
	w.buf, w.base = w.buf[:got], off
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return w.buf[:min(n, got)]
}
