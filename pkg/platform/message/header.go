package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
)

// Limits cap what one message may cost. What is beyond a cap is ignored.
type Limits struct {
	Parts        int // parts in the whole tree; further ones stay inside their parent's body
	Depth        int // nesting of multiparts and embedded messages
	HeaderBytes  int // of one header block; the rest is skipped
	HeaderFields int // of one header block
	Params       int // parameters of one Content-Type or Content-Disposition field
	Addresses    int // of one address field
}

// DefaultLimits are the caps that Postcote works with everywhere.
func DefaultLimits() Limits {
	return Limits{
		Parts:        10_000,
		Depth:        100,
		HeaderBytes:  10 << 20,
		HeaderFields: 100_000,
		Params:       256,
		Addresses:    20_000,
	}
}

// Field is one header field, with its continuation lines.
type Field struct {
	Name   string // as written, without trailing space
	Raw    []byte // the whole field with its line ends; not a copy
	Offset int    // of Raw within the header block
	value  int    // index into Raw of the first byte after the colon
	text   string // Raw as a string that all fields share, or ""
}

// Is reports whether the field is called name, whatever the case.
func (f *Field) Is(name string) bool {
	return len(f.Name) == len(name) && (f.Name == name || strings.EqualFold(f.Name, name))
}

// RawValue is everything after the colon, folds and line ends kept.
func (f Field) RawValue() []byte { return f.Raw[f.value:] }

// Value is the field's value unfolded (RFC 5322 section 2.2.3: line ends are
// removed, the white space after them stays) and trimmed.
func (f Field) Value() string {
	if f.text == "" {
		return unfold(string(bytes.Trim(f.Raw[f.value:], " \t\r\n")))
	}
	return unfold(strings.Trim(f.text[f.value:], " \t\r\n"))
}

// unfold takes the line ends out of a trimmed value.
func unfold(v string) string {
	if strings.IndexByte(v, '\n') < 0 && strings.IndexByte(v, '\r') < 0 {
		return v
	}
	var out strings.Builder
	out.Grow(len(v))
	for len(v) > 0 {
		n := strings.IndexByte(v, '\n')
		if n < 0 {
			n = len(v)
		}
		line := v[:n]
		for i := strings.IndexByte(line, '\r'); i >= 0; i = strings.IndexByte(line, '\r') {
			out.WriteString(line[:i])
			line = line[i+1:]
		}
		out.WriteString(line)
		v = v[min(n+1, len(v)):]
	}
	return strings.Trim(out.String(), " \t")
}

// Header is one header block. The zero value is an empty one.
type Header struct {
	// Truncated says that a cap of Limits cut the block short.
	Truncated bool

	raw    []byte
	size   int
	fields []Field
}

// ParseHeader reads the header block at the start of b: fields up to and
// including the first empty line, or the end of b. Lines that are no fields
// (a "From " line, rubbish) belong to no field and are skipped; a block ends
// only at an empty line, because mail clients believe the same. The result
// points into b.
func ParseHeader(b []byte, lim Limits) Header { return parseHeader(b, lim, nil) }

func parseHeader(b []byte, lim Limits, fields []Field) Header {
	h := Header{fields: fields}
	pos := 0
	for pos < len(b) {
		end := lineEnd(b, pos)
		if isEmptyLine(b[pos:end]) {
			pos = end
			break
		}
		for end < len(b) && (b[end] == ' ' || b[end] == '\t') && !isEmptyLine(b[end:lineEnd(b, end)]) {
			end = lineEnd(b, end)
		}
		if len(h.fields) >= lim.HeaderFields {
			h.Truncated = true
		} else if f, ok := splitField(b[pos:end], pos); ok {
			h.fields = append(h.fields, f)
		}
		pos = end
	}
	h.raw, h.size = b[:pos], pos
	return h
}

// share makes one string of the block for the values of all fields: for callers
// that want most of them and keep none.
func (h *Header) share() {
	text := string(h.raw)
	for i := range h.fields {
		f := &h.fields[i]
		f.text = text[f.Offset : f.Offset+len(f.Raw)]
	}
}

// ReadHeader reads a header block with its empty line from r and leaves r at
// the first byte of the body. Beyond lim.HeaderBytes the block is read and
// dropped. The end of input is no error.
func ReadHeader(r *bufio.Reader, lim Limits) (Header, error) {
	var raw []byte
	var dropped, size int
	start := true // at the start of a line
	for {
		line, err := r.ReadSlice('\n')
		size += len(line)
		switch {
		case len(raw)+len(line) <= lim.HeaderBytes && dropped == 0:
			raw = append(raw, line...)
		default:
			dropped += len(line)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			start = false
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return Header{}, err
		}
		if err != nil || (start && isEmptyLine(line)) {
			break
		}
		start = true
	}
	h := ParseHeader(raw, lim)
	h.size = size
	h.Truncated = h.Truncated || dropped > 0
	return h, nil
}

// lineEnd returns the index after the LF that ends the line at pos.
func lineEnd(b []byte, pos int) int {
	if i := bytes.IndexByte(b[pos:], '\n'); i >= 0 {
		return pos + i + 1
	}
	return len(b)
}

func isEmptyLine(l []byte) bool {
	return len(l) == 1 && l[0] == '\n' || len(l) == 2 && l[0] == '\r' && l[1] == '\n'
}

// splitField cuts a field at its colon. White space before the colon is
// obsolete syntax (RFC 5322 section 4.5) and accepted.
func splitField(raw []byte, off int) (Field, bool) {
	colon := bytes.IndexByte(raw, ':')
	if colon <= 0 {
		return Field{}, false
	}
	name := bytes.TrimRight(raw[:colon], " \t")
	if len(name) == 0 {
		return Field{}, false
	}
	for _, c := range name {
		if c <= ' ' || c == 0x7f {
			return Field{}, false
		}
	}
	return Field{Name: fieldName(name), Raw: raw, Offset: off, value: colon + 1}, true
}

// fieldName is string(b), without making a new string of the usual names.
func fieldName(b []byte) string {
	switch string(b) {
	case "Received":
		return "Received"
	case "Return-Path":
		return "Return-Path"
	case "DKIM-Signature":
		return "DKIM-Signature"
	case "Authentication-Results":
		return "Authentication-Results"
	case "Delivered-To":
		return "Delivered-To"
	case "Date":
		return "Date"
	case "From":
		return "From"
	case "To":
		return "To"
	case "Cc":
		return "Cc"
	case "Reply-To":
		return "Reply-To"
	case "Sender":
		return "Sender"
	case "Subject":
		return "Subject"
	case "Message-ID":
		return "Message-ID"
	case "In-Reply-To":
		return "In-Reply-To"
	case "References":
		return "References"
	case "MIME-Version":
		return "MIME-Version"
	case "Content-Type":
		return "Content-Type"
	case "Content-Transfer-Encoding":
		return "Content-Transfer-Encoding"
	case "Content-Disposition":
		return "Content-Disposition"
	case "List-Id":
		return "List-Id"
	case "List-Unsubscribe":
		return "List-Unsubscribe"
	case "Precedence":
		return "Precedence"
	case "X-Mailer":
		return "X-Mailer"
	}
	return string(b)
}

// Len is the number of bytes the block takes in its message, the empty line
// included.
func (h Header) Len() int { return h.size }

// Bytes is the block as written, the empty line included; cut when Truncated.
func (h Header) Bytes() []byte { return h.raw }

// Fields yields all fields in order.
func (h Header) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for _, f := range h.fields {
			if !yield(f) {
				return
			}
		}
	}
}

// All yields the fields called name in order.
func (h Header) All(name string) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for i := range h.fields {
			if f := &h.fields[i]; f.Is(name) && !yield(*f) {
				return
			}
		}
	}
}

// First returns the first field called name.
func (h Header) First(name string) (Field, bool) {
	for i := range h.fields {
		if f := &h.fields[i]; f.Is(name) {
			return *f, true
		}
	}
	return Field{}, false
}

// Get returns the unfolded value of the first field called name, or "".
func (h Header) Get(name string) string {
	f, ok := h.First(name)
	if !ok {
		return ""
	}
	return f.Value()
}

// Count is the number of fields called name.
func (h Header) Count(name string) int {
	n := 0
	for range h.All(name) {
		n++
	}
	return n
}

// NumFields is the number of fields.
func (h Header) NumFields() int { return len(h.fields) }

// AppendField appends "name: value" and CRLF. Line ends in value start a
// continuation line (white space is put after them when it is missing), so no
// value can begin a new field; NUL becomes a space.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	value = strings.TrimRight(value, "\r\n")
	for i := 0; i < len(value); i++ {
		switch c := value[i]; c {
		case 0:
			dst = append(dst, ' ')
		case '\r', '\n':
			for i+1 < len(value) && (value[i+1] == '\r' || value[i+1] == '\n') {
				i++
			}
			dst = append(dst, "\r\n"...)
			if i+1 < len(value) && value[i+1] != ' ' && value[i+1] != '\t' {
				dst = append(dst, '\t')
			}
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, "\r\n"...)
}

// Prepend returns a reader of fields (complete header lines) followed by body.
// The message itself is not touched: that is how trace fields are added.
func Prepend(fields []byte, body io.Reader) io.Reader {
	return io.MultiReader(bytes.NewReader(fields), body)
}
