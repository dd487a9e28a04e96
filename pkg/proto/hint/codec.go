package hint

import (
	"encoding/binary"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// fixed is the length of what stands before the names.
const fixed = 1 + 5*8

// Append appends the packet of h to dst. A value that cannot be is an error
// of kind Invalid.
func (h *Hint) Append(dst []byte) ([]byte, error) {
	if err := h.check(); err != nil {
		return dst, err
	}
	dst = append(dst, Version)
	for _, n := range []uint64{
		h.Generation, h.Sequence, uint64(h.Size), uint64(h.VSize), uint64(h.Received.UnixNano()),
	} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	for _, s := range []string{h.User, h.Mailbox, h.File} {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
		dst = append(dst, s...)
	}
	return dst, nil
}

// Parse reads a packet. Errors are of kind Invalid.
func Parse(packet []byte) (Hint, error) {
	if len(packet) > 0 && packet[0] != Version {
		return Hint{}, fail.New(fail.Invalid, "hint: version %d, this process speaks %d", packet[0], Version)
	}
	if len(packet) < fixed {
		return Hint{}, cut(packet)
	}
	var n [5]uint64
	for i := range n {
		n[i] = binary.BigEndian.Uint64(packet[1+8*i:])
	}
	h := Hint{
		Generation: n[0], Sequence: n[1], Size: int64(n[2]), VSize: int64(n[3]),
		Received: time.Unix(0, int64(n[4])),
	}
	rest := packet[fixed:]
	for _, s := range []*string{&h.User, &h.Mailbox, &h.File} {
		if len(rest) < 2 {
			return Hint{}, cut(packet)
		}
		size := 2 + int(binary.BigEndian.Uint16(rest))
		if len(rest) < size {
			return Hint{}, cut(packet)
		}
		*s, rest = string(rest[2:size]), rest[size:]
	}
	if len(rest) > 0 {
		return Hint{}, fail.New(fail.Invalid, "hint: %d bytes too many in the packet", len(rest))
	}
	return h, h.check()
}

func cut(packet []byte) error {
	return fail.New(fail.Invalid, "hint: the packet is cut short at %d bytes", len(packet))
}
