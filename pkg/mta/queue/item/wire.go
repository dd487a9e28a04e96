package item

import (
	"encoding/binary"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// A field is a tag, a length and that many bytes, the first two as varints.
// Absent fields are zero values; a repeated tag is a list.

func appendField(dst []byte, tag uint64, value string) []byte {
	if value == "" {
		return dst
	}
	dst = binary.AppendUvarint(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

func appendNumber(dst []byte, tag, value uint64) []byte {
	if value == 0 {
		return dst
	}
	var b [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(b[:], value)
	return appendField(dst, tag, string(b[:n]))
}

func appendAddress(dst []byte, tag uint64, a addr.Address) []byte {
	if a.Null() {
		return dst
	}
	dst = binary.AppendUvarint(dst, tag)
	return appendPacked(dst, a)
}

// appendPacked writes the parts joined with NUL, which no local part may hold,
// behind their length.
func appendPacked(dst []byte, a addr.Address) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(a.Local)+1+len(a.Domain)))
	dst = append(dst, a.Local...)
	dst = append(dst, 0)
	return append(dst, a.Domain...)
}

// unpackAddress accepts only what appendPacked can have written.
func unpackAddress(s string) (addr.Address, error) {
	for i := 0; i < len(s); i++ {
		if s[i] != 0 {
			continue
		}
		a := addr.Address{Local: s[:i], Domain: s[i+1:]}
		if i > addr.MaxLocal || len(a.Domain) > addr.MaxDomain || a.Null() {
			break
		}
		for j := 0; j < len(s); j++ {
			if s[j] == '\r' || s[j] == '\n' || s[j] == 0 && j != i {
				return addr.Address{}, malformed("address")
			}
		}
		return a, nil
	}
	return addr.Address{}, malformed("address")
}

func malformed(what string) error {
	return fail.New(fail.Corrupt, "stored envelope: malformed %s", what)
}

// cursor reads an encoded value from the front. The first error stays. What it
// reads refers to the value.
type cursor struct {
	b   string
	err error
}

func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = malformed(what)
	}
	c.b = ""
}

// uvarint is binary.Uvarint of a string.
func (c *cursor) uvarint(what string) (v uint64) {
	for i := 0; i < len(c.b) && i < binary.MaxVarintLen64; i++ {
		b := c.b[i]
		if i == binary.MaxVarintLen64-1 && b > 1 {
			break // more than 64 bits
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			c.b = c.b[i+1:]
			return v
		}
	}
	c.fail(what)
	return 0
}

// small reads a number that fits limit.
func (c *cursor) small(what string, limit uint64) uint64 {
	v := c.uvarint(what)
	if v > limit {
		c.fail(what)
		return 0
	}
	return v
}

func (c *cursor) byte(what string) byte {
	if len(c.b) == 0 {
		c.fail(what)
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) bytes(what string, limit uint64) string {
	n := c.small(what, limit)
	if n > uint64(len(c.b)) {
		c.fail(what)
		return ""
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) address(what string) addr.Address {
	s := c.bytes(what, addr.MaxLocal+addr.MaxDomain+1)
	if c.err != nil || s == "" {
		return addr.Address{}
	}
	a, err := unpackAddress(s)
	if err != nil {
		c.fail(what)
	}
	return a
}

// field reads one tagged field; ok is false at the end or after an error.
func (c *cursor) field() (tag uint64, value cursor, ok bool) {
	if c.err != nil || len(c.b) == 0 {
		return 0, cursor{}, false
	}
	tag = c.uvarint("tag")
	n := c.uvarint("length")
	if c.err != nil || n > uint64(len(c.b)) {
		c.fail("length")
		return 0, cursor{}, false
	}
	value = cursor{b: c.b[:n]}
	c.b = c.b[n:]
	return tag, value, true
}

// nanos and its inverse keep a time as nanoseconds since 1970, 0 for none.
func nanos(t time.Time) uint64 {
	if t.IsZero() || t.UnixNano() <= 0 {
		return 0
	}
	return uint64(t.UnixNano())
}

func fromNanos(n uint64) time.Time {
	if n == 0 || n > 1<<63-1 {
		return time.Time{}
	}
	return time.Unix(0, int64(n))
}
