package wire

import (
	"errors"
	"io"
	"sync"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Limits cap what one command may cost.
type Limits struct {
	Line   int   // bytes of a command outside literals
	Memory int   // bytes of all literals of a command that are kept in memory
	Depth  int   // nesting of parentheses
	Count  int   // elements of one list, ranges of one number set
	Tag    int   // bytes of a tag
	Drain  int64 // bytes of a refused literal that are read and dropped; beyond it the connection ends
	// NonSync bounds a literal that does not wait, in bytes; 0: as others.
	NonSync int64
}

// LiteralMinus is Limits.NonSync of servers that announce LITERAL- (RFC 7888
// section 5).
const LiteralMinus = 4096

// DefaultLimits are those after login (dovecot.org's imap_max_line_length and
// tag limit; the depth is the lesson of CVE-2026-27857).
func DefaultLimits() Limits {
	return Limits{Line: 64 << 10, Memory: 64 << 10, Depth: 32, Count: 32 << 10, Tag: 126, Drain: 1 << 30}
}

// LoginLimits are those before login.
func LoginLimits() Limits {
	return Limits{Line: 8 << 10, Memory: 8 << 10, Depth: 4, Count: 64, Tag: 126, Drain: 64 << 10}
}

// ErrTooLong ends a connection: the line, or a literal that must be drained,
// is beyond every bound.
var ErrTooLong = fail.New(fail.Invalid, "too long command line")

// SyntaxError says that a command cannot be understood. The connection goes
// on with the next line.
type SyntaxError struct {
	Code imap.ResponseCode // may be empty
	No   bool              // answer NO instead of BAD: well-formed but refused
	Text string
}

func (e *SyntaxError) Error() string { return e.Text }

// Reader takes commands off a connection.
//
// Errors stick: after the first one every method returns a zero value at
// once, so a command is parsed without looking and Err is asked at its end.
// A *SyntaxError is cleared by Recover, an I/O error stays for good.
type Reader struct {
	src  io.Reader
	bufs *Buffers
	lim  Limits
	// cont answers a synchronising literal: it sends "+ OK" and flushes.
	cont func() error

	buf  []byte // from pool, nil when nothing is buffered
	r, w int

	utf8                bool
	line, memory, depth int // spent by this command
	syntax              error
	ended               bool // the failed command ended with a refused synchronising literal
	fatal               error
	lit                 *Literal // streamed literal still to be read
	total               int64
}

// bufSize is the size of read buffers: it holds nearly every command whole.
const bufSize = 4 << 10

// outSize is the size of write buffers: one TLS record of flags lines.
const outSize = 16 << 10

// largeOut is the size of the buffer of an answer that does not fit one.
const largeOut = 64 << 10

// Buffers is a pool that the connections of one server share.
type Buffers struct{ in, out, large, codes, packed sync.Pool }

func (b *Buffers) getIn() []byte {
	if p, ok := b.in.Get().(*[bufSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufSize)
}

func (b *Buffers) getOut() []byte {
	if p, ok := b.out.Get().(*[outSize]byte); ok {
		return p[:0]
	}
	return make([]byte, 0, outSize)
}

func (b *Buffers) getLarge() []byte {
	if p, ok := b.large.Get().(*[largeOut]byte); ok {
		return p[:0]
	}
	return make([]byte, 0, largeOut)
}

// putOut takes a write buffer of either size back.
func (b *Buffers) putOut(buf []byte) {
	switch cap(buf) {
	case outSize:
		b.out.Put((*[outSize]byte)(buf[:outSize]))
	case largeOut:
		b.large.Put((*[largeOut]byte)(buf[:largeOut]))
	}
}

// Reader makes a reader of src. cont is called before a synchronising literal
// is read; it must send a continuation and flush.
func (b *Buffers) Reader(src io.Reader, lim Limits, cont func() error) *Reader {
	return &Reader{src: src, bufs: b, lim: lim, cont: cont}
}

// NewReader is Buffers.Reader with a pool of its own.
func NewReader(src io.Reader, lim Limits, cont func() error) *Reader {
	return new(Buffers).Reader(src, lim, cont)
}

// Preload puts bytes that were read elsewhere in front of the connection.
func (r *Reader) Preload(b []byte) {
	if len(b) == 0 {
		return
	}
	rest := append(append([]byte(nil), b...), r.buf[r.r:r.w]...)
	r.Drop()
	if len(rest) < bufSize {
		r.buf = r.bufs.getIn()
		r.w = copy(r.buf, rest)
		return
	}
	r.buf, r.w = rest, len(rest)
}

// Buffered returns what has been read and not used. It is valid until the
// next call.
func (r *Reader) Buffered() []byte { return r.buf[r.r:r.w] }

// Drop forgets what is buffered and gives the buffer back.
func (r *Reader) Drop() {
	if cap(r.buf) == bufSize {
		r.bufs.in.Put((*[bufSize]byte)(r.buf[:bufSize]))
	}
	r.buf, r.r, r.w = nil, 0, 0
}

// Release gives the buffer back when it is empty and reports whether it was.
func (r *Reader) Release() bool {
	if r.r != r.w {
		return false
	}
	r.Drop()
	return true
}

// Total is the number of bytes taken off the connection so far.
func (r *Reader) Total() int64 { return r.total }

// Spent is the number of bytes of this command so far, without what is
// streamed.
func (r *Reader) Spent() int { return r.line + r.memory }

// SetLimits changes the limits, for the commands that follow.
func (r *Reader) SetLimits(lim Limits) { r.lim = lim }

// UTF8 says that the client has enabled UTF-8 in strings: what is no UTF-8 is
// refused there (RFC 6855 section 3).
func (r *Reader) UTF8(on bool) { r.utf8 = on }

// Err returns the error that stopped the parsing of this command, or nil.
func (r *Reader) Err() error {
	if r.fatal != nil {
		return r.fatal
	}
	return r.syntax
}

// Ok reports whether there is no error.
func (r *Reader) Ok() bool { return r.fatal == nil && r.syntax == nil }

// Fail records a syntax error, unless there is an error already.
func (r *Reader) Fail(text string) { r.Refuse(&SyntaxError{Text: text}) }

// Refuse records a syntax error, unless there is an error already.
func (r *Reader) Refuse(e *SyntaxError) {
	if r.Ok() {
		r.syntax = e
	}
}

// Start begins a command: the counters of the limits start anew.
func (r *Reader) Start() {
	r.line, r.memory, r.depth, r.syntax, r.ended = 0, 0, 0, nil, false
}

// Fill waits until a byte is buffered. It is the only method that blocks
// between commands.
func (r *Reader) Fill() error {
	if r.fatal == nil && r.r == r.w {
		r.fill()
	}
	return r.fatal
}

func (r *Reader) fill() {
	if r.r == r.w && cap(r.buf) != bufSize {
		r.Drop()
		r.buf = r.bufs.getIn()
	}
	r.r, r.w = 0, 0
	// A reader may return nothing without an error; one that does so for
	// ever is broken.
	for range 100 {
		n, err := r.src.Read(r.buf)
		r.w += n
		r.total += int64(n)
		if n > 0 {
			return
		}
		if err != nil {
			r.fatal = err
			return
		}
	}
	r.fatal = io.ErrNoProgress
}

// Peek returns the next byte without consuming it; 0 after an error.
func (r *Reader) Peek() byte {
	if !r.Ok() {
		return 0
	}
	if r.r == r.w {
		r.fill()
		if r.fatal != nil {
			if errors.Is(r.fatal, io.EOF) && r.line > 0 {
				r.fatal = io.ErrUnexpectedEOF
			}
			return 0
		}
	}
	c := r.buf[r.r]
	if c == 0 {
		r.Fail("NUL is not allowed in a command")
	}
	return c
}

// next consumes the byte that Peek has shown.
func (r *Reader) next() {
	r.r++
	r.line++
	if r.line > r.lim.Line {
		r.Fail("Too long command line")
	}
}

// Recover skips the rest of a command that failed with a syntax error: up to
// the end of its line, and of the lines that follow its non-synchronising
// literals (RFC 7888 section 4). It returns an error when the connection
// cannot go on.
func (r *Reader) Recover() error {
	if r.fatal != nil {
		return r.fatal
	}
	r.syntax = nil
	if r.lit != nil {
		if _, err := r.lit.Drain(); err != nil {
			return err
		}
	}
	if r.ended {
		return nil
	}
	budget, drain := r.lim.Line*16, r.lim.Drain
	var tail [24]byte // the last bytes of the line, to see a literal there
	n := 0
	for {
		if r.r == r.w {
			if r.fill(); r.fatal != nil {
				return r.fatal
			}
		}
		c := r.buf[r.r]
		r.r++
		if budget--; budget < 0 {
			r.fatal = ErrTooLong
			return r.fatal
		}
		if c != '\n' {
			if n == len(tail) {
				copy(tail[:], tail[1:])
				n--
			}
			tail[n] = c
			n++
			continue
		}
		size, ok := nonSyncTail(tail[:n])
		if !ok {
			return nil
		}
		if drain -= size; drain < 0 {
			r.fatal = ErrTooLong
			return r.fatal
		}
		if err := r.skip(size); err != nil {
			return err
		}
		n = 0
	}
}

// nonSyncTail recognises "{123+}" at the end of a line.
func nonSyncTail(b []byte) (int64, bool) {
	if len(b) > 0 && b[len(b)-1] == '\r' {
		b = b[:len(b)-1]
	}
	if len(b) < 4 || string(b[len(b)-2:]) != "+}" {
		return 0, false
	}
	b = b[:len(b)-2]
	var n, scale int64 = 0, 1
	for i := len(b) - 1; i >= 0; i-- {
		c := b[i]
		if c == '{' {
			return n, scale > 1
		}
		if c < '0' || c > '9' || scale > 1e15 {
			return 0, false
		}
		n += int64(c-'0') * scale
		scale *= 10
	}
	return 0, false
}

// skip reads and drops n bytes.
func (r *Reader) skip(n int64) error {
	for n > 0 {
		if r.r == r.w {
			if r.fill(); r.fatal != nil {
				return r.fatal
			}
		}
		m := min(n, int64(r.w-r.r))
		r.r += int(m)
		n -= m
	}
	return nil
}
