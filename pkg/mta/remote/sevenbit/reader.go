package sevenbit

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
)

// Caps: nesting is Postfix's mime_nesting_limit; a header beyond the other is
// not one that anybody wrote.
const (
	maxDepth  = 100
	maxHeader = 1 << 20
	blockSize = 32 << 10
)

// state is where in the message the next line stands.
type state uint8

const (
	inHeader state = iota
	inPlain        // goes as it is: 7-bit parts, and what stands around parts
	inQuoted       // is converted
	inStrict       // goes as it is, and must be 7-bit
)

// level is a multipart that is open.
type level struct {
	boundary []byte
	digest   bool // its parts are messages unless they say otherwise
}

// Reader converts while it is read.
type Reader struct {
	in     *bufio.Reader
	out    []byte
	pos    int
	header []byte
	open   []level
	nested int // messages in messages
	state  state
	begin  bool // the next piece begins a line
	quoted quoted
	digest bool // of the part whose header is being read
	global bool // only parts of RFC 6533 are converted
	err    error
}

// NewReader converts the message in. Its line ends may be CRLF or LF.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, blockSize), begin: true}
}

// NewGlobalReader converts only what a host without SMTPUTF8 must not get: the
// parts of a notification that are message/global, message/global-headers or
// message/global-delivery-status (RFC 6533 section 4.5).
func NewGlobalReader(in io.Reader) *Reader {
	r := NewReader(in)
	r.global = true
	return r
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for r.pos == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		r.out, r.pos = r.out[:0], 0
		r.step()
	}
	n := copy(p, r.out[r.pos:])
	r.pos += n
	return n, nil
}

// step takes in one line, or a piece of one.
func (r *Reader) step() {
	piece, err := r.in.ReadSlice('\n')
	if len(piece) > 0 {
		whole := piece[len(piece)-1] == '\n'
		if ferr := r.line(piece, whole); ferr != nil {
			r.err = ferr
			return
		}
		r.begin = whole
	}
	switch {
	case err == nil, errors.Is(err, bufio.ErrBufferFull):
	case errors.Is(err, io.EOF):
		r.finish()
		r.err = io.EOF
	default:
		r.err = err
	}
}

func (r *Reader) line(piece []byte, whole bool) error {
	if r.begin && r.boundary(piece) {
		return nil
	}
	switch r.state {
	case inHeader:
		return r.headerLine(piece)
	case inQuoted:
		text := piece
		if whole {
			text = bytes.TrimSuffix(piece[:len(piece)-1], []byte("\r"))
		}
		r.out = r.quoted.add(r.out, text)
		if whole {
			r.out = r.quoted.end(r.out)
		}
		return nil
	case inStrict:
		if bytes.ContainsFunc(piece, func(c rune) bool { return c >= 0x80 }) {
			return fail.New(fail.Permanent, "a part that must be 7-bit holds 8-bit text")
		}
	}
	r.out = append(r.out, piece...)
	return nil
}

// boundary looks whether a line ends a part; if so it is taken in.
func (r *Reader) boundary(line []byte) bool {
	if len(r.open) == 0 || !bytes.HasPrefix(line, []byte("--")) {
		return false
	}
	for i := len(r.open) - 1; i >= 0; i-- {
		rest, ok := bytes.CutPrefix(line[2:], r.open[i].boundary)
		if !ok {
			continue
		}
		r.flushHeader()
		r.out = append(r.quoted.finish(r.out), line...)
		r.quoted = quoted{}
		r.open = r.open[:i+1]
		r.state, r.digest = inHeader, r.open[i].digest
		if bytes.HasPrefix(rest, []byte("--")) {
			r.open, r.state = r.open[:i], inPlain
		}
		return true
	}
	return false
}

func (r *Reader) headerLine(piece []byte) error {
	if len(r.header)+len(piece) > maxHeader {
		return fail.New(fail.Permanent, "a header is larger than %d bytes", maxHeader)
	}
	r.header = append(r.header, piece...)
	if !r.begin || len(bytes.Trim(piece, "\r\n")) > 0 {
		return nil
	}
	return r.enter()
}

// flushHeader lets a header go that a boundary has cut short.
func (r *Reader) flushHeader() {
	r.out = append(r.out, r.header...)
	r.header = r.header[:0]
}

// enter finds out what the part is whose header is complete.
func (r *Reader) enter() error {
	head := message.ParseHeader(r.header, message.DefaultLimits())
	kind, boundary := message.MediaType(head.Get("Content-Type"))
	if r.digest && head.Get("Content-Type") == "" {
		kind = "message/rfc822"
	}
	label := strings.ToLower(strings.TrimSpace(head.Get("Content-Transfer-Encoding")))
	eight := label == "8bit" || label == "binary"
	now := "quoted-printable"
	if r.global && !strings.HasPrefix(kind, "multipart/") {
		eight = eight && strings.HasPrefix(kind, "message/global")
		kind = "" // what is in other parts stays
	}
	switch {
	case strings.HasPrefix(kind, "multipart/") && boundary != "":
		if len(r.open) >= maxDepth {
			return tooDeep()
		}
		r.open = append(r.open, level{[]byte(boundary), kind == "multipart/digest"})
		r.state, now = inPlain, "7bit"
		eight = eight && !r.global // other parts may be 8-bit
	case kind == "message/rfc822":
		if r.nested++; r.nested > maxDepth {
			return tooDeep()
		}
		r.state, now = inHeader, "7bit"
	case strings.HasPrefix(kind, "multipart/"), kind == "message/partial", kind == "message/external-body":
		// RFC 2046 sections 5.2.2.1 and 5.2.3: never anything but 7bit.
		r.state, now = inPlain, "7bit"
		if eight {
			r.state = inStrict
		}
	case eight:
		r.state, r.quoted = inQuoted, quoted{}
	default:
		r.state = inPlain
	}
	r.digest = false
	if eight {
		r.relabel(head, now)
	}
	r.flushHeader()
	return nil
}

func tooDeep() error { return fail.New(fail.Permanent, "MIME nesting exceeds %d levels", maxDepth) }

// relabel puts the new encoding in the place of the old one.
func (r *Reader) relabel(head message.Header, now string) {
	var b []byte
	done := false
	at := 0
	for f := range head.Fields() {
		if !f.Is("Content-Transfer-Encoding") {
			continue
		}
		b = append(b, r.header[at:f.Offset]...)
		at = f.Offset + len(f.Raw)
		if !done {
			b = append(b, "Content-Transfer-Encoding: "+now+"\r\n"...)
			done = true
		}
	}
	r.header = append(b, r.header[at:]...)
}

// finish ends a message that ends in the middle of something.
func (r *Reader) finish() {
	r.flushHeader()
	r.out = r.quoted.finish(r.out)
}
