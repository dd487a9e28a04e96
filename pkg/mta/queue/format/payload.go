package format

import (
	"encoding/binary"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Type is the kind of a change. Every change says what is now, not what is
// different, so that replaying it twice does no harm.
type Type uint8

// The kinds.
const (
	TypeBase    Type = 1 // Base: at the front of a checkpoint
	TypeSegment Type = 2 // SegmentInfo
	TypeMessage Type = 3 // Message: there is this message, in this state
	TypeStates  Type = 4 // States: recipients of one message
	TypeFlags   Type = 5 // Flags of one message
	TypeRemoved Type = 6 // ids of messages that are gone
	TypeMoved   Type = 7 // Location of one message
	TypeEnd     Type = 8 // number of TypeMessage frames before; ends a checkpoint
)

// Base is what a checkpoint knows beyond messages and segments.
type Base struct {
	LastID      item.ID // no id up to this one is given again
	LastSegment uint64  // no segment number up to this one is used again
	LastEpoch   uint64
}

// Append encodes b.
func (b Base) Append(dst []byte) []byte {
	dst = le.AppendUint64(dst, uint64(b.LastID))
	dst = le.AppendUint64(dst, b.LastSegment)
	return le.AppendUint64(dst, b.LastEpoch)
}

// ParseBase reads a Base.
func ParseBase(p []byte) (Base, error) {
	if len(p) < 24 {
		return Base{}, short("base")
	}
	return Base{LastID: item.ID(le.Uint64(p)), LastSegment: le.Uint64(p[8:]), LastEpoch: le.Uint64(p[16:])}, nil
}

// Bits of SegmentInfo.Flags.
const (
	SegSealed = 1 << iota // all its messages are in the log or checkpoint, nothing is added any more
	SegFailed             // a write or sync failed; nothing at or above Limit counts, and the file is not used again
	SegGone               // the file has been removed for good
)

// SegmentInfo is what is known of one segment.
type SegmentInfo struct {
	Number  uint64
	Epoch   uint64
	Flags   uint32
	Covered uint32 // all records below are in the log or checkpoint
	Limit   uint32 // SegFailed: see there
}

// Append encodes s.
func (s SegmentInfo) Append(dst []byte) []byte {
	dst = le.AppendUint64(dst, s.Number)
	dst = le.AppendUint64(dst, s.Epoch)
	dst = le.AppendUint32(dst, s.Flags)
	dst = le.AppendUint32(dst, s.Covered)
	return le.AppendUint32(dst, s.Limit)
}

// ParseSegmentInfo reads a SegmentInfo.
func ParseSegmentInfo(p []byte) (SegmentInfo, error) {
	if len(p) < 28 {
		return SegmentInfo{}, short("segment")
	}
	return SegmentInfo{
		Number: le.Uint64(p), Epoch: le.Uint64(p[8:]), Flags: le.Uint32(p[16:]), Covered: le.Uint32(p[20:]), Limit: le.Uint32(p[24:]),
	}, nil
}

// Location is where a message's record lies.
type Location struct {
	Segment uint64
	Epoch   uint64
	Offset  uint32
	Length  uint32 // with padding
}

func (l Location) append(dst []byte) []byte {
	dst = le.AppendUint64(dst, l.Segment)
	dst = le.AppendUint64(dst, l.Epoch)
	dst = le.AppendUint32(dst, l.Offset)
	return le.AppendUint32(dst, l.Length)
}

func parseLocation(p []byte) Location {
	return Location{Segment: le.Uint64(p), Epoch: le.Uint64(p[8:]), Offset: le.Uint32(p[16:]), Length: le.Uint32(p[20:])}
}

// AppendMoved encodes the new location of a message.
func AppendMoved(dst []byte, id item.ID, l Location) []byte {
	return l.append(le.AppendUint64(dst, uint64(id)))
}

// ParseMoved reads what AppendMoved wrote.
func ParseMoved(p []byte) (item.ID, Location, error) {
	if len(p) < 32 {
		return 0, Location{}, short("location")
	}
	return item.ID(le.Uint64(p)), parseLocation(p[8:]), nil
}

// Bits of a message's flags.
const (
	MsgHeld     = 1 << iota // on hold
	MsgExpiring             // an operator has expired it
	MsgDamaged              // stored content does not match its checksums
	MsgWarned               // the delay warning has been sent
	MsgExternal             // the body is in a file of its own
)

// Message is a queued message with all that is kept in memory of it.
type Message struct {
	ID      item.ID
	Flags   uint32
	Loc     Location
	Size    int64
	Arrival int64  // nanoseconds since 1970; the base of times in Summary
	Summary []byte // item.AppendSummary
}

const messageFixed = 8 + 4 + 4 + 24 + 8 + 8

// Append encodes m.
func (m *Message) Append(dst []byte) []byte {
	dst = le.AppendUint64(dst, uint64(m.ID))
	dst = le.AppendUint32(dst, m.Flags)
	dst = le.AppendUint32(dst, 0)
	dst = m.Loc.append(dst)
	dst = le.AppendUint64(dst, uint64(m.Size))
	dst = le.AppendUint64(dst, uint64(m.Arrival))
	return append(dst, m.Summary...)
}

// ParseMessage reads a Message; its Summary refers to p. The same as a string
// has been read once, so that it is known to be sound, and for its outlook.
func ParseMessage(p []byte) (m Message, summary string, o item.Outlook, err error) {
	if len(p) < messageFixed {
		return Message{}, "", item.Outlook{}, short("message")
	}
	m = Message{
		ID: item.ID(le.Uint64(p)), Flags: le.Uint32(p[8:]), Loc: parseLocation(p[16:]),
		Size: int64(le.Uint64(p[40:])), Arrival: int64(le.Uint64(p[48:])), Summary: p[messageFixed:],
	}
	summary = string(m.Summary)
	o, err = item.ReadOutlook(summary, time.Unix(0, m.Arrival))
	return m, summary, o, err
}

// States are new states of some recipients of one message.
type States struct {
	ID     item.ID
	States []IndexedState
}

// IndexedState is the state of the recipient with an index.
type IndexedState struct {
	Index int
	State item.State
}

// Append encodes s. base is the arrival of the message.
func (s *States) Append(dst []byte, base time.Time) []byte {
	dst = le.AppendUint64(dst, uint64(s.ID))
	for i := range s.States {
		dst = binary.AppendUvarint(dst, uint64(s.States[i].Index))
		dst = item.AppendState(dst, &s.States[i].State, base)
	}
	return dst
}

// StatesID reads only whose states these are: their times need the arrival of
// that message.
func StatesID(p []byte) (item.ID, error) {
	if len(p) < 8 {
		return 0, short("states")
	}
	return item.ID(le.Uint64(p)), nil
}

// ParseStates reads States.
func ParseStates(p []byte, base time.Time) (States, error) {
	id, err := StatesID(p)
	if err != nil {
		return States{}, err
	}
	s := States{ID: id}
	for p = p[8:]; len(p) > 0; {
		i, n := binary.Uvarint(p)
		if n <= 0 || i > 1<<24 {
			return States{}, short("states")
		}
		var st item.State
		st, p, err = item.DecodeState(p[n:], base)
		if err != nil {
			return States{}, err
		}
		s.States = append(s.States, IndexedState{Index: int(i), State: st})
	}
	return s, nil
}

// AppendFlags encodes the flags of one message.
func AppendFlags(dst []byte, id item.ID, flags uint32) []byte {
	return le.AppendUint32(le.AppendUint64(dst, uint64(id)), flags)
}

// ParseFlags reads what AppendFlags wrote.
func ParseFlags(p []byte) (item.ID, uint32, error) {
	if len(p) < 12 {
		return 0, 0, short("flags")
	}
	return item.ID(le.Uint64(p)), le.Uint32(p[8:]), nil
}

// AppendRemoved encodes one id; a payload may hold several.
func AppendRemoved(dst []byte, id item.ID) []byte { return le.AppendUint64(dst, uint64(id)) }

// ParseRemoved reads the ids.
func ParseRemoved(p []byte) ([]item.ID, error) {
	if len(p)%8 != 0 {
		return nil, short("removed")
	}
	ids := make([]item.ID, 0, len(p)/8)
	for ; len(p) > 0; p = p[8:] {
		ids = append(ids, item.ID(le.Uint64(p)))
	}
	return ids, nil
}

// AppendEnd encodes the number of messages in a checkpoint.
func AppendEnd(dst []byte, messages uint64) []byte { return le.AppendUint64(dst, messages) }

// ParseEnd reads what AppendEnd wrote.
func ParseEnd(p []byte) (uint64, error) {
	if len(p) < 8 {
		return 0, short("end")
	}
	return le.Uint64(p), nil
}

func short(what string) error { return fail.New(fail.Corrupt, "state record %q: malformed", what) }
