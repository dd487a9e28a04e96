package format

// FrameHeader is the length of a frame's header, MaxFrame the cap on its payload.
const (
	FrameHeader = 32
	MaxFrame    = 64 << 20
)

const frameMagic = 0x73514350 // "PCQs"

// Frame is one record of a state log or checkpoint: a header, the payload,
// zeros up to a multiple of 8.
type Frame struct {
	Type       Type
	Generation uint32 // of the file
	Seq        uint64 // 0, 1, 2, ... within the file
	Durable    uint32 // bytes of the file that were durable when this was written; stays at the highest value beyond 4 GiB
	Payload    []byte
}

// AppendFrame encodes a frame whose payload the callback appends.
func AppendFrame(dst []byte, f Frame, payload func([]byte) []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, FrameHeader)...)
	dst = payload(dst)
	n := len(dst) - at - FrameHeader
	for len(dst)%8 != at%8 {
		dst = append(dst, 0)
	}
	b := dst[at:]
	le.PutUint32(b[0:], frameMagic)
	le.PutUint32(b[8:], f.Generation)
	b[12] = byte(f.Type)
	le.PutUint64(b[16:], f.Seq)
	le.PutUint32(b[24:], uint32(n))
	le.PutUint32(b[28:], f.Durable)
	le.PutUint32(b[4:], Sum(0, b[8:FrameHeader+n]))
	return dst
}

// frameLength reads the length of the frame that b begins with; ok is false
// when the header cannot be one of the given generation.
func frameLength(b []byte, generation uint32) (n int64, ok bool) {
	if len(b) < FrameHeader || le.Uint32(b) != frameMagic || le.Uint32(b[8:]) != generation {
		return 0, false
	}
	n = int64(le.Uint32(b[24:]))
	return pad8(FrameHeader + n), n <= MaxFrame
}

// parseFrame reads a whole frame; the payload refers to b.
func parseFrame(b []byte) (f Frame, ok bool) {
	end := FrameHeader + int64(le.Uint32(b[24:]))
	if end > int64(len(b)) || le.Uint32(b[4:]) != Sum(0, b[8:end]) {
		return Frame{}, false
	}
	return Frame{
		Type: Type(b[12]), Generation: le.Uint32(b[8:]), Seq: le.Uint64(b[16:]), Durable: le.Uint32(b[28:]),
		Payload: b[FrameHeader:end:end],
	}, true
}
