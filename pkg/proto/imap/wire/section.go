package wire

import (
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/message"
)

// maxPath bounds the part numbers of a section: deeper parts are not parsed.
const maxPath = 100

// Item reads the name of a FETCH or STATUS item: letters, digits, dots and
// hyphens, in upper case.
func (r *Reader) Item() string {
	return strings.ToUpper(r.run("Item", 64, func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '='
	}))
}

// Section reads what stands in the brackets of BODY[…], and the brackets
// (RFC 3501 section 9, "section").
func (r *Reader) Section() message.Section {
	var s message.Section
	r.Byte('[')
	for c := r.Peek(); c >= '1' && c <= '9'; c = r.Peek() {
		n := r.Number()
		if len(s.Path) == maxPath || n > 1<<31-1 {
			r.Fail("Section is too deep")
			return s
		}
		s.Path = append(s.Path, int(n))
		if !r.Take('.') {
			r.Byte(']')
			return s
		}
	}
	if len(s.Path) == 0 && r.Take(']') {
		return s
	}
	switch r.Item() {
	case "HEADER":
		s.Kind = message.SectionHeader
	case "HEADER.FIELDS":
		s.Kind = message.SectionHeaderFields
	case "HEADER.FIELDS.NOT":
		s.Kind = message.SectionHeaderFieldsNot
	case "TEXT":
		s.Kind = message.SectionText
	case "MIME":
		if s.Kind = message.SectionMIME; len(s.Path) == 0 {
			r.Fail("MIME needs a part number")
		}
	default:
		r.Fail("Invalid section")
	}
	if s.Kind == message.SectionHeaderFields || s.Kind == message.SectionHeaderFieldsNot {
		s.Fields = r.fieldNames()
	}
	r.Byte(']')
	return s
}

// maxFields bounds a list of header field names.
const maxFields = 512

func (r *Reader) fieldNames() []string {
	var names []string
	r.SP()
	r.List(func() {
		if len(names) == maxFields {
			r.Fail("Too many header fields")
			return
		}
		names = append(names, r.AString())
	})
	if r.Ok() && len(names) == 0 {
		r.Fail("No header fields are given")
	}
	return names
}

// AppendSection appends "[…]" as it stands in a FETCH answer.
func AppendSection(b []byte, s message.Section) []byte {
	b = append(b, '[')
	for i, n := range s.Path {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	names := [...]string{"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"}
	if s.Kind != message.SectionAll {
		if len(s.Path) > 0 {
			b = append(b, '.')
		}
		b = append(b, names[s.Kind]...)
	}
	if s.Fields != nil {
		b = append(b, " ("...)
		for i, f := range s.Fields {
			if i > 0 {
				b = append(b, ' ')
			}
			b = appendAString(b, f)
		}
		b = append(b, ')')
	}
	return append(b, ']')
}
