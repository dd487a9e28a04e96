package format

import (
	"github.com/postcote/postcote/pkg/mta/queue/item"
)

// Limits of a record's parts. The body limit holds for bodies in segments;
// those in files of their own have none.
const (
	RecordHeader = 72
	MaxEnvelope  = 32 << 20
	MaxHeaders   = 4 << 20
	MaxInline    = 16 << 20
)

const recordMagic = 0x6D514350 // "PCQm"

// External in Record.Flags: the body is in a file of its own.
const External = 1

// Record is the header of one message in a segment. Envelope, added headers
// and, unless External, the body follow it; then zeros up to a multiple of 8.
type Record struct {
	Epoch    uint64 // of the segment
	Seq      uint32 // 0, 1, 2, ... within the epoch
	Flags    uint32
	ID       item.ID
	Durable  uint32 // bytes of the segment that were durable when this was written
	Envelope uint32 // lengths
	Headers  uint32
	Body     uint64
	Skip     uint64 // bytes at the front of the body that are not sent
	MetaSum  uint32 // CRC32C of envelope and headers
	BodySum  uint32 // CRC32C of the body
}

// Meta is the length of header, envelope and added headers.
func (r *Record) Meta() int64 { return RecordHeader + int64(r.Envelope) + int64(r.Headers) }

// Inline is the length of the body inside the segment.
func (r *Record) Inline() int64 {
	if r.Flags&External != 0 {
		return 0
	}
	return int64(r.Body)
}

// Size is the length of the whole record with its padding.
func (r *Record) Size() int64 { return pad8(r.Meta() + r.Inline()) }

// Sent is the length of the message as it is sent.
func (r *Record) Sent() int64 { return int64(r.Headers) + int64(r.Body) - int64(r.Skip) }

func pad8(n int64) int64 { return (n + 7) &^ 7 }

// Append encodes the header at the end of dst.
func (r *Record) Append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, RecordHeader)...)
	b := dst[at:]
	le.PutUint32(b[0:], recordMagic)
	le.PutUint64(b[8:], r.Epoch)
	le.PutUint32(b[16:], r.Seq)
	le.PutUint32(b[20:], r.Flags)
	le.PutUint64(b[24:], uint64(r.ID))
	le.PutUint32(b[32:], r.Durable)
	le.PutUint32(b[36:], r.Envelope)
	le.PutUint32(b[40:], r.Headers)
	le.PutUint32(b[44:], r.MetaSum)
	le.PutUint64(b[48:], r.Body)
	le.PutUint64(b[56:], r.Skip)
	le.PutUint32(b[64:], r.BodySum)
	le.PutUint32(b[4:], Sum(0, b[8:RecordHeader]))
	return dst
}

// ParseRecord reads a record header; ok is false when b does not begin with
// a sound one.
func ParseRecord(b []byte) (r Record, ok bool) {
	if len(b) < RecordHeader || le.Uint32(b) != recordMagic {
		return Record{}, false
	}
	b = b[:RecordHeader]
	r = Record{
		Epoch: le.Uint64(b[8:]), Seq: le.Uint32(b[16:]), Flags: le.Uint32(b[20:]), ID: item.ID(le.Uint64(b[24:])),
		Durable: le.Uint32(b[32:]), Envelope: le.Uint32(b[36:]), Headers: le.Uint32(b[40:]), MetaSum: le.Uint32(b[44:]),
		Body: le.Uint64(b[48:]), Skip: le.Uint64(b[56:]), BodySum: le.Uint32(b[64:]),
	}
	sane := r.Envelope <= MaxEnvelope && r.Headers <= MaxHeaders && r.Body < 1<<62 && r.Skip <= r.Body &&
		(r.Flags&External != 0 || r.Body <= MaxInline)
	if !sane || le.Uint32(b[4:]) != Sum(0, b[8:]) {
		return Record{}, false
	}
	return r, true
}
