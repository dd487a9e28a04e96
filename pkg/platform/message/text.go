package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"golang.org/x/text/transform"
)

// Decoded returns the body of a leaf part with its transfer encoding undone.
// Errors in base64 or quoted-printable are passed over. ok is false when the
// encoding is unknown; then the bytes come as they are.
func Decoded(src io.ReaderAt, p *Part) (r io.Reader, ok bool) {
	var raw io.Reader
	if m, ok := src.(*Memory); ok {
		raw = m.part(p.BodyStart, p.BodyEnd)
	} else {
		raw = io.NewSectionReader(src, p.BodyStart, p.BodyEnd-p.BodyStart)
	}
	switch lower(p.Encoding) {
	case "base64":
		return &base64Reader{in: lines(raw, p.BodyEnd-p.BodyStart)}, true
	case "quoted-printable":
		return &qpReader{in: lines(raw, p.BodyEnd-p.BodyStart)}, true
	case "", "7bit", "8bit", "binary":
		return raw, true
	}
	return raw, false
}

// lines is a source of size bytes.
func lines(r io.Reader, size int64) source {
	if m, ok := r.(*Memory); ok {
		return source{memory: m.text()}
	}
	return source{stream: bufio.NewReaderSize(r, int(min(size+16, 4<<10)))}
}

// binaryReader is Decoded with CRLF line ends where the encoding has lines.
func binaryReader(src io.ReaderAt, p *Part) (io.Reader, bool) {
	raw := NewCRLFReader(src, p.BodyStart, p.BodyEnd)
	switch lower(p.Encoding) {
	case "quoted-printable":
		return &qpReader{in: lines(raw, 4<<10)}, true
	case "", "7bit", "8bit", "binary":
		return raw, true
	}
	return Decoded(src, p)
}

// Text returns the body of a leaf part as UTF-8 text: transfer encoding and
// charset undone. Of a text that is said to be UTF-8 also those bytes come that
// are not. ok is false when p is no text.
func Text(src io.ReaderAt, p *Part) (r io.Reader, ok bool) {
	if typ, _ := p.ContentType(); typ != "text" || p.IsMultipart() {
		return nil, false
	}
	r, _ = Decoded(src, p)
	if enc := charsetOf(p.Param("charset")); enc != nil {
		r = transform.NewReader(r, enc.NewDecoder())
	}
	return r, true
}

// AppendHeaderText appends the fields of a header block as text, a line each,
// unfolded and with encoded words decoded.
func AppendHeaderText(dst, raw []byte) []byte {
	h := ParseHeader(raw, DefaultLimits())
	for i := range h.fields {
		f := &h.fields[i]
		dst = append(append(dst, f.Name...), ": "...)
		if bytes.Contains(f.Raw, []byte("=?")) {
			dst = append(dst, DecodeWords(f.Value())...)
		} else {
			for v := bytes.Trim(f.RawValue(), " \t\r\n"); len(v) > 0; {
				n := bytes.IndexAny(v, "\r\n")
				if n < 0 {
					n = len(v)
				}
				dst = append(dst, v[:n]...)
				v = bytes.TrimLeft(v[n:], "\r\n")
			}
		}
		dst = append(dst, '\n')
	}
	return dst
}

// base64Reader decodes base64 as mail has it: bytes outside the alphabet are
// skipped (RFC 2045 section 6.8), padding ends a group and not the stream,
// because some programs join two encodings.
type base64Reader struct {
	in  source
	acc uint32
	n   int // digits in acc
	buf []byte
	out []byte // the rest of buf
	err error
}

func (b *base64Reader) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.fill()
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

func (b *base64Reader) fill() {
	b.out = b.buf[:0]
	defer func() { b.buf = b.out }()
	for len(b.out) < 3<<10 {
		line, err := b.in.line()
		for _, c := range line {
			d := base64Digit(c)
			switch {
			case d >= 0:
				b.acc = b.acc<<6 | uint32(d)
				if b.n++; b.n == 4 {
					b.out = append(b.out, byte(b.acc>>16), byte(b.acc>>8), byte(b.acc))
					b.acc, b.n = 0, 0
				}
			case c == '=':
				b.endGroup()
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			b.err = err
			b.endGroup()
			return
		}
	}
}

// endGroup gives out the bytes of an incomplete group.
func (b *base64Reader) endGroup() {
	switch b.n {
	case 2:
		b.out = append(b.out, byte(b.acc>>4))
	case 3:
		b.out = append(b.out, byte(b.acc>>10), byte(b.acc>>2))
	}
	b.acc, b.n = 0, 0
}

func base64Digit(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26
	case c >= '0' && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}

// qpReader decodes quoted-printable; a "=" that encodes nothing stays (RFC
// 2045 section 6.7 note on robustness).
type qpReader struct {
	in   source
	line []byte // of which the start may be left over from the piece before
	held int
	out  []byte
	err  error
}

func (q *qpReader) Read(p []byte) (int, error) {
	for len(q.out) == 0 {
		if q.err != nil {
			return 0, q.err
		}
		q.fill()
	}
	n := copy(p, q.out)
	q.out = q.out[n:]
	return n, nil
}

func (q *qpReader) fill() {
	piece, err := q.in.line()
	whole := !errors.Is(err, bufio.ErrBufferFull)
	if q.held > 0 || !whole {
		q.line = append(q.line[:q.held], piece...)
		piece, q.held = q.line, 0
	}
	if whole {
		q.err = err
		q.out = appendQP(q.out[:0], piece, true)
		return
	}
	// A line longer than the buffer: keep an escape together that is cut.
	cut := len(q.line)
	if i := bytes.LastIndexByte(q.line[cut-2:], '='); i >= 0 {
		cut += i - 2
	}
	q.out = appendQP(q.out[:0], q.line[:cut], false)
	q.held = copy(q.line, q.line[cut:])
}

func appendQP(dst, line []byte, whole bool) []byte {
	body, end := line, []byte(nil)
	if whole {
		body = bytes.TrimRight(line, "\r\n")
		end = line[len(body):]
		body = bytes.TrimRight(body, " \t") // added in transport (rule 3)
		if n := len(body); n > 0 && body[n-1] == '=' {
			body, end = body[:n-1], nil
		}
	}
	for {
		i := bytes.IndexByte(body, '=')
		if i < 0 {
			break
		}
		dst = append(dst, body[:i]...)
		if i+2 < len(body) {
			if v := hexPair(body[i+1], body[i+2]); v >= 0 {
				dst = append(dst, byte(v))
				body = body[i+3:]
				continue
			}
		}
		dst = append(dst, '=')
		body = body[i+1:]
	}
	dst = append(dst, body...)
	return append(dst, end...)
}
