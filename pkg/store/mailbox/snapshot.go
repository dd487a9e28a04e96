package mailbox

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/store/index"
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
	Saved  time.Time // when it was put into the mailbox; zero unknown: before we had it

	keywords uint32 // keyword set in the snapshot's table
}

func messageOf(r index.Record) Message {
	m := Message{UID: r.UID, Flags: Flags(r.Flags), ModSeq: r.ModSeq, Size: r.Size, VSize: r.VSize, keywords: r.Keywords}
	if r.Size < 0 {
		m.Size = -1
	}
	if r.VSize < 0 {
		m.VSize = -1
	}
	if r.Date != index.Unknown {
		m.Date = time.Unix(r.Date, 0)
	}
	if r.Saved != 0 {
		m.Saved = time.Unix(r.Saved, 0)
	}
	return m
}

// Snapshot is an immutable view of a mailbox.
type Snapshot struct {
	im  *index.Image
	gen uint64 // grows with every change of the mailbox
}

// UIDValidity of the mailbox.
func (s *Snapshot) UIDValidity() uint32 { return s.im.UIDValidity }

// UIDNext is the UID that the next message gets at least.
func (s *Snapshot) UIDNext() uint32 { return s.im.UIDNext }

// HighestModSeq is the highest MODSEQ of the mailbox, expunges counted.
func (s *Snapshot) HighestModSeq() uint64 { return max(s.im.HighestModSeq, 1) }

// Len is the number of messages.
func (s *Snapshot) Len() int { return s.im.Len() }

// At returns message i, counted from 0 in UID order.
func (s *Snapshot) At(i int) Message { return messageOf(s.im.Brief(i)) }

// SavedAt is when message i was put into this mailbox. Of one that was there
// before we had the mailbox the name of its file says so: everybody who stores
// a Maildir message begins it with that second. Zero when the name says nothing.
func (s *Snapshot) SavedAt(i int) time.Time {
	r := s.im.At(i)
	if r.Saved != 0 {
		return time.Unix(r.Saved, 0)
	}
	return maildir.SavedAt(r.Name)
}

// UID returns the UID of message i.
func (s *Snapshot) UID(i int) uint32 { return s.im.UID(i) }

// Base returns the permanent part of the name of message i's file.
func (s *Snapshot) Base(i int) string { return s.im.At(i).Name }

// Find returns the index of uid; when there is no such message, the index at
// which it would stand, and false.
func (s *Snapshot) Find(uid uint32) (i int, ok bool) { return s.im.Find(uid) }

// LastUID is the highest UID, 0 of an empty mailbox.
func (s *Snapshot) LastUID() uint32 { return s.im.LastUID() }

// UIDs returns the UIDs of all messages.
func (s *Snapshot) UIDs() []uint32 { return s.im.AppendUIDs(make([]uint32, 0, s.im.Len())) }

// SelectFlags sets the bits of the messages that have all these flags.
func (s *Snapshot) SelectFlags(with Flags, bits []uint64) { s.im.SelectFlags(uint8(with), bits) }

// SelectDates sets the bits in hits of the messages received at from or later
// and before to, in seconds since 1970, and takes those whose date is known out
// of open.
func (s *Snapshot) SelectDates(from, to int64, hits, open []uint64) {
	s.im.SelectDates(from, to, hits, open)
}

// SelectSizes does so by RFC822.SIZE.
func (s *Snapshot) SelectSizes(from, to int64, hits, open []uint64) {
	s.im.SelectSizes(from, to, hits, open)
}

// Range yields messages lo <= i < hi.
func (s *Snapshot) Range(lo, hi int) iter.Seq2[int, Message] {
	return func(yield func(int, Message) bool) {
		for i, r := range s.im.Range(max(lo, 0), hi) {
			if !yield(i, messageOf(r)) {
				return
			}
		}
	}
}

// ChangedSince yields the indices lo <= i < hi of messages whose MODSEQ is
// above modseq, at the cost of those that it yields.
func (s *Snapshot) ChangedSince(modseq uint64, lo, hi int) iter.Seq[int] {
	return s.im.ChangedSince(modseq, max(lo, 0), hi)
}

// Vanished returns which UIDs of set belonged to messages that were expunged
// with a MODSEQ above modseq. exact is false when that is not known any more:
// then it is all UIDs of set that no message has (RFC 7162 section 3.2.6).
func (s *Snapshot) Vanished(modseq uint64, set Set) (gone Set, exact bool) {
	if all, ok := s.im.Vanished(modseq); ok {
		return Set(all).intersect(set.Normalize()), true
	}
	return s.im.Absent(set), false
}

// All yields all messages.
func (s *Snapshot) All() iter.Seq2[int, Message] { return s.Range(0, s.Len()) }

// KeywordNames returns m's keywords. The slice is shared: do not change it.
func (s *Snapshot) KeywordNames(m Message) []string { return s.im.KeywordNames(m.keywords) }

// HasKeyword reports whether m has the keyword (ASCII case is ignored).
func (s *Snapshot) HasKeyword(m Message, name string) bool {
	return slices.ContainsFunc(s.KeywordNames(m), func(k string) bool { return strings.EqualFold(k, name) })
}

// Keywords returns the names of all keywords the mailbox knows (for FLAGS and
// PERMANENTFLAGS). The slice is shared.
func (s *Snapshot) Keywords() []string { return s.im.Keywords() }

// Recent is the number of messages that no session has claimed yet.
func (s *Snapshot) Recent() int { return s.im.Recent() }

// Count is the number of messages that have all flags of with and none of
// without.
func (s *Snapshot) Count(with, without Flags) int { return s.im.Count(uint8(with), uint8(without)) }

// FirstWithout returns the index of the first message that lacks all of
// flags, or -1: SELECT's UNSEEN.
func (s *Snapshot) FirstWithout(flags Flags) int { return s.im.FirstWithout(uint8(flags)) }

// VSize is the sum of RFC822.SIZE, and false when a size is unknown.
func (s *Snapshot) VSize() (int64, bool) {
	sum, unknown := s.im.VSize()
	return sum, unknown == 0
}

// Gone is a message that a newer snapshot does not have.
type Gone = index.Gone

// Delta is how one snapshot became another. It is computed from the chunks in
// which they differ, not from all messages.
type Delta struct {
	Expunged []Gone // ascending
	Changed  []int  // indices in the newer snapshot: flags, keywords or MODSEQ differ
	Appended int    // index in the newer snapshot of the first message that is new; its Len when there is none
	Keywords bool   // the mailbox knows new keywords
}

// Diff compares an older snapshot with a newer one of the same mailbox.
func Diff(older, newer *Snapshot) Delta {
	d := index.Diff(older.im, newer.im)
	return Delta{
		Expunged: d.Expunged, Changed: d.Changed, Appended: d.Appended,
		Keywords: len(newer.Keywords()) > len(older.Keywords()),
	}
}

// Range is the UIDs from First to Last, both included.
type Range = index.Range

// Set is a set of UIDs: ranges in ascending order that do not overlap. UIDs
// that no message has do no harm.
type Set []Range

// SetOf makes a set of UIDs in any order.
func SetOf(uids ...uint32) Set {
	s := make(Set, 0, len(uids))
	for _, u := range uids {
		s = append(s, Range{First: u, Last: u})
	}
	return s.Normalize()
}

// Contains reports whether uid is in the set.
func (s Set) Contains(uid uint32) bool {
	i, _ := slices.BinarySearchFunc(s, uid, func(r Range, uid uint32) int {
		if r.Last < uid {
			return -1
		}
		return 1
	})
	return i < len(s) && s[i].First <= uid
}

// Normalize sorts and joins ranges, turning those that run backwards round
// (RFC 3501: "2:4" and "4:2" are the same). Use it on ranges from outside.
func (s Set) Normalize() Set {
	ordered := true
	for i, r := range s {
		if r.First > r.Last || i > 0 && s[i-1].Last >= r.First-1 {
			ordered = false
			break
		}
	}
	if ordered {
		return s
	}
	t := slices.Clone(s)
	for i, r := range t {
		if r.First > r.Last {
			t[i] = Range{First: r.Last, Last: r.First}
		}
	}
	slices.SortFunc(t, func(a, b Range) int {
		switch {
		case a.First < b.First:
			return -1
		case a.First > b.First:
			return 1
		}
		return 0
	})
	out := t[:0]
	for _, r := range t {
		if n := len(out); n > 0 && uint64(r.First) <= uint64(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// intersect is what is in both of two normalized sets.
func (s Set) intersect(t Set) Set {
	var out Set
	for len(s) > 0 && len(t) > 0 {
		r := Range{First: max(s[0].First, t[0].First), Last: min(s[0].Last, t[0].Last)}
		if r.First <= r.Last {
			out = append(out, r)
		}
		if s[0].Last < t[0].Last {
			s = s[1:]
		} else {
			t = t[1:]
		}
	}
	return out
}

// add puts a UID above all others into the set.
func (s Set) add(uid uint32) Set {
	if n := len(s); n > 0 && s[n-1].Last == uid-1 {
		s[n-1].Last = uid
		return s
	}
	return append(s, Range{First: uid, Last: uid})
}

// each calls use for the messages of im that are in s, in order, without
// names, until it returns false. A nil set means all.
func (s Set) each(im *index.Image, use func(i int, r index.Record) bool) {
	if s == nil {
		s = Set{{First: 1, Last: 1<<32 - 1}}
	}
	for _, g := range s.Normalize() {
		lo, _ := im.Find(g.First)
		hi, ok := im.Find(g.Last)
		if ok {
			hi++
		}
		for i, r := range im.Range(lo, hi) {
			if r.UID != 0 && !use(i, r) {
				return
			}
		}
	}
}
