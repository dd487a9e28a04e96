package dovecotauth

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Caps on one line. MaxLine is what Dovecot's auth process accepts; nobody
// sends a tenth of MaxParams.
const (
	MaxLine   = 16384
	MaxParams = 256
)

// Escape codes after \x01, as Dovecot's str_tabescape has them. Any other byte
// after the escape stands for itself.
const (
	escape    = '\x01'
	escNUL    = '0'
	escEscape = '1'
	escTab    = 't'
	escCR     = 'r'
	escLF     = 'n'
)

// AppendEscaped appends s with the bytes that structure a line escaped.
func AppendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case 0:
			dst = append(dst, escape, escNUL)
		case escape:
			dst = append(dst, escape, escEscape)
		case '\t':
			dst = append(dst, escape, escTab)
		case '\r':
			dst = append(dst, escape, escCR)
		case '\n':
			dst = append(dst, escape, escLF)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// Unescape undoes AppendEscaped. An escape at the very end stands for nothing.
func Unescape(s string) string {
	if strings.IndexByte(s, escape) < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != escape {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			break
		}
		switch s[i] {
		case escNUL:
			b.WriteByte(0)
		case escEscape:
			b.WriteByte(escape)
		case escTab:
			b.WriteByte('\t')
		case escCR:
			b.WriteByte('\r')
		case escLF:
			b.WriteByte('\n')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// AppendLine appends verb and params as one line, LF included. Each parameter
// is escaped; the verb is ours and needs none.
func AppendLine(dst []byte, verb string, params ...string) []byte {
	dst = append(dst, verb...)
	for _, p := range params {
		dst = append(dst, '\t')
		dst = AppendEscaped(dst, p)
	}
	return append(dst, '\n')
}

// Line is one parsed line: a verb and its unescaped parameters.
type Line struct {
	Verb   string
	Params []string
}

// Param returns parameter i, or "" when the line is shorter.
func (l Line) Param(i int) string {
	if i < len(l.Params) {
		return l.Params[i]
	}
	return ""
}

// Fields reads the parameters from index i on as key=value fields.
func (l Line) Fields(i int) Fields {
	if i >= len(l.Params) {
		return nil
	}
	return parseFields(l.Params[i:])
}

// Parse splits a line that has no line ending. The result shares no memory
// with raw.
func Parse(raw []byte) (Line, error) {
	if len(raw) > MaxLine {
		return Line{}, ErrLineTooLong
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		return Line{}, fail.New(fail.Invalid, "auth protocol line contains NUL")
	}
	if bytes.Count(raw, []byte{'\t'}) > MaxParams {
		return Line{}, fail.New(fail.Invalid, "auth protocol line has more than %d parameters", MaxParams)
	}
	parts := strings.Split(string(raw), "\t")
	for i := 1; i < len(parts); i++ {
		parts[i] = Unescape(parts[i])
	}
	return Line{Verb: parts[0], Params: parts[1:]}, nil
}

// ErrLineTooLong says that the peer sent more than MaxLine bytes without LF.
var ErrLineTooLong = fail.New(fail.Invalid, "auth protocol line is longer than %d bytes", MaxLine)

// Reader reads lines from a peer nobody trusts with our memory.
type Reader struct {
	br   *bufio.Reader
	long []byte
}

// NewReader returns a Reader that buffers little: most connections are idle
// and most lines are short.
func NewReader(r io.Reader) *Reader { return &Reader{br: bufio.NewReaderSize(r, 1024)} }

// Next reads one line. io.EOF means the stream ended between lines,
// io.ErrUnexpectedEOF inside one. A CR before the LF is dropped, as Dovecot does.
func (r *Reader) Next() (Line, error) {
	r.long = r.long[:0]
	for {
		chunk, err := r.br.ReadSlice('\n')
		if len(r.long)+len(chunk) > MaxLine+1 {
			return Line{}, ErrLineTooLong
		}
		switch {
		case err == nil && len(r.long) == 0:
			return Parse(trimEOL(chunk))
		case err == nil:
			line, perr := Parse(trimEOL(append(r.long, chunk...)))
			r.long = nil
			return line, perr
		case errors.Is(err, bufio.ErrBufferFull):
			r.long = append(r.long, chunk...)
		case errors.Is(err, io.EOF) && len(r.long)+len(chunk) > 0:
			return Line{}, io.ErrUnexpectedEOF
		default:
			return Line{}, err
		}
	}
}

func trimEOL(b []byte) []byte {
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}
