package handover

import (
	"encoding/binary"
	"net/netip"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Flag bits of a frame and of an answer.
const (
	flagSecured    = 1 << 0
	flagReturnable = 1 << 1
	flagTaken      = 1 << 0
)

// Append appends the packet of f to dst. A value over its cap, or one that
// has no canonical form, is an error of kind Invalid.
func (f *Frame) Append(dst []byte) ([]byte, error) {
	if err := f.check(); err != nil {
		return dst, err
	}
	var flags byte
	if f.Secured {
		flags |= flagSecured
	}
	if f.Returnable {
		flags |= flagReturnable
	}
	dst = append(dst, Version, byte(f.Protocol), flags)
	dst = binary.BigEndian.AppendUint32(dst, f.ClientPID)
	dst = binary.BigEndian.AppendUint32(dst, f.RequestID)
	for _, s := range []string{f.Cookie, f.Sealed, f.Tag, f.Session, f.Mechanism, f.TLSVersion, f.TLSCipher} {
		dst = appendBytes(dst, s)
	}
	dst = appendAddr(dst, f.Peer)
	dst = appendAddr(dst, f.Local)
	return appendBytes(dst, f.Buffered), nil
}

// Parse reads a packet. Errors are of kind Invalid.
func Parse(packet []byte) (*Frame, error) {
	r := reader{rest: packet}
	if v := r.byte(); v != Version && !r.short {
		return nil, fail.New(fail.Invalid, "handover: version %d, this process speaks %d", v, Version)
	}
	f := &Frame{Protocol: Protocol(r.byte())}
	flags := r.byte()
	f.Secured, f.Returnable = flags&flagSecured != 0, flags&flagReturnable != 0
	f.ClientPID, f.RequestID = r.uint32(), r.uint32()
	for _, s := range []*string{&f.Cookie, &f.Sealed, &f.Tag, &f.Session, &f.Mechanism, &f.TLSVersion, &f.TLSCipher} {
		*s = string(r.bytes())
	}
	f.Peer, f.Local = r.addr(), r.addr()
	if b := r.bytes(); len(b) > 0 {
		f.Buffered = append([]byte(nil), b...)
	}
	switch {
	case r.short:
		return nil, fail.New(fail.Invalid, "handover: the packet is cut short")
	case len(r.rest) > 0:
		return nil, fail.New(fail.Invalid, "handover: %d bytes too many in the packet", len(r.rest))
	case flags&^(flagSecured|flagReturnable) != 0 || r.odd || f.Returnable && f.Protocol != IMAP:
		return nil, fail.New(fail.Invalid, "handover: a field of the packet is malformed")
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	return f, nil
}

// Append appends the packet of a to dst.
func (a Answer) Append(dst []byte) ([]byte, error) {
	if err := a.check(); err != nil {
		return dst, err
	}
	var flags byte
	if a.Taken {
		flags |= flagTaken
	}
	dst = append(dst, Version, flags)
	dst = binary.BigEndian.AppendUint32(dst, a.PID)
	return appendBytes(appendBytes(dst, a.Why), a.Seal), nil
}

// ParseAnswer reads an answer. Errors are of kind Invalid.
func ParseAnswer(packet []byte) (Answer, error) {
	r := reader{rest: packet}
	version, flags := r.byte(), r.byte()
	a := Answer{Taken: flags&flagTaken != 0, PID: r.uint32(), Why: string(r.bytes()), Seal: string(r.bytes())}
	if r.short || len(r.rest) > 0 || version != Version || flags&^flagTaken != 0 {
		return Answer{}, fail.New(fail.Invalid, "handover: malformed answer of %d bytes", len(packet))
	}
	return a, a.check()
}

func (a *Answer) check() error {
	if err := checkText("refusal", a.Why, MaxWhy); err != nil {
		return err
	}
	return checkText("name of the key", a.Seal, MaxSeal)
}

func appendBytes[T string | []byte](dst []byte, v T) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(v))) // caps are below 64 KiB
	return append(dst, v...)
}

// appendAddr writes the length of the address (0, 4, 16), the address, and,
// unless it is 0, the port.
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	b := a.Addr().AsSlice()
	dst = append(dst, byte(len(b)))
	if len(b) == 0 {
		return dst
	}
	dst = append(dst, b...)
	return binary.BigEndian.AppendUint16(dst, a.Port())
}

// reader takes fields off the front; after the first lack of bytes it yields
// zeros and short is true.
type reader struct {
	rest  []byte
	short bool
	odd   bool // a value that has no meaning
}

func (r *reader) take(n int) []byte {
	if r.short || n > len(r.rest) {
		r.short = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) bytes() []byte { return r.take(int(r.uint16())) }

func (r *reader) addr() netip.AddrPort {
	n := int(r.byte())
	if n == 0 || r.short {
		return netip.AddrPort{}
	}
	ip, ok := netip.AddrFromSlice(r.take(n))
	if !ok {
		r.odd = true
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, r.uint16())
}
