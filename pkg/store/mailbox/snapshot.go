package mailbox

import (
	"iter"
	"time"

	"github.com/postcote/postcote/pkg/store/maildir"
)

// Flags are the system flags of a message.
type Flags = maildir.Flags

// The system flags that IMAP knows. \Recent is a matter of the session, see
// Mailbox.ClaimRecent.
const (
	Draft    = maildir.Draft
	Flagged  = maildir.Flagged
	Answered = maildir.Answered
	Seen     = maildir.Seen
	Deleted  = maildir.Deleted
)

// Message is what a snapshot knows of one message. Size, VSize and Date are
// filled by Mailbox.Resolve where the index did not have them yet.
type Message struct {
	UID    uint32 // 0: the record could not be read back, treat as gone
	Flags  Flags
	ModSeq uint64
	Size   int64     // bytes as stored; -1 unknown
	VSize  int64     // RFC822.SIZE; -1 unknown
	Date   time.Time // INTERNALDATE; zero unknown

	keywords uint32 // keyword set in the snapshot's table
}

// Snapshot is an immutable view of a mailbox.
type Snapshot struct{}

// UIDValidity of the mailbox.
func (s *Snapshot) UIDValidity() uint32 { return 0 }

// UIDNext is the UID that the next message gets at least.
func (s *Snapshot) UIDNext() uint32 { return 0 }

// HighestModSeq is the highest MODSEQ of the mailbox, expunges counted.
func (s *Snapshot) HighestModSeq() uint64 { return 0 }

// Len is the number of messages.
func (s *Snapshot) Len() int { return 0 }

// At returns message i, counted from 0 in UID order.
func (s *Snapshot) At(i int) Message { return Message{} }

// UID returns the UID of message i.
func (s *Snapshot) UID(i int) uint32 { return 0 }

// Find returns the index of uid; when there is no such message, the index at
// which it would stand, and false.
func (s *Snapshot) Find(uid uint32) (i int, ok bool) { return 0, false }

// Range yields messages lo <= i < hi.
func (s *Snapshot) Range(lo, hi int) iter.Seq2[int, Message] {
	return func(func(int, Message) bool) {}
}

// All yields all messages.
func (s *Snapshot) All() iter.Seq2[int, Message] { return s.Range(0, s.Len()) }

// KeywordNames returns m's keywords. The slice is shared: do not change it.
func (s *Snapshot) KeywordNames(m Message) []string { return nil }

// HasKeyword reports whether m has the keyword (ASCII case is ignored).
func (s *Snapshot) HasKeyword(m Message, name string) bool { return false }

// Keywords returns the names of all keywords the mailbox knows (for FLAGS and
// PERMANENTFLAGS). The slice is shared.
func (s *Snapshot) Keywords() []string { return nil }

// Recent is the number of messages that no session has claimed yet.
func (s *Snapshot) Recent() int { return 0 }

// Count is the number of messages that have all flags of with and none of
// without.
func (s *Snapshot) Count(with, without Flags) int { return 0 }

// FirstWithout returns the index of the first message that lacks all of
// flags, or -1: SELECT's UNSEEN.
func (s *Snapshot) FirstWithout(flags Flags) int { return -1 }

// VSize is the sum of RFC822.SIZE, and false when a size is unknown.
func (s *Snapshot) VSize() (int64, bool) { return 0, true }

// Gone is a message that a newer snapshot does not have.
type Gone struct {
	UID   uint32
	Index int // in the older snapshot
}

// Delta is how one snapshot became another. It is computed from the chunks in
// which they differ, not from all messages.
type Delta struct {
	Expunged []Gone // ascending
	Changed  []int  // indices in the newer snapshot: flags, keywords or MODSEQ differ
	Appended int    // index in the newer snapshot of the first message that is new; its Len when there is none
	Keywords bool   // the mailbox knows new keywords
}

// Diff compares an older snapshot with a newer one of the same mailbox.
func Diff(older, newer *Snapshot) Delta { return Delta{} }
