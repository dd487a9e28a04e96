package wire

import (
	"bytes"
	"io"
	"sync"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Errors of line reading.
var (
	// ErrLineTooLong: the line was longer than the cap. It has been read to
	// its end and dropped; the next line can be read.
	ErrLineTooLong = fail.New(fail.Invalid, "line is too long")
	// ErrFlood: a line went on for MaxDrain octets without an end.
	ErrFlood = fail.New(fail.Invalid, "input without line end")
)

// MaxDrain is how much of one over-long line is read and dropped before the
// connection is given up. The longest line in the wild is a body sent as a
// command after a refused DATA.
const MaxDrain = 64 << 20

// Buffers is a pool of read buffers, shared by the connections of a server.
type Buffers struct {
	size int
	pool sync.Pool
}

// NewBuffers returns a pool of buffers with size octets each. The size bounds
// the longest line that a Reader can return.
func NewBuffers(size int) *Buffers {
	b := &Buffers{size: size}
	b.pool.New = func() any {
		buf := make([]byte, size)
		return &buf
	}
	return b
}

// Get takes a buffer.
func (b *Buffers) Get() *[]byte { return b.pool.Get().(*[]byte) }

// Put gives a buffer back; nobody may hold a slice of it.
func (b *Buffers) Put(p *[]byte) { b.pool.Put(p) }

// IdleReader is a source that can wait for input before it needs a buffer to
// put it into.
type IdleReader interface {
	io.Reader
	// ReadIdle waits for input without a buffer and returns one from bufs with
	// n octets. It may return a buffer with an error; the reader puts it back.
	ReadIdle(bufs *Buffers) (buf *[]byte, n int, err error)
}

// Reader is the buffered input of one connection. While nothing is buffered
// and its source is an IdleReader, it waits without a buffer.
type Reader struct {
	src  io.Reader
	bufs *Buffers
	own  *[]byte // nil while nothing is buffered
	r, w int
	bare bool
}

// NewReader returns a reader of src.
func NewReader(src io.Reader, bufs *Buffers) *Reader { return &Reader{src: src, bufs: bufs} }

// Reset drops what is buffered and continues with src.
func (r *Reader) Reset(src io.Reader) {
	r.Release()
	r.src = src
}

// Release drops what is buffered and gives the buffer back.
func (r *Reader) Release() {
	if r.own != nil {
		r.bufs.Put(r.own)
		r.own = nil
	}
	r.r, r.w = 0, 0
}

// Buffered returns how many octets wait to be read.
func (r *Reader) Buffered() int { return r.w - r.r }

// Peek returns what is buffered, without reading. It is valid until the next
// call.
func (r *Reader) Peek() []byte {
	if r.own == nil {
		return nil
	}
	return (*r.own)[r.r:r.w]
}

// HasLine reports whether a complete line is buffered.
func (r *Reader) HasLine() bool { return bytes.IndexByte(r.Peek(), '\n') >= 0 }

// Wait blocks until something is buffered.
func (r *Reader) Wait() error {
	if r.Buffered() > 0 {
		return nil
	}
	return r.fill()
}

// BareLF reports whether the last line ended in LF without CR.
func (r *Reader) BareLF() bool { return r.bare }

// ReadLine returns the next line without its line end, CRLF or LF. It is valid
// until the next call. A line of more than limit octets is read to its end in
// constant memory and gives ErrLineTooLong. io.EOF comes only between lines.
func (r *Reader) ReadLine(limit int) ([]byte, error) {
	if limit > r.bufs.size-2 {
		limit = r.bufs.size - 2
	}
	seen := 0 // octets of the buffer known to hold no LF
	for {
		b := r.Peek()
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			i += seen
			r.skip(i + 1)
			line := b[:i]
			r.bare = i == 0 || line[i-1] != '\r'
			if !r.bare {
				line = line[:i-1]
			}
			if len(line) > limit {
				return nil, ErrLineTooLong
			}
			return line, nil
		}
		if len(b) > limit+1 {
			return nil, r.drainLine()
		}
		seen = len(b)
		if err := r.fill(); err != nil {
			if err == io.EOF && seen > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// drainLine drops everything up to the next LF.
func (r *Reader) drainLine() error {
	for total := 0; total <= MaxDrain; {
		b := r.Peek()
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			r.skip(i + 1)
			return ErrLineTooLong
		}
		total += len(b)
		r.skip(len(b))
		if err := r.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return ErrFlood
}

// skip consumes n buffered octets. The buffer is kept, because a slice of it
// may have been handed out; fill gives it back before it waits.
func (r *Reader) skip(n int) { r.r += n }

// need makes sure that at least n octets are buffered.
func (r *Reader) need(n int) error {
	for r.Buffered() < n {
		if err := r.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// fill reads once, behind what is buffered.
func (r *Reader) fill() error {
	if r.r == r.w {
		r.r, r.w = 0, 0
		if idle, ok := r.src.(IdleReader); ok {
			return r.fillIdle(idle)
		}
	}
	if r.own == nil {
		r.own = r.bufs.Get()
	}
	buf := *r.own
	if r.r > 0 {
		r.w = copy(buf, buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(buf) {
		return ErrLineTooLong // callers ask for less than a buffer
	}
	return r.got(r.src.Read(buf[r.w:]))
}

func (r *Reader) fillIdle(idle IdleReader) error {
	r.Release()
	own, n, err := idle.ReadIdle(r.bufs)
	r.own = own
	return r.got(n, err)
}

func (r *Reader) got(n int, err error) error {
	r.w += n
	switch {
	case n > 0:
		return nil // an error will come again
	case err == nil:
		return io.ErrNoProgress
	}
	if r.r == r.w {
		r.Release()
	}
	return err
}
