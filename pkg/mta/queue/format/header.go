package format

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Kind is the kind of a file.
type Kind string

// The kinds, which are also the first eight bytes of the files.
const (
	Segment    Kind = "PCQSEGMT"
	Log        Kind = "PCQSTLOG"
	Checkpoint Kind = "PCQCHKPT"
)

const (
	// Version is written into new files and the only one that is read.
	Version = 1
	// HeaderSize is the length of a file header.
	HeaderSize = 64
	// SegmentStart is where the records of a segment begin: a page of its own
	// for the header, which is rewritten when a segment is used again.
	SegmentStart = 4096
)

var le = binary.LittleEndian

func table() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Sum is the CRC32C of b, continued from sum (0 to begin).
func Sum(sum uint32, b []byte) uint32 { return crc32.Update(sum, table(), b) }

// Header begins every file.
type Header struct {
	Kind   Kind
	Number uint64 // of the segment; generation of a log or checkpoint
	Epoch  uint64 // segment: changes with every use of the file; else 0
}

// Append encodes h at the end of dst: HeaderSize bytes.
func (h Header) Append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	b := dst[at:]
	copy(b, h.Kind)
	le.PutUint32(b[8:], Version)
	le.PutUint64(b[16:], h.Number)
	le.PutUint64(b[24:], h.Epoch)
	le.PutUint32(b[60:], Sum(0, b[:60]))
	return dst
}

// ParseHeader reads a header of the given kind. Errors are of kind
// fail.Corrupt; an unknown version is fail.Invalid, so that nobody repairs
// what a newer program wrote.
func ParseHeader(kind Kind, b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fail.New(fail.Corrupt, "file header: %d bytes, want %d", len(b), HeaderSize)
	}
	b = b[:HeaderSize]
	if Kind(b[:8]) != kind || le.Uint32(b[60:]) != Sum(0, b[:60]) {
		return Header{}, fail.New(fail.Corrupt, "file header: not a %s or damaged", kind)
	}
	if v := le.Uint32(b[8:]); v != Version {
		return Header{}, fail.New(fail.Invalid, "file header: version %d, this program reads %d", v, Version)
	}
	return Header{Kind: kind, Number: le.Uint64(b[16:]), Epoch: le.Uint64(b[24:])}, nil
}
