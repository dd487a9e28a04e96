package item

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Summary is what the queue keeps in memory of a message that waits: enough
// to list it and to schedule it, without the facts that only a delivery needs.
type Summary struct {
	Sender     addr.Address
	Recipients []Tracked
}

// Tracked is an address and its state.
type Tracked struct {
	Addr addr.Address
	State
}

// Bits of a state's first byte, above the status.
const (
	packStatus   = 0x07
	packRelayed  = 0x08
	packNotified = 0x10
	packTried    = 0x20 // attempt, code, times and texts follow
)

// AppendSummary encodes s at the end of dst. Times are kept as distances
// from base, the arrival of the message.
func AppendSummary(dst []byte, s *Summary, base time.Time) []byte {
	dst = appendNullable(dst, s.Sender)
	dst = binary.AppendUvarint(dst, uint64(len(s.Recipients)))
	for i := range s.Recipients {
		r := &s.Recipients[i]
		dst = appendNullable(dst, r.Addr)
		dst = AppendState(dst, &r.State, base)
	}
	return dst
}

// AppendOpen is AppendSummary of a message that is not packed.
func AppendOpen(dst []byte, e *Envelope, states []State, base time.Time) []byte {
	dst = appendNullable(dst, e.Sender)
	dst = binary.AppendUvarint(dst, uint64(len(states)))
	for i := range states {
		dst = appendNullable(dst, e.Recipients[i].Addr)
		dst = AppendState(dst, &states[i], base)
	}
	return dst
}

// DecodeSummary reads what AppendSummary wrote. Errors are of kind
// fail.Corrupt. The texts of the result are part of a summary that is a string.
func DecodeSummary[T string | []byte](b T, base time.Time) (*Summary, error) {
	s := &Summary{Recipients: []Tracked{}}
	c := cursor{b: string(b)}
	var err error
	s.Sender, err = c.summary(base, func(n uint64, a addr.Address, st State) {
		if cap(s.Recipients) == 0 {
			s.Recipients = make([]Tracked, 0, n)
		}
		s.Recipients = append(s.Recipients, Tracked{a, st})
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Outlook is what a summary says about when to go on.
type Outlook struct {
	Tried bool      // some recipient has been attempted, or needs none
	Open  bool      // some recipient is not final
	Next  time.Time // of the open ones, the first that is due; zero for at once
}

// ReadOutlook reads a summary for that alone; it keeps nothing else and needs
// no memory. Errors are those of DecodeSummary.
func ReadOutlook(b string, base time.Time) (o Outlook, err error) {
	c := cursor{b: b}
	_, err = c.summary(base, func(_ uint64, _ addr.Address, st State) {
		o.Tried = o.Tried || st.Status != Pending
		if st.Status.Final() {
			return
		}
		if !o.Open || st.Next.Before(o.Next) {
			o.Next = st.Next
		}
		o.Open = true
	})
	return o, err
}

// CountRecipients reads a summary for their number alone, 0 if it is damaged.
func CountRecipients(b string) int {
	c := cursor{b: b}
	c.address("sender")
	n := c.small("recipient count", uint64(len(c.b)))
	if c.err != nil {
		return 0
	}
	return int(n)
}

// summary reads a whole summary; visit gets each recipient, and how many there
// can be at most.
func (c *cursor) summary(base time.Time, visit func(n uint64, a addr.Address, st State)) (sender addr.Address, err error) {
	sender = c.address("sender")
	n := c.small("recipient count", uint64(len(c.b))) // each takes more than a byte
	room := min(n, uint64(len(c.b)/2))
	for ; n > 0 && c.err == nil; n-- {
		a := c.address("recipient")
		st := c.state(base)
		if c.err == nil {
			visit(room, a, st)
		}
	}
	if c.err == nil && len(c.b) > 0 {
		c.fail("summary: trailing bytes")
	}
	return sender, c.err
}

// AppendState encodes one state. s must have been cleaned (State.Clean).
func AppendState(dst []byte, s *State, base time.Time) []byte {
	first := byte(s.Status) & packStatus
	if s.Relayed {
		first |= packRelayed
	}
	if s.Notified {
		first |= packNotified
	}
	bare := State{Status: s.Status, Relayed: s.Relayed, Notified: s.Notified}
	if *s == bare {
		return append(dst, first)
	}
	dst = append(dst, first|packTried)
	dst = binary.AppendUvarint(dst, uint64(s.Attempts))
	dst = binary.AppendUvarint(dst, uint64(s.Code.Class))
	dst = binary.AppendUvarint(dst, uint64(s.Code.Subject))
	dst = binary.AppendUvarint(dst, uint64(s.Code.Detail))
	dst = appendSeconds(dst, s.Last, base)
	dst = appendSeconds(dst, s.Next, base)
	dst = appendText(dst, s.Reason)
	dst = appendPart(dst, s.Diagnostic, s.Reason)
	return appendPart(dst, s.Remote, s.Reason)
}

// DecodeState reads one state from the front of b and returns the rest.
func DecodeState(b []byte, base time.Time) (State, []byte, error) {
	c := cursor{b: string(b)}
	s := c.state(base)
	return s, b[len(b)-len(c.b):], c.err
}

func (c *cursor) state(base time.Time) (s State) {
	first := c.byte("state")
	s.Status = Status(first & packStatus)
	s.Relayed, s.Notified = first&packRelayed != 0, first&packNotified != 0
	if s.Status > Expired || first&^(packStatus|packRelayed|packNotified|packTried) != 0 {
		c.fail("state")
	}
	if c.err != nil || first&packTried == 0 {
		return s
	}
	s.Attempts = uint16(c.small("attempts", 1<<16-1))
	s.Code.Class = uint16(c.small("code", 9))
	s.Code.Subject = uint16(c.small("code", 999))
	s.Code.Detail = uint16(c.small("code", 999))
	s.Last = c.seconds(base)
	s.Next = c.seconds(base)
	s.Reason = c.bytes("reason", MaxReason)
	s.Diagnostic = c.part(s.Reason, MaxDiagnostic)
	s.Remote = c.part(s.Reason, MaxRemote)
	return s
}

func appendNullable(dst []byte, a addr.Address) []byte {
	if a.Null() {
		return append(dst, 0)
	}
	return appendPacked(dst, a)
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendSeconds writes 0 for no time, else one more than the zigzag of the
// distance in seconds.
func appendSeconds(dst []byte, t, base time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	d := t.Unix() - base.Unix()
	return binary.AppendUvarint(dst, (uint64(d)<<1^uint64(d>>63))+1)
}

func (c *cursor) seconds(base time.Time) time.Time {
	v := c.uvarint("time")
	if v == 0 {
		return time.Time{}
	}
	v--
	d := int64(v>>1) ^ -int64(v&1)
	if d > 1<<35 || d < -1<<35 {
		c.fail("time")
		return time.Time{}
	}
	return time.Unix(base.Unix()+d, 0)
}

// appendPart writes a text that is often part of another: 0 for empty, 1 and
// the text, or 2, offset and length within whole.
func appendPart(dst []byte, part, whole string) []byte {
	if part == "" {
		return append(dst, 0)
	}
	if at := strings.Index(whole, part); at >= 0 {
		dst = append(dst, 2)
		dst = binary.AppendUvarint(dst, uint64(at))
		return binary.AppendUvarint(dst, uint64(len(part)))
	}
	return appendText(append(dst, 1), part)
}

func (c *cursor) part(whole string, limit uint64) string {
	switch c.byte("text form") {
	case 0:
		return ""
	case 1:
		return c.bytes("text", limit)
	case 2:
		at := c.small("text offset", uint64(len(whole)))
		n := c.small("text length", limit)
		if c.err == nil && at+n <= uint64(len(whole)) {
			return whole[at : at+n]
		}
	}
	c.fail("text form")
	return ""
}
