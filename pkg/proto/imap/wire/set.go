package wire

import (
	"cmp"
	"slices"
	"strconv"

	imap "github.com/emersion/go-imap/v2"
)

// Star is "*" in a Set: the largest number in use.
const Star = 0

// Range is From:To, in either order before Resolve.
type Range struct{ From, To uint32 }

// Set is a sequence-set (RFC 3501 section 9), of message numbers or UIDs.
type Set []Range

// Saved is "$", the result of a search that was saved (RFC 5182 section 3): a
// set that is empty, but not nil.
func Saved() Set { return Set{} }

// IsSaved reports whether a set that was read is "$".
func (s Set) IsSaved() bool { return s != nil && len(s) == 0 }

// Set reads a sequence-set, or "$".
func (r *Reader) Set() Set {
	if r.Take('$') {
		return Saved()
	}
	var s Set
	for r.Ok() {
		if len(s) == r.lim.Count {
			r.Fail("Too many ranges in a message set")
			return nil
		}
		from := r.setNumber()
		to := from
		if r.Take(':') {
			to = r.setNumber()
		}
		s = append(s, Range{from, to})
		if !r.Take(',') {
			return s
		}
	}
	return nil
}

func (r *Reader) setNumber() uint32 {
	if r.Take('*') {
		return Star
	}
	n := r.Number()
	if n == 0 {
		r.Fail("Message number 0 does not exist")
	}
	return n
}

// Resolve returns the set with "*" standing for last, every range in
// ascending order, ranges sorted and neither overlapping nor adjacent.
func (s Set) Resolve(last uint32) Set {
	out := make(Set, 0, len(s))
	for _, g := range s {
		if g.From == Star {
			g.From = last
		}
		if g.To == Star {
			g.To = last
		}
		if g.From > g.To {
			g.From, g.To = g.To, g.From
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b Range) int { return cmp.Compare(a.From, b.From) })
	n := 0
	for _, g := range out {
		switch {
		case n > 0 && (out[n-1].To == 1<<32-1 || g.From <= out[n-1].To+1):
			out[n-1].To = max(out[n-1].To, g.To)
		default:
			out[n] = g
			n++
		}
	}
	return out[:n]
}

// Add appends n to a resolved set; n is larger than every member.
func (s *Set) Add(n uint32) {
	if l := len(*s); l > 0 && (*s)[l-1].To+1 == n {
		(*s)[l-1].To = n
		return
	}
	*s = append(*s, Range{n, n})
}

// Contains reports whether n is in the resolved set.
func (s Set) Contains(n uint32) bool {
	i, found := slices.BinarySearchFunc(s, n, func(g Range, n uint32) int {
		switch {
		case g.To < n:
			return -1
		case g.From > n:
			return 1
		}
		return 0
	})
	return found && i < len(s)
}

// Len is the number of members of a resolved set.
func (s Set) Len() int {
	n := 0
	for _, g := range s {
		n += int(g.To-g.From) + 1
	}
	return n
}

// UIDs is the resolved set in go-imap's type.
func (s Set) UIDs() imap.UIDSet {
	out := make(imap.UIDSet, len(s))
	for i, g := range s {
		out[i] = imap.UIDRange{Start: imap.UID(g.From), Stop: imap.UID(g.To)}
	}
	return out
}

// FromUIDs is the opposite of UIDs.
func FromUIDs(u imap.UIDSet) Set {
	out := make(Set, len(u))
	for i, g := range u {
		out[i] = Range{uint32(g.Start), uint32(g.Stop)}
	}
	return out
}

// Append appends the set as IMAP text.
func (s Set) Append(b []byte) []byte {
	num := func(n uint32) {
		if n == Star {
			b = append(b, '*')
			return
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	for i, g := range s {
		if i > 0 {
			b = append(b, ',')
		}
		num(g.From)
		if g.To != g.From {
			b = append(b, ':')
			num(g.To)
		}
	}
	return b
}

// String is the set as IMAP text.
func (s Set) String() string { return string(s.Append(nil)) }
