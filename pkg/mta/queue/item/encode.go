package item

import (
	"encoding/binary"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Tags of an envelope's fields. A tag never changes its meaning.
const (
	tagSender     = 1  // address
	tagRecipient  = 2  // list of recipient fields
	tagArrival    = 3  // nanoseconds since 1970
	tagSize       = 4  // number
	tagEnvID      = 5  // text
	tagReturn     = 6  // number, see Return
	tagFlags      = 7  // number, see below
	tagClientName = 8  // text
	tagClientAddr = 9  // text
	tagClientPort = 10 // number
	tagHelo       = 11 // text
	tagProto      = 12 // text
	tagSASLUser   = 13 // text
	tagSASLMethod = 14 // text
	tagOrigin     = 15 // text
	tagIdent      = 16 // text
)

// Tags of a recipient's fields.
const (
	tagAddr     = 1 // address
	tagOriginal = 2 // address
	tagORCPT    = 3 // text
	tagNotify   = 4 // number, see Notify
)

// Bits of tagFlags.
const (
	flagSMTPUTF8 = 1 << iota
	flagEightBit
	flagRequireTLS
	flagHold
)

// AppendEnvelope encodes e at the end of dst.
func AppendEnvelope(dst []byte, e *Envelope) []byte {
	dst = appendAddress(dst, tagSender, e.Sender)
	for i := range e.Recipients {
		r := &e.Recipients[i]
		var room [256]byte
		b := appendAddress(room[:0], tagAddr, r.Addr)
		b = appendAddress(b, tagOriginal, r.Original)
		b = appendField(b, tagORCPT, r.ORCPT)
		b = appendNumber(b, tagNotify, uint64(r.Notify))
		dst = binary.AppendUvarint(dst, tagRecipient)
		dst = binary.AppendUvarint(dst, uint64(len(b)))
		dst = append(dst, b...)
	}
	dst = appendNumber(dst, tagArrival, nanos(e.Arrival))
	dst = appendNumber(dst, tagSize, uint64(max(e.Size, 0)))
	dst = appendField(dst, tagEnvID, e.EnvID)
	dst = appendNumber(dst, tagReturn, uint64(e.Return))
	dst = appendNumber(dst, tagFlags, e.flags())
	dst = appendField(dst, tagClientName, e.Client.Name)
	dst = appendField(dst, tagClientAddr, e.Client.Addr)
	dst = appendNumber(dst, tagClientPort, uint64(e.Client.Port))
	dst = appendField(dst, tagHelo, e.Client.Helo)
	dst = appendField(dst, tagProto, e.Client.Proto)
	dst = appendField(dst, tagSASLUser, e.SASLUser)
	dst = appendField(dst, tagSASLMethod, e.SASLMethod)
	dst = appendField(dst, tagOrigin, e.Origin)
	return appendField(dst, tagIdent, e.Client.Ident)
}

func (e *Envelope) flags() (f uint64) {
	for _, b := range []struct {
		set bool
		bit uint64
	}{{e.SMTPUTF8, flagSMTPUTF8}, {e.EightBit, flagEightBit}, {e.RequireTLS, flagRequireTLS}, {e.Hold, flagHold}} {
		if b.set {
			f |= b.bit
		}
	}
	return f
}

// DecodeEnvelope reads what AppendEnvelope wrote. Errors are of kind
// fail.Corrupt. Nothing in the result refers to b.
func DecodeEnvelope(b []byte) (*Envelope, error) {
	c := cursor{b: string(b)}
	e := &Envelope{}
	for {
		tag, v, ok := c.field()
		if !ok {
			break
		}
		e.take(tag, &v)
		if v.err != nil {
			return nil, v.err
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	return e, nil
}

func (e *Envelope) take(tag uint64, v *cursor) {
	switch tag {
	case tagSender:
		e.Sender = v.whole()
	case tagRecipient:
		e.Recipients = append(e.Recipients, v.recipient())
	case tagArrival:
		e.Arrival = v.time()
	case tagSize:
		e.Size = int64(v.small("size", 1<<62))
	case tagEnvID:
		e.EnvID = v.b
	case tagReturn:
		e.Return = Return(v.small("RET", uint64(ReturnHeaders)))
	case tagFlags:
		f := v.uvarint("flags")
		e.SMTPUTF8, e.EightBit = f&flagSMTPUTF8 != 0, f&flagEightBit != 0
		e.RequireTLS, e.Hold = f&flagRequireTLS != 0, f&flagHold != 0
	case tagClientName:
		e.Client.Name = v.b
	case tagClientAddr:
		e.Client.Addr = v.b
	case tagClientPort:
		e.Client.Port = uint16(v.small("port", 1<<16-1))
	case tagHelo:
		e.Client.Helo = v.b
	case tagProto:
		e.Client.Proto = v.b
	case tagSASLUser:
		e.SASLUser = v.b
	case tagSASLMethod:
		e.SASLMethod = v.b
	case tagOrigin:
		e.Origin = v.b
	case tagIdent:
		e.Client.Ident = v.b
	}
}

// whole reads the rest as an address.
func (c *cursor) whole() addr.Address {
	a, err := unpackAddress(c.b)
	if err != nil {
		c.err = err
	}
	return a
}

func (c *cursor) time() time.Time { return fromNanos(c.uvarint("time")) }

func (c *cursor) recipient() Recipient {
	var r Recipient
	for {
		tag, v, ok := c.field()
		if !ok {
			break
		}
		switch tag {
		case tagAddr:
			r.Addr = v.whole()
		case tagOriginal:
			r.Original = v.whole()
		case tagORCPT:
			r.ORCPT = v.b
		case tagNotify:
			r.Notify = Notify(v.small("NOTIFY", uint64(NotifyNever|NotifySuccess|NotifyFailure|NotifyDelay|NotifyExpanded)))
		}
		if v.err != nil {
			c.err = v.err
			return r
		}
	}
	if c.err == nil && r.Addr.Null() {
		c.fail("recipient")
	}
	return r
}
