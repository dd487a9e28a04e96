package dovecotauth

import (
	"bytes"
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
	return string(unescape([]byte(s)))
}

// unescape is Unescape in place: what comes out is never longer.
func unescape(b []byte) []byte {
	first := bytes.IndexByte(b, escape)
	if first < 0 {
		return b
	}
	out := b[:first]
	for i := first; i < len(b); i++ {
		c := b[i]
		if c == escape {
			if i++; i == len(b) {
				break
			}
			c = unescaped(b[i])
		}
		out = append(out, c)
	}
	return out
}

// unescaped is what code stands for.
func unescaped(code byte) byte {
	switch code {
	case escNUL:
		return 0
	case escEscape:
		return escape
	case escTab:
		return '\t'
	case escCR:
		return '\r'
	case escLF:
		return '\n'
	}
	return code
}

// Seals is the third parameter of VERSION by which a server says that it knows
// SEAL: our addition to the master protocol.
const Seals = "seal"

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

// Check reports what no line may be: too long, of too many parameters, or with
// a NUL in it.
func Check(raw []byte) error {
	if len(raw) > MaxLine {
		return ErrLineTooLong
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		return fail.New(fail.Invalid, "auth protocol line contains NUL")
	}
	if bytes.Count(raw, []byte{'\t'}) > MaxParams {
		return fail.New(fail.Invalid, "auth protocol line has more than %d parameters", MaxParams)
	}
	return nil
}

// Parse splits a line that has no line ending. The result shares no memory
// with raw.
func Parse(raw []byte) (Line, error) {
	if err := Check(raw); err != nil {
		return Line{}, err
	}
	parts := strings.Split(string(raw), "\t")
	for i := 1; i < len(parts); i++ {
		parts[i] = Unescape(parts[i])
	}
	return Line{Verb: parts[0], Params: parts[1:]}, nil
}

// Cut takes the first parameter off a raw line, or the verb; more is false
// after the last one. It unescapes in place, so the line is used up: param is
// good until the memory of the line is used again, and is not looked at twice.
func Cut(raw []byte) (param, rest []byte, more bool) {
	param, rest, more = cutTab(raw)
	return unescape(param), rest, more
}

func cutTab(b []byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(b, '\t'); i >= 0 {
		return b[:i:i], b[i+1:], true
	}
	return b, nil, false
}
