package cache

import (
	"encoding/binary"

	"github.com/postcote/postcote/pkg/platform/message"
)

// Entry is what is kept of one message. Its slices point into the bytes it was
// read from.
type Entry struct {
	Envelope  []byte // ENVELOPE as wire bytes
	Structure []byte // BODYSTRUCTURE as wire bytes; empty when not known, see Whole
	Preview   []byte // text of RFC 8970
	EmailID   []byte // of RFC 8474; empty when not known

	parts  []byte // the tree of parts, see parts.go
	fields []byte // the header fields that are kept, as stored
	left   []byte // names of those that are not, see fields.go
	has    uint8
}

// The bits of an entry's first byte.
const (
	hasFields  = 1 << iota // fields and left are about the whole header
	hasPreview             // Preview and EmailID were made
	headOnly               // Structure and parts were not
)

// depth is how much of a message is known, each including those before it.
type depth int

const (
	heads  depth = iota // what its header says
	bodies              // its structure
	full                // preview and id
)

func (e *Entry) depth() depth {
	switch {
	case e.has&headOnly != 0:
		return heads
	case e.Previewed():
		return full
	}
	return bodies
}

// Whole reports whether the structure is known.
func (e *Entry) Whole() bool { return e.depth() >= bodies }

// Previewed reports whether Preview and EmailID are known.
func (e *Entry) Previewed() bool { return e.has&hasPreview != 0 }

// sections are the parts of an entry in the order they are stored.
func (e *Entry) sections() [7]*[]byte {
	return [7]*[]byte{&e.Envelope, &e.Structure, &e.parts, &e.fields, &e.left, &e.Preview, &e.EmailID}
}

// append adds the entry's bytes to dst: the bits, the length of each section
// as a varint, the sections.
func (e *Entry) append(dst []byte) []byte {
	dst = append(dst, e.has)
	for _, s := range e.sections() {
		dst = binary.AppendUvarint(dst, uint64(len(*s)))
	}
	for _, s := range e.sections() {
		dst = append(dst, *s...)
	}
	return dst
}

// parseEntry reads what append wrote. The slices of e point into b.
func parseEntry(b []byte) (e Entry, ok bool) {
	if len(b) == 0 {
		return e, false
	}
	e.has, b = b[0], b[1:]
	var sizes [7]uint64
	for i := range sizes {
		n, k := binary.Uvarint(b)
		if k <= 0 {
			return e, false
		}
		sizes[i], b = n, b[k:]
	}
	for i, s := range e.sections() {
		if sizes[i] > uint64(len(b)) {
			return e, false
		}
		*s, b = b[:sizes[i]:sizes[i]], b[sizes[i]:]
	}
	return e, len(b) == 0
}

// Root is the tree of the message's parts: places, types, encodings and
// charsets, nothing else. false: it is not known.
func (e *Entry) Root() (*message.Part, bool) { return parseParts(e.parts) }
