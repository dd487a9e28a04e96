package wire

import (
	"errors"
	"io"
	"strconv"
	"strings"

	imap "github.com/emersion/go-imap/v2"
)

// Writer batches answers. Its errors stick: after the first one nothing is
// written any more, and Flush returns it.
type Writer struct {
	dst   io.Writer
	bufs  *Buffers
	buf   []byte
	total int64
	err   error
	utf8  bool
}

// Writer makes a writer to dst.
func (b *Buffers) Writer(dst io.Writer) *Writer { return &Writer{dst: dst, bufs: b} }

// NewWriter is Buffers.Writer with a pool of its own.
func NewWriter(dst io.Writer) *Writer { return new(Buffers).Writer(dst) }

// UTF8 says that the client has enabled UTF-8 in strings and names.
func (w *Writer) UTF8(on bool) { w.utf8 = on }

// Total is the number of bytes given to the connection so far.
func (w *Writer) Total() int64 { return w.total }

// Err is the error that stopped the writer.
func (w *Writer) Err() error { return w.err }

// Stop drops what is written from now on. What was written before should have
// been flushed.
func (w *Writer) Stop() {
	if w.err == nil {
		w.err = errStopped
	}
	w.buf = w.buf[:0]
}

var errStopped = errors.New("the writer was stopped")

// Pending reports whether bytes wait for Flush.
func (w *Writer) Pending() bool { return len(w.buf) > 0 }

// room makes sure that n bytes can be appended, n being at most outSize.
func (w *Writer) room(n int) {
	if w.buf == nil {
		w.buf = w.bufs.getOut()
	}
	if len(w.buf)+n <= cap(w.buf) {
		return
	}
	if cap(w.buf) < largeOut { // a long answer: fewer writes are worth more than the memory
		w.enlarge()
		return
	}
	w.write(w.buf)
	w.buf = w.buf[:0]
}

func (w *Writer) write(b []byte) {
	if w.err != nil || len(b) == 0 {
		return
	}
	n, err := w.dst.Write(b)
	w.total += int64(n)
	w.err = err
}

// Flush writes what is batched.
func (w *Writer) Flush() error {
	w.write(w.buf)
	w.buf = w.buf[:0]
	return w.err
}

// Release flushes and gives the buffer back.
func (w *Writer) Release() error {
	err := w.Flush()
	w.bufs.putOut(w.buf)
	w.buf = nil
	return err
}

// enlarge has a larger buffer until Release.
func (w *Writer) enlarge() {
	small := w.buf
	w.buf = append(w.bufs.getLarge(), small...)
	w.bufs.putOut(small)
}

// Raw writes s as it is.
func (w *Writer) Raw(s string) {
	if len(s) <= outSize {
		w.room(len(s))
		w.buf = append(w.buf, s...)
		return
	}
	for len(s) > 0 {
		n := min(len(s), outSize)
		w.Raw(s[:n])
		s = s[n:]
	}
}

// Bytes writes b as it is.
func (w *Writer) Bytes(b []byte) {
	if len(b) <= outSize {
		w.room(len(b))
		w.buf = append(w.buf, b...)
		return
	}
	w.write(w.buf)
	w.buf = w.buf[:0]
	w.write(b)
}

// Num writes a number.
func (w *Writer) Num(n uint64) {
	w.room(20)
	w.buf = strconv.AppendUint(w.buf, n, 10)
}

// SpaceNum writes a space and a number: lists of them are long.
func (w *Writer) SpaceNum(n uint64) {
	w.room(21)
	w.buf = strconv.AppendUint(append(w.buf, ' '), n, 10)
}

// CRLF ends a line.
func (w *Writer) CRLF() { w.Raw("\r\n") }

// String writes s as a string: quoted when that is allowed, else a literal.
func (w *Writer) String(s string) {
	if len(s) < 1024 && quotable(s, w.utf8) {
		w.room(2*len(s) + 2)
		w.buf = appendQuoted(w.buf, s)
		return
	}
	w.Raw("{")
	w.Num(uint64(len(s)))
	w.Raw("}\r\n")
	w.Raw(s)
}

// Mailbox writes a mailbox name, in modified UTF-7 unless UTF-8 is enabled.
func (w *Writer) Mailbox(name string) {
	if !w.utf8 {
		name = EncodeUTF7(name)
	}
	if isAtom(name) {
		w.Raw(name)
		return
	}
	w.String(name)
}

// Set writes a set of numbers.
func (w *Writer) Set(s Set) {
	for len(s) > 0 {
		n := min(len(s), outSize/32)
		w.room(n * 22)
		w.buf = s[:n].Append(w.buf)
		if s = s[n:]; len(s) > 0 {
			w.Raw(",")
		}
	}
}

// Literal writes {size} and exactly size bytes of r. A source that ends early
// or fails leaves the connection unusable, since the client counts: the error
// sticks.
func (w *Writer) Literal(size int64, r io.Reader) {
	w.Raw("{")
	w.Num(uint64(size))
	w.Raw("}\r\n")
	w.copy(size, r)
}

// LiteralBytes is Literal of what is in memory.
func (w *Writer) LiteralBytes(b []byte) {
	w.Raw("{")
	w.Num(uint64(len(b)))
	w.Raw("}\r\n")
	w.Bytes(b)
}

// worthReading is how much room a source is given at least: one that converts
// works in the buffer itself when it has some.
const worthReading = 2 << 10

// copy fills the buffer from r, so that a small literal travels together with
// the line around it and a large one in full buffers.
func (w *Writer) copy(size int64, r io.Reader) {
	for size > 0 && w.err == nil {
		w.room(int(min(size, worthReading)))
		free := w.buf[len(w.buf):cap(w.buf)]
		if int64(len(free)) > size {
			free = free[:size]
		}
		n, err := io.ReadFull(r, free)
		w.buf = w.buf[:len(w.buf)+n]
		size -= int64(n)
		if err != nil && size > 0 {
			w.err = &SourceError{Missing: size, Err: err}
		}
	}
}

// SourceError says that a literal's source gave fewer bytes than announced.
type SourceError struct {
	Missing int64
	Err     error
}

func (e *SourceError) Error() string {
	return "message ended " + strconv.FormatInt(e.Missing, 10) + " bytes early: " + e.Err.Error()
}

func (e *SourceError) Unwrap() error { return e.Err }

// Status writes a status response (RFC 3501 section 7.1); tag is "*" for an
// untagged one, code may be empty.
func (w *Writer) Status(tag string, typ imap.StatusResponseType, code, text string) {
	w.Raw(tag)
	w.Raw(" ")
	w.Raw(string(typ))
	w.Raw(" ")
	if code != "" {
		w.Raw("[")
		w.Raw(code)
		w.Raw("] ")
	}
	w.Raw(text)
	w.CRLF()
}

// quotable reports whether s may be a quoted string.
func quotable(s string, utf8 bool) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || c > 0x7f && !utf8 {
			return false
		}
	}
	return true
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// isAtom reports whether a mailbox name needs no quotes. "NIL" would be read
// as no name at all.
func isAtom(s string) bool {
	for i := range len(s) {
		if !isAtomChar(s[i]) {
			return false
		}
	}
	return s != "" && !strings.EqualFold(s, "NIL")
}

// appendAString appends a header field name: what the client sent as an
// AString, given back to it.
func appendAString(b []byte, s string) []byte {
	switch {
	case isAtom(s):
		return append(b, s...)
	case quotable(s, false):
		return appendQuoted(b, s)
	}
	b = append(b, '{')
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, "}\r\n"...)
	return append(b, s...)
}
