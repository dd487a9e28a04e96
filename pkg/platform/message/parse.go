package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// maxBoundary caps the length of a boundary. RFC 2046 section 5.1.1 allows 70;
// longer ones are seen.
const maxBoundary = 1024

// mark is a place in the message in the three measures that parts are
// described with.
type mark struct{ off, voff, lines int64 }

// parser reads a message line by line, once.
type parser struct {
	in    source
	lim   Limits
	err   error // of the source
	parts int

	at   mark   // where line begins
	next mark   // where the line after it begins
	line []byte // the current line, or the first piece of a very long one
	eof  bool   // there is no current line
	eol  int64  // stored length of the line end before line; 0 at the start
	cr   bool   // the byte before next is a CR
	keep int    // how much of a very long line is wanted: all in headers, little in bodies

	bounds []string // boundaries of the open multiparts, outermost first
	last   mark     // the end of the part that ended last

	top  Header // of the message itself, in its own scratch
	main scratch
	rest scratch // for the header blocks below, one after the other

	envelopes []byte // of all messages, one behind the other
	addresses []Address
}

// scratch is what header blocks are read into.
type scratch struct {
	raw    []byte
	fields []Field
}

// trim does not keep what one huge header has taken.
func (s *scratch) trim() {
	if cap(s.raw) > 256<<10 || cap(s.fields) > 4<<10 {
		*s = scratch{}
	}
}

// Parser reads one message after the other, with the same buffers. It is for
// one goroutine.
type Parser struct{ p parser }

// Parse reads a whole message and returns its root part. The error is r's. A
// Memory is parsed where it is. The envelopes of the parts are valid until the
// next Parse.
func (q *Parser) Parse(r io.Reader, lim Limits) (*Part, error) {
	p := &q.p
	*p = parser{
		in: p.in, lim: lim, parts: 1, keep: lim.HeaderBytes, bounds: p.bounds[:0], main: p.main, rest: p.rest,
		envelopes: p.envelopes[:0], addresses: p.addresses[:0],
	}
	p.in.reset(r)
	p.main.trim()
	p.rest.trim()
	if cap(p.envelopes) > 256<<10 || cap(p.addresses) > 4<<10 {
		p.envelopes, p.addresses = nil, nil
	}
	p.advance()
	root := &Part{}
	p.part(root, 0, true)
	return root, p.err
}

// Header is that of the message that was parsed last, until the next Parse.
func (q *Parser) Header() Header { return q.p.top }

// ParseStructure reads a whole message and returns its root part. The error
// is r's.
func ParseStructure(r io.Reader, lim Limits) (*Part, error) { return new(Parser).Parse(r, lim) }

// advance steps to the next line. Of a line longer than the buffer, keep bytes
// stay in p.line, and its end.
func (p *parser) advance() {
	p.eol = endLength(p.line)
	p.at = p.next
	p.line, p.eof = nil, true
	piece, err := p.in.line()
	if len(piece) > 0 {
		p.line, p.eof = piece, false
		p.count(piece)
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		p.line = append([]byte(nil), piece[:min(len(piece), p.keep)]...)
		p.readLong()
	} else if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
}

// readLong reads to the end of a line that does not fit the buffer.
func (p *parser) readLong() {
	for {
		cr := p.cr
		piece, err := p.in.line()
		p.count(piece)
		if room := p.keep - len(p.line); room > 0 {
			p.line = append(p.line, piece[:min(len(piece), room)]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		switch n := len(piece); {
		case err != nil && !errors.Is(err, io.EOF):
			p.err = err
		case err != nil:
		case n > 1 && piece[n-2] == '\r' || n == 1 && cr:
			p.line = append(bytes.TrimRight(p.line, "\r\n"), "\r\n"...)
		default:
			p.line = append(bytes.TrimRight(p.line, "\n"), '\n')
		}
		return
	}
}

// count moves next behind piece, which is a line or a part of one.
func (p *parser) count(piece []byte) {
	n := int64(len(piece))
	if n == 0 {
		return
	}
	p.next.off += n
	p.next.voff += n
	if piece[n-1] != '\n' {
		p.cr = piece[n-1] == '\r'
		return
	}
	p.next.lines++
	if crlf := n > 1 && piece[n-2] == '\r' || n == 1 && p.cr; !crlf {
		p.next.voff++
	}
	p.cr = false
}

// endLength is the stored length of the end of line, 0 when it has none.
func endLength(line []byte) int64 {
	n := len(line)
	switch {
	case n == 0 || line[n-1] != '\n':
		return 0
	case n > 1 && line[n-2] == '\r':
		return 2
	}
	return 1
}

// hit is the boundary that the current line is: the index of its multipart in
// bounds, or -1 at the end of the message.
type hit struct {
	level int
	close bool
}

// boundary tells whether the current line is a boundary of an open multipart.
// A prefix is enough (RFC 2046 section 5.1.1); the longest match wins, so that
// an inner boundary may begin with the outer one.
func (p *parser) boundary() (hit, bool) {
	if p.eof {
		return hit{level: -1}, true
	}
	l := p.line
	if len(l) < 2 || l[0] != '-' || l[1] != '-' || len(p.bounds) == 0 {
		return hit{}, false
	}
	best := -1
	for i := len(p.bounds) - 1; i >= 0; i-- {
		b := p.bounds[i]
		if (best < 0 || len(b) > len(p.bounds[best])) && len(l)-2 >= len(b) && string(l[2:2+len(b)]) == b {
			best = i
		}
	}
	if best < 0 {
		return hit{}, false
	}
	return hit{level: best, close: bytes.HasPrefix(l[2+len(p.bounds[best]):], []byte("--"))}, true
}

// part reads one part: header, body, everything below. It returns the boundary
// (or end) that ended it. isMessage: the header is that of a message.
func (p *parser) part(x *Part, depth int, isMessage bool) hit {
	start := p.at
	into := &p.rest
	if depth == 0 {
		into = &p.main
	}
	h, stop, stopped := p.header(into)
	body := p.at
	x.HeaderStart, x.BodyStart = start.off, body.off
	x.HeaderVSize, x.HeaderLines = body.voff-start.voff, body.lines-start.lines
	if depth == 0 {
		p.top = h
	}
	x.describe(h, p.lim)
	if isMessage {
		at := len(p.envelopes)
		p.envelopes = appendEnvelope(p.envelopes, h, p.lim, &p.addresses)
		x.Envelope = p.envelopes[at:len(p.envelopes):len(p.envelopes)]
	}
	if !stopped {
		stop = p.body(x, depth)
	}
	end := p.at
	// The line end before a boundary is the boundary's, unless it is the one
	// that ends the header.
	if stop.level >= 0 && end.off > body.off {
		end.off -= p.eol
		if p.eol > 0 {
			end.voff -= 2
			end.lines--
		}
	}
	if p.last.off > end.off {
		end = p.last // a part below kept that line end for its header
	}
	p.last = end
	x.BodyEnd = end.off
	x.BodyVSize, x.BodyLines = end.voff-body.voff, end.lines-body.lines
	return stop
}

// header collects a header block. A boundary inside it ends it.
func (p *parser) header(into *scratch) (h Header, stop hit, stopped bool) {
	raw := into.raw[:0]
	truncated := false
	for {
		if stop, stopped = p.boundary(); stopped {
			break
		}
		line := p.line
		if len(raw)+len(line) <= p.lim.HeaderBytes && !truncated {
			raw = append(raw, line...)
		} else {
			truncated = true
		}
		empty := isEmptyLine(line)
		p.advance()
		if empty {
			break
		}
	}
	h = parseHeader(raw, p.lim, into.fields[:0])
	h.share()
	into.raw, into.fields = raw, h.fields
	h.Truncated = h.Truncated || truncated
	return h, stop, stopped
}

// body reads what follows a header block.
func (p *parser) body(x *Part, depth int) hit {
	typ, sub := x.ContentType()
	inside := depth < p.lim.Depth && p.parts < p.lim.Parts
	switch {
	case typ == "multipart" && inside:
		if b := x.Param("boundary"); b != "" && len(b) <= maxBoundary {
			return p.multipart(x, b, depth, sub == "digest")
		}
	case typ == "message" && sub == "rfc822" && inside:
		// message/global is left alone: IMAP4rev1 has no place for its envelope.
		p.parts++
		x.Message = &Part{}
		return p.part(x.Message, depth+1, true)
	}
	return p.skip()
}

// skip reads to the next boundary.
func (p *parser) skip() hit {
	p.keep = 2 * maxBoundary
	for {
		if b, ok := p.boundary(); ok {
			return b
		}
		p.hop()
		p.advance()
	}
}

// hop passes over buffered lines that cannot be boundaries, as the current one
// could not: most of a message is such lines, and looking for "\n--" is much
// quicker than looking at each.
func (p *parser) hop() {
	if endLength(p.line) == 0 {
		return // the message ends here
	}
	buf := p.in.buffered()
	if len(buf) < 2 || buf[0] == '-' && buf[1] == '-' {
		return
	}
	n := -1
	if len(p.bounds) > 0 {
		n = dashes(buf)
	}
	if n < 0 {
		n = bytes.LastIndexByte(buf, '\n')
	}
	if n < 0 {
		return
	}
	passed := buf[:n+1]
	p.next.off += int64(len(passed))
	p.next.voff += int64(len(passed)) + bareLF(passed, false)
	p.next.lines += int64(bytes.Count(passed, []byte{'\n'}))
	p.line = []byte("\r\n")
	if n == 0 || buf[n-1] != '\r' {
		p.line = []byte("\n")
	}
	p.in.skip(len(passed))
}

// dashes finds the first line end in b that "--" follows, -1 when there is none.
// Dashes are rarer in mail than line ends.
func dashes(b []byte) int {
	for at := 1; at < len(b); {
		i := bytes.Index(b[at:], []byte("--"))
		if i < 0 {
			break
		}
		if at += i; b[at-1] == '\n' {
			return at - 1
		}
		for at++; at < len(b) && b[at] == '-'; at++ {
		}
	}
	return -1
}

// multipart reads preamble, parts and epilogue.
func (p *parser) multipart(x *Part, boundary string, depth int, digest bool) hit {
	level := len(p.bounds)
	p.bounds = append(p.bounds, boundary)
	b := p.skip()
	for b.level == level && !b.close && p.parts < p.lim.Parts {
		p.keep = p.lim.HeaderBytes
		p.advance()
		p.parts++
		child := &Part{}
		if digest {
			child.Type, child.Subtype = "message", "rfc822" // RFC 2046 section 5.1.5
		}
		x.Children = append(x.Children, child)
		b = p.part(child, depth+1, false)
	}
	p.bounds = p.bounds[:level]
	if b.level < level {
		return b
	}
	p.advance()
	return p.skip()
}

// describe takes the content fields of a header.
func (x *Part) describe(h Header, lim Limits) {
	if f, ok := h.First("Content-Type"); ok {
		v, params := parseValue(f.Value(), lim.Params)
		if typ, sub, ok := strings.Cut(v, "/"); ok && typ != "" && sub != "" {
			x.Type, x.Subtype, x.Params = typ, sub, params
		}
	}
	if f, ok := h.First("Content-Disposition"); ok {
		x.Disposition, x.DispositionParams = parseValue(f.Value(), lim.Params)
	}
	if f, ok := h.First("Content-Transfer-Encoding"); ok {
		x.Encoding, _ = parseValue(f.Value(), 0)
	}
	if f, ok := h.First("Content-Language"); ok {
		x.Languages = parseWords(f.Value(), lim.Params)
	}
	x.ID = h.Get("Content-ID")
	x.Description = h.Get("Content-Description")
	x.MD5 = h.Get("Content-MD5")
	x.Location = h.Get("Content-Location")
}
