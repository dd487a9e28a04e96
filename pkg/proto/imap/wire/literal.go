package wire

import (
	"io"
	"strconv"

	imap "github.com/emersion/go-imap/v2"
)

// header is the announcement of a literal: {12}, or {12+} that does not wait.
type header struct {
	size int64
	sync bool
}

// literalHeader reads "{" number ["+"] "}" CRLF (RFC 7888 section 8). The
// limit on lines does not apply: stopping inside would lose count of what
// follows.
func (r *Reader) literalHeader() (h header, ok bool) {
	h.sync = true
	r.bump() // "{"
	digits := 0
	for {
		c := r.Peek()
		if c < '0' || c > '9' {
			break
		}
		if digits++; digits > 15 {
			r.Fail("Invalid literal size")
			return h, false
		}
		h.size = h.size*10 + int64(c-'0')
		r.bump()
	}
	if digits > 0 && r.Peek() == '+' {
		h.sync = false
		r.bump()
	}
	if digits == 0 || r.Peek() != '}' {
		r.Fail("Invalid literal size")
		return h, false
	}
	r.bump()
	return h, r.lineEnd()
}

func (r *Reader) bump() { r.r++; r.line++ }

// lineEnd consumes CRLF, or LF alone as typed by hand.
func (r *Reader) lineEnd() bool {
	if r.Peek() == '\r' {
		r.bump()
	}
	if r.Peek() != '\n' {
		r.Fail("CRLF expected")
		return false
	}
	r.bump()
	return r.Ok()
}

// admit lets the client send the literal h, or refuses it with e: a
// non-synchronising one is drained then, of a synchronising one the client
// sends nothing (RFC 7888 section 4).
func (r *Reader) admit(h header, e *SyntaxError) bool {
	if e == nil {
		e = r.impatient(h)
	}
	switch {
	case e == nil && h.sync:
		if err := r.cont(); err != nil {
			r.fatal = err
		}
		return r.Ok()
	case e == nil:
		return true
	case h.sync:
		r.Refuse(e)
		r.ended = true
		return false
	case h.size > r.lim.Drain:
		r.fatal = ErrTooLong
		return false
	}
	if r.skip(h.size) == nil {
		r.Refuse(e)
	}
	return false
}

// impatient refuses what should have waited.
func (r *Reader) impatient(h header) *SyntaxError {
	if h.sync || r.lim.NonSync == 0 || h.size <= r.lim.NonSync {
		return nil
	}
	return &SyntaxError{Code: imap.ResponseCodeTooBig, Text: "Literal of more than " + strconv.FormatInt(r.lim.NonSync, 10) + " bytes did not wait"}
}

// literal reads a literal into memory.
func (r *Reader) literal() []byte {
	h, ok := r.literalHeader()
	if !ok {
		return nil
	}
	var e *SyntaxError
	if h.size > int64(r.lim.Memory-r.memory) {
		e = &SyntaxError{Text: "Literal is longer than " + strconv.Itoa(r.lim.Memory) + " bytes"}
	}
	if !r.admit(h, e) {
		return nil
	}
	r.memory += int(h.size)
	b := make([]byte, 0, min(int(h.size), bufSize))
	for n := int(h.size); n > 0; {
		if r.r == r.w {
			if r.fill(); r.fatal != nil {
				r.noEOF()
				return nil
			}
		}
		m := min(n, r.w-r.r)
		b = append(b, r.buf[r.r:r.r+m]...)
		r.r += m
		n -= m
	}
	for _, c := range b {
		if c == 0 {
			r.Fail("NUL is not allowed in a literal")
			return nil
		}
	}
	return b
}

// noEOF turns the end of input inside a command into an unexpected one.
func (r *Reader) noEOF() {
	if r.fatal == io.EOF { //nolint:errorlint // set by fill, never wrapped
		r.fatal = io.ErrUnexpectedEOF
	}
}

// Literal is a literal that is read as a stream.
type Literal struct {
	r       *Reader
	size    int64
	left    int64
	waiting bool // the client waits to be told to send it
}

// Stream reads the announcement of a literal of at most max bytes and returns
// it unread. A client that waits is told to go on when the literal is first
// read: whoever refuses it without reading has not made the client send it.
// It must be read to its end, or drained, before the Reader is used again.
// Nil after an error.
func (r *Reader) Stream(max int64) *Literal {
	if r.Peek() == '~' { // literal8 (RFC 3516): the bytes are taken as they are
		r.next()
	}
	if r.Peek() != '{' {
		r.Fail("Literal expected")
		return nil
	}
	h, ok := r.literalHeader()
	if !ok {
		return nil
	}
	if e := r.impatient(h); e != nil {
		r.admit(h, e)
		return nil
	}
	if h.size > max {
		r.admit(h, &SyntaxError{No: true, Code: imap.ResponseCodeTooBig, Text: "Message is larger than " + strconv.FormatInt(max, 10) + " bytes"})
		return nil
	}
	r.lit = &Literal{r: r, size: h.size, left: h.size, waiting: h.sync}
	return r.lit
}

// Size is the number of bytes that the client announced.
func (l *Literal) Size() int64 { return l.size }

// Left is the number of bytes not yet read.
func (l *Literal) Left() int64 { return l.left }

// Read reads the literal. The end of the connection inside it is
// io.ErrUnexpectedEOF, so that half a message is never taken for a whole.
func (l *Literal) Read(p []byte) (int, error) {
	r := l.r
	if l.waiting {
		l.waiting = false
		if err := r.cont(); err != nil {
			r.fatal = err
		}
	}
	if l.left == 0 {
		r.lit = nil
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.fatal != nil {
		return 0, r.fatal
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	if r.r == r.w && len(p) >= bufSize {
		n, err := r.src.Read(p)
		r.total += int64(n)
		l.left -= int64(n)
		if err != nil && n == 0 {
			r.fatal = err
			r.noEOF()
			return 0, r.fatal
		}
		return n, nil
	}
	if r.r == r.w {
		if r.fill(); r.fatal != nil {
			r.noEOF()
			return 0, r.fatal
		}
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	l.left -= int64(n)
	return n, nil
}

// Drain reads and drops what is left. It reports false in ok when the client
// was never told to send the literal: then the command has ended with it.
func (l *Literal) Drain() (ok bool, err error) {
	r, n := l.r, l.left
	l.left, r.lit = 0, nil
	if l.waiting {
		l.waiting, r.ended = false, true
		return false, nil
	}
	if err := r.skip(n); err != nil {
		r.noEOF()
		return false, r.fatal
	}
	return true, nil
}
