package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// SectionKind says what of a part is wanted.
type SectionKind uint8

// The section texts of RFC 3501 section 6.4.5.
const (
	SectionAll             SectionKind = iota // BODY[] or BODY[1.2]
	SectionHeader                             // HEADER
	SectionHeaderFields                       // HEADER.FIELDS
	SectionHeaderFieldsNot                    // HEADER.FIELDS.NOT
	SectionText                               // TEXT
	SectionMIME                               // MIME; needs a path
)

// Section names a piece of a message.
type Section struct {
	Path   []int // part numbers from 1; empty is the message itself
	Kind   SectionKind
	Fields []string // of SectionHeaderFields and its opposite
}

// Body is a section's bytes with CRLF line ends. It reads its source only when
// it is read itself.
type Body struct {
	size int64
	r    CRLFReader
}

// Size is the number of bytes that are still to be read.
func (b *Body) Size() int64 { return b.size }

// Read reads the section. It delivers exactly Size bytes or an error.
func (b *Body) Read(p []byte) (int, error) {
	if b.size <= 0 {
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.size)])
	b.size -= int64(n)
	if err == io.EOF && b.size > 0 { //nolint:errorlint // CRLFReader returns it bare
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Partial skips off bytes and cuts what follows after n bytes (RFC 3501
// partial fetch): beyond the end nothing is left. It is called before Read.
func (b *Body) Partial(off, n int64) error {
	if off >= b.size || n <= 0 {
		b.size = 0
		return nil
	}
	done, err := b.r.Discard(off)
	if err == nil && done < off {
		err = io.ErrUnexpectedEOF
	}
	b.size = min(b.size-off, n)
	return err
}

// Find returns the part at path (RFC 3501 part numbers; empty is p itself).
// Part 1 of a message that is no multipart is its body: then the message's
// own Part is returned.
func (p *Part) Find(path []int) (*Part, bool) {
	cur, asMessage := p, true
	for _, n := range path {
		if !asMessage && cur.Message != nil {
			cur, asMessage = cur.Message, true
		}
		switch {
		case len(cur.Children) > 0:
			if n < 1 || n > len(cur.Children) {
				return nil, false
			}
			cur = cur.Children[n-1]
		case !asMessage || n != 1:
			return nil, false
		}
		asMessage = false
	}
	return cur, true
}

// OpenSection finds the section in the message that src holds and root
// describes. fail.NotFound: no such part, or the part has no such text (a
// HEADER of a part that is no message).
func OpenSection(src io.ReaderAt, root *Part, s Section, lim Limits) (*Body, error) {
	p, ok := root.Find(s.Path)
	if ok && len(s.Path) > 0 && s.Kind != SectionAll && s.Kind != SectionMIME {
		p, ok = p.Message, p.Message != nil
	}
	if !ok || s.Kind == SectionMIME && len(s.Path) == 0 {
		return nil, fail.New(fail.NotFound, "the message has no part %v with such a text", s.Path)
	}
	switch s.Kind {
	case SectionAll:
		if len(s.Path) == 0 {
			return rangeBody(src, p.HeaderStart, p.BodyEnd, p.VSize()), nil
		}
		return rangeBody(src, p.BodyStart, p.BodyEnd, p.BodyVSize), nil
	case SectionText:
		return rangeBody(src, p.BodyStart, p.BodyEnd, p.BodyVSize), nil
	case SectionHeader, SectionMIME:
		return rangeBody(src, p.HeaderStart, p.BodyStart, p.HeaderVSize), nil
	}
	return fieldsBody(src, p, s, lim)
}

func rangeBody(src io.ReaderAt, start, end, vsize int64) *Body {
	b := &Body{size: vsize, r: CRLFReader{src: src, pos: start, end: end}}
	if m, ok := src.(*Memory); ok && 0 <= start && start <= end && end <= m.Size() {
		b.r = CRLFReader{buf: m.b[start:end], verbatim: vsize == end-start}
	}
	return b
}

// WholeBody is the message itself, BODY[], for which no structure is needed:
// size and vsize as the store knows them.
func WholeBody(src io.ReaderAt, size, vsize int64) *Body { return rangeBody(src, 0, size, vsize) }

// HeaderAt reads the header block of a part.
func HeaderAt(src io.ReaderAt, p *Part, lim Limits) (Header, error) {
	size := p.BodyStart - p.HeaderStart
	r := io.NewSectionReader(src, p.HeaderStart, size)
	return ReadHeader(bufio.NewReaderSize(r, int(min(size+16, 16<<10))), lim)
}

// fieldsBody collects the fields that were asked for. The empty line is always
// there (RFC 3501: "the blank line is included in all header fetches").
func fieldsBody(src io.ReaderAt, p *Part, s Section, lim Limits) (*Body, error) {
	h, err := HeaderAt(src, p, lim)
	if err != nil {
		return nil, err
	}
	return FieldsBody(h, s.Fields, s.Kind == SectionHeaderFieldsNot), nil
}

// FieldsBody is HEADER.FIELDS (or HEADER.FIELDS.NOT) of a header that is read
// already.
func FieldsBody(h Header, names []string, not bool) *Body {
	var out []byte
	for f := range h.Fields() {
		wanted := false
		for _, n := range names {
			wanted = wanted || f.Is(n)
		}
		if wanted == not {
			continue
		}
		out = append(out, f.Raw...)
		if f.Raw[len(f.Raw)-1] != '\n' {
			out = append(out, '\n')
		}
	}
	out = append(out, '\n')
	size := int64(len(out)) + bareLF(out, false)
	return rangeBody(bytes.NewReader(out), 0, int64(len(out)), size)
}

// AppendFields appends HEADER.FIELDS of fields that stand in raw, whose lines
// are all those of a header without its empty line. It is FieldsBody for
// callers with many messages: nothing is parsed.
func AppendFields(out, raw []byte, names []string) []byte {
	first := [256 / 64]uint64{} // the bytes that the names begin with
	for _, n := range names {
		if n != "" {
			for _, b := range [...]byte{lowerByte(n[0]), upperByte(n[0])} {
				first[b/64] |= 1 << (b % 64)
			}
		}
	}
	wanted := false
	for len(raw) > 0 {
		end := lineEnd(raw, 0)
		line := raw[:end]
		raw = raw[end:]
		if b := line[0]; b != ' ' && b != '\t' {
			wanted = first[b/64]>>(b%64)&1 != 0 && nameIn(line, names)
		}
		if !wanted {
			continue
		}
		n := len(line) - 1
		if line[n] != '\n' {
			n++
		} else if n > 0 && line[n-1] == '\r' {
			n--
		}
		out = append(append(out, line[:n]...), '\r', '\n')
	}
	return append(out, '\r', '\n')
}

// SelectFields is AppendFields as a Body.
func SelectFields(raw []byte, names []string) *Body {
	out := AppendFields(make([]byte, 0, len(raw)+len(raw)/32+2), raw, names)
	return &Body{size: int64(len(out)), r: CRLFReader{buf: out, verbatim: true}}
}

// nameIn reports whether the field in a line has one of these names.
func nameIn(line []byte, names []string) bool {
	for _, n := range names {
		if len(n) < len(line) && sameName(line, n) {
			return true
		}
	}
	return false
}

// sameName reports whether a line, which is longer than name, is a field with
// it. White space before the colon is none of its name.
func sameName(line []byte, name string) bool {
	for i := range len(name) {
		if b := line[i]; b != name[i] && lowerByte(b) != lowerByte(name[i]) || b == ':' {
			return false
		}
	}
	if name == "" || name[len(name)-1] == ' ' || name[len(name)-1] == '\t' {
		return false
	}
	for _, b := range line[len(name):] {
		switch b {
		case ':':
			return true
		case ' ', '\t':
		default:
			return false
		}
	}
	return false
}

func lowerByte(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + ('a' - 'A')
	}
	return b
}

func upperByte(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - ('a' - 'A')
	}
	return b
}

// Binary is a part with its transfer encoding undone (RFC 3516). A part that
// was not encoded, or as quoted-printable, has CRLF line ends; any other bytes
// are what they are.
type Binary struct {
	size int64
	nul  bool
	r    io.Reader
}

// OpenBinary opens a part of the message that src holds; an empty path is all
// of it, as it is. Its size is found by decoding it once. fail.Invalid: no such
// part, or one that has parts itself. fail.Permanent: the encoding is unknown.
func OpenBinary(src io.ReaderAt, root *Part, path []int) (*Binary, error) {
	if len(path) == 0 {
		return binary(func() io.Reader { return NewCRLFReader(src, root.HeaderStart, root.BodyEnd) }, path)
	}
	p, ok := root.Find(path)
	if !ok || p.IsMultipart() {
		return nil, fail.New(fail.Invalid, "the message has no part %v that could be decoded", path)
	}
	if _, ok := binaryReader(src, p); !ok {
		return nil, fail.New(fail.Permanent, "part %v is in an unknown encoding", path)
	}
	return binary(func() io.Reader {
		r, _ := binaryReader(src, p)
		return r
	}, path)
}

// binary reads what open opens once for its size.
func binary(open func() io.Reader, path []int) (*Binary, error) {
	var seen survey
	if _, err := io.Copy(&seen, open()); err != nil {
		return nil, fail.Wrap(fail.Temporary, err, "decoding part %v", path)
	}
	return &Binary{size: seen.size, nul: seen.nul, r: open()}, nil
}

// survey learns what there is to know of bytes before they are sent.
type survey struct {
	size int64
	nul  bool
}

func (s *survey) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	s.nul = s.nul || bytes.IndexByte(p, 0) >= 0
	return len(p), nil
}

// HasNUL reports whether a NUL is among the bytes of the part: only a literal8
// can carry them then.
func (b *Binary) HasNUL() bool { return b.nul }

// Size is the number of bytes that are still to be read.
func (b *Binary) Size() int64 { return b.size }

// Read delivers exactly Size bytes or an error.
func (b *Binary) Read(p []byte) (int, error) {
	if b.size <= 0 {
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.size)])
	b.size -= int64(n)
	if errors.Is(err, io.EOF) && b.size > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Partial is as that of Body.
func (b *Binary) Partial(off, n int64) error {
	if off >= b.size || n <= 0 {
		b.size = 0
		return nil
	}
	_, err := io.CopyN(io.Discard, b.r, off)
	b.size = min(b.size-off, n)
	return err
}
