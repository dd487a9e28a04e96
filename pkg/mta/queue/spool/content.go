package spool

import (
	"errors"
	"io"
	"os"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// stored is a record that a reader holds on to.
type stored struct {
	s     *Spool
	seg   *segment
	off   int64
	rec   format.Record
	front []byte // what was read at once, from the record's beginning
	meta  []byte // envelope, added headers
	buf   []byte // pooled memory that the two lie in, nil when it is their own
}

// usualFront is read at once when only the front of a record is wanted:
// enough for its header, a usual envelope and our Received field.
const usualFront = 1 << 10

// fetch pins the record of e and reads its front, checked, or the whole
// record if it is small and whole is set. The caller calls release.
func (s *Spool) fetch(e *Entry, whole bool) (*stored, error) {
	s.mu.Lock()
	if e.flags&gone != 0 {
		s.mu.Unlock()
		return nil, fail.New(fail.NotFound, "message %s has left the queue", e.ID)
	}
	st := &stored{s: s, seg: e.seg, off: int64(e.off)}
	length, absent := int64(e.length), e.seg.absent
	var err error
	if !absent {
		err = s.pin(st.seg)
	}
	s.mu.Unlock()
	switch {
	case absent || errors.Is(err, os.ErrNotExist):
		return nil, s.damaged(e, "the segment is missing")
	case err != nil:
		return nil, diskErr(err, "segment %d", st.seg.num)
	}
	if whole && length <= streamBuffer {
		st.buf = s.buffers.get(int(length))
		st.front = st.buf[:length]
	} else {
		st.front = make([]byte, min(length, usualFront))
	}
	if err := st.read(e, length); err != nil {
		st.release()
		st.free()
		return nil, err
	}
	return st, nil
}

func (st *stored) read(e *Entry, length int64) error {
	n, err := st.seg.file.ReadAt(st.front, st.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return st.readErr(e, err)
	}
	if st.front = st.front[:n]; n < format.RecordHeader {
		return st.readErr(e, io.ErrUnexpectedEOF)
	}
	rec, ok := format.ParseRecord(st.front[:format.RecordHeader])
	if !ok || rec.ID != e.ID || rec.Epoch != st.seg.epoch || rec.Size() != length {
		return st.s.damaged(e, "no record of the message where it should be")
	}
	st.rec = rec
	if err := st.readMeta(); err != nil {
		return st.readErr(e, err)
	}
	if format.Sum(0, st.meta) != rec.MetaSum {
		return st.s.damaged(e, "envelope does not match its checksum")
	}
	return nil
}

// readMeta takes envelope and headers from the front, or reads what is missing.
func (st *stored) readMeta() error {
	have := st.front[format.RecordHeader:]
	n := int(st.rec.Envelope) + int(st.rec.Headers)
	if len(have) >= n {
		st.meta = have[:n]
		return nil
	}
	st.meta = make([]byte, n)
	k := copy(st.meta, have)
	return readFull(st.seg.file, st.meta[k:], st.off+format.RecordHeader+int64(k))
}

// free gives pooled memory back.
func (st *stored) free() {
	if st.buf != nil {
		st.s.buffers.put(st.buf)
		st.front, st.meta, st.buf = nil, nil, nil
	}
}

// readErr tells a file that is too short from a disk that does not answer.
func (st *stored) readErr(e *Entry, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return st.s.damaged(e, "the segment ends too early")
	}
	return diskErr(err, "segment %d", st.seg.num)
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

func (st *stored) release() {
	if st.seg == nil {
		return
	}
	st.s.mu.Lock()
	st.s.unpin(st.seg)
	st.s.mu.Unlock()
	st.seg = nil
}

// Envelope reads the envelope of e from disk.
func (s *Spool) Envelope(e *Entry) (*item.Envelope, error) {
	st, err := s.fetch(e, false)
	if err != nil {
		return nil, err
	}
	defer st.release()
	env, err := item.DecodeEnvelope(st.meta[:st.rec.Envelope])
	if err != nil {
		return nil, s.damaged(e, "envelope: "+err.Error())
	}
	return env, nil
}

// Content is a message as it is sent. One goroutine uses it.
type Content struct {
	st      *stored
	headers []byte
	buf     []byte // of a large one in a file of its own, pooled
	body    io.Reader
	file    disk.File // of a large one
	size    int64
}

// Open gives the content of e. It is checked before anything of it is given
// out, but for bodies in files of their own: those end with an error of kind
// Corrupt in place of their last piece.
func (s *Spool) Open(e *Entry) (*Content, error) {
	st, err := s.fetch(e, true)
	if err != nil {
		return nil, err
	}
	c := &Content{st: st, headers: st.meta[st.rec.Envelope:], size: st.rec.Sent()}
	switch {
	case st.rec.Flags&format.External != 0:
		err = c.openLarge(e)
	case st.buf != nil:
		err = c.openSmall(e)
	default:
		err = c.openInline(e)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// openSmall takes the body of a record that was read whole, and lets go of
// the segment.
func (c *Content) openSmall(e *Entry) error {
	st := c.st
	body := st.front[min(st.rec.Meta(), int64(len(st.front))):]
	if uint64(len(body)) < st.rec.Body {
		return st.readErr(e, io.ErrUnexpectedEOF)
	}
	body = body[:st.rec.Body]
	if format.Sum(0, body) != st.rec.BodySum {
		return st.s.damaged(e, "body does not match its checksum")
	}
	c.body = &sliceReader{b: body[st.rec.Skip:]}
	st.release()
	return nil
}

type sliceReader struct{ b []byte }

func (r *sliceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// WriteTo saves a copy.
func (r *sliceReader) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(r.b)
	r.b = r.b[n:]
	return int64(n), err
}

// openInline checks the body once over, then reads it again piece by piece.
func (c *Content) openInline(e *Entry) error {
	st := c.st
	buf := st.s.buffers.get(streamBuffer)
	defer st.s.buffers.put(buf)
	start := st.off + st.rec.Meta()
	sum := uint32(0)
	for off, left := start, st.rec.Inline(); left > 0; {
		piece := buf[:min(left, streamBuffer)]
		if err := readFull(st.seg.file, piece, off); err != nil {
			return st.readErr(e, err)
		}
		sum = format.Sum(sum, piece)
		off, left = off+int64(len(piece)), left-int64(len(piece))
	}
	if sum != st.rec.BodySum {
		return st.s.damaged(e, "body does not match its checksum")
	}
	skip := int64(st.rec.Skip)
	c.body = io.NewSectionReader(st.seg.file, start+skip, st.rec.Inline()-skip)
	return nil
}

func (c *Content) openLarge(e *Entry) error {
	st := c.st
	f, err := st.s.cfg.FS.OpenFile(st.s.cfg.largeFile(e.ID), os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return st.s.damaged(e, "the file of the body is missing")
	}
	if err != nil {
		return diskErr(err, "large message %s", e.ID)
	}
	c.file = f
	info, err := f.Stat()
	if err != nil {
		return diskErr(err, "large message %s", e.ID)
	}
	if info.Size() != int64(st.rec.Body) {
		return st.s.damaged(e, "the file of the body has another length")
	}
	st.release()
	c.body = &checkedReader{c: c, e: e, left: int64(st.rec.Body), skip: int64(st.rec.Skip)}
	return nil
}

// checkedReader reads a large body and holds back each piece until the next
// one was read, and the last one until the checksum has been compared.
type checkedReader struct {
	c    *Content
	e    *Entry
	left int64 // not yet read from the file
	skip int64 // not yet left out
	sum  uint32
	held []byte // read, checked as far as can be, may be given out
	next []byte // read, to be given out after another piece was read
	odd  bool   // the next piece goes to the second half of the buffer
	err  error
}

func (r *checkedReader) Read(p []byte) (int, error) {
	for len(r.held) == 0 && r.err == nil {
		r.advance()
	}
	if len(r.held) == 0 {
		return 0, r.err
	}
	n := copy(p, r.held)
	r.held = r.held[n:]
	return n, nil
}

func (r *checkedReader) advance() {
	st := r.c.st
	if r.left == 0 {
		r.held, r.next, r.err = r.next, nil, io.EOF
		if r.sum != st.rec.BodySum {
			r.held, r.err = nil, st.s.damaged(r.e, "body does not match its checksum")
		}
		return
	}
	if r.c.buf == nil {
		r.c.buf = st.s.buffers.get(streamBuffer)[:streamBuffer]
	}
	half := r.c.buf[:streamBuffer/2]
	if r.odd {
		half = r.c.buf[streamBuffer/2:]
	}
	r.odd = !r.odd
	piece := half[:min(r.left, int64(len(half)))]
	if _, err := io.ReadFull(r.c.file, piece); err != nil {
		r.held, r.err = nil, diskErr(err, "large message %s", r.e.ID)
		return
	}
	r.sum = format.Sum(r.sum, piece)
	r.left -= int64(len(piece))
	drop := min(r.skip, int64(len(piece)))
	r.skip -= drop
	r.held, r.next = r.next, piece[drop:]
}

// Headers are the added headers.
func (c *Content) Headers() []byte { return c.headers }

// Body reads what was received, but for the part that Headers stand for.
func (c *Content) Body() io.Reader { return c.body }

// Size is the length of Headers and Body together.
func (c *Content) Size() int64 { return c.size }

// Close lets go of the files.
func (c *Content) Close() error {
	if c.buf != nil {
		c.st.s.buffers.put(c.buf)
		c.buf = nil
	}
	c.body, c.headers = eof{}, nil
	c.st.release()
	c.st.free()
	if c.file != nil {
		f := c.file
		c.file = nil
		return f.Close()
	}
	return nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// damaged marks e as damaged and on hold, so that it is neither sent nor
// forgotten, and returns the error to report.
func (s *Spool) damaged(e *Entry, what string) error {
	s.mu.Lock()
	file, off, length := s.cfg.segmentFile(e.seg.num), int64(e.off), int64(e.length)
	s.mu.Unlock()
	err := corrupt(&Damage{File: file, Offset: off, Length: length, What: "message " + e.ID.String() + ": " + what})
	if s.SetFlags(e, Damaged|Held, 0) {
		s.Flush()
		s.cfg.warn(err)
	}
	return err
}
