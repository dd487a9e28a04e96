package message

import (
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
	r    *CRLFReader
}

// Size is the number of bytes that are still to be read.
func (b *Body) Size() int64 { return b.size }

// Read reads the section.
func (b *Body) Read(p []byte) (int, error) { return 0, io.EOF }

// Partial skips off bytes and cuts what follows after n bytes (RFC 3501
// partial fetch): beyond the end nothing is left. It is called before Read.
func (b *Body) Partial(off, n int64) error { return nil }

// OpenSection finds the section in the message that src holds and root
// describes. fail.NotFound: no such part, or the part has no such text.
func OpenSection(src io.ReaderAt, root *Part, s Section, lim Limits) (*Body, error) {
	return nil, fail.New(fail.NotFound, "message has no such section")
}

// WholeBody is the message itself, BODY[], for which no structure is needed:
// size and vsize as the store knows them.
func WholeBody(src io.ReaderAt, size, vsize int64) *Body { return &Body{size: vsize} }
