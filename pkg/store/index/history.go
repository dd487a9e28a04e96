package index

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Caps of the history of one mailbox: some 400 KB on disk at most, next to
// nothing in memory while nobody asks.
const (
	maxHistory = 64 << 10 // ranges of UIDs
	maxBlock   = 1 << 10  // ranges in a block before the next one is begun
	maxEvent   = 1 << 10  // ranges of one expunge; more are told coarsely
)

// history is which UIDs were expunged, and when: what RFC 7162 section 5.3
// describes. It is immutable; add makes a new one that shares all blocks but
// the last.
type history struct {
	// since is the MODSEQ from which on it is complete: each expunge with a
	// MODSEQ above it is in a block.
	since  uint64
	blocks []*block // oldest first
}

// block is a run of events in ascending order of MODSEQ. Each is its MODSEQ
// less that of the event before (of the first: less block.first), twice the
// number of its ranges, plus 1 when they are coarse, and the ranges as in the
// log. All numbers are varints.
type block struct {
	n           int    // ranges
	first, last uint64 // MODSEQs
	stored
}

func (h history) len() int {
	n := 0
	for _, b := range h.blocks {
		n += b.n
	}
	return n
}

// add appends an event. Where more would be kept than the caps allow, the
// oldest is forgotten.
func (h history) add(modseq uint64, set []Range) history {
	if len(set) == 0 {
		return h
	}
	coarse := uint64(0)
	if len(set) > maxEvent {
		set, coarse = coarsen(set), 1
	}
	blocks := slices.Clone(h.blocks)
	b, data := &block{first: modseq, last: modseq}, []byte(nil)
	if k := len(blocks) - 1; k >= 0 {
		last := blocks[k]
		modseq = max(modseq, last.last)
		b.first, b.last = modseq, modseq
		if old, err := last.read(); err == nil && last.n+len(set) <= maxBlock {
			// What lies behind the last block's bytes is nobody's: there is one
			// writer, and older images do not look beyond their end.
			b, data = &block{n: last.n, first: last.first, last: last.last}, old
			blocks = blocks[:k]
		}
	}
	data = binary.AppendUvarint(data, modseq-b.last)
	data = binary.AppendUvarint(data, uint64(len(set))<<1|coarse)
	data = appendRanges(data, set)
	b.n += len(set)
	b.last = modseq
	b.data.Store(&data)
	out := history{since: h.since, blocks: append(blocks, b)}
	for out.len() > maxHistory {
		out.since = out.blocks[0].last
		out.blocks = out.blocks[1:]
	}
	return out
}

// coarsen joins neighbours until there are few enough ranges. What lies between
// them was not expunged in this event, so who reads it looks at what is there.
func coarsen(set []Range) []Range {
	each := (len(set) + maxEvent - 1) / maxEvent
	out := make([]Range, 0, maxEvent)
	for len(set) > 0 {
		n := min(each, len(set))
		out = append(out, Range{set[0].First, set[n-1].Last})
		set = set[n:]
	}
	return out
}

// Vanished returns the UIDs of messages that were expunged with a MODSEQ above
// modseq, as ranges in ascending order that do not overlap. Some that were
// expunged before may be among them, but none that the Image has. ok is false
// when the history does not reach back so far.
func (im *Image) Vanished(modseq uint64) (gone []Range, ok bool) {
	if modseq < im.gone.since {
		return nil, false
	}
	var coarse []Range
	for _, b := range im.gone.blocks {
		if b.last <= modseq {
			continue
		}
		data, err := b.read()
		if err != nil || !b.each(data, modseq, func(r Range, exact bool) {
			if exact {
				gone = append(gone, r)
			} else {
				coarse = append(coarse, r)
			}
		}) {
			return nil, false
		}
	}
	if len(coarse) > 0 {
		gone = append(gone, im.Absent(coarse)...)
	}
	return joined(gone), true
}

// each calls use for the ranges of events above modseq. It is false when the
// data makes no sense.
func (b *block) each(data []byte, modseq uint64, use func(r Range, exact bool)) bool {
	d := decoder{b: data}
	at := b.first
	for len(d.b) > 0 && !d.bad {
		at += d.uint()
		n := d.uint()
		d.ranges(n>>1, func(r Range) {
			if at > modseq {
				use(r, n&1 == 0)
			}
		})
	}
	return !d.bad
}

// Absent returns, of the UIDs of set (ranges in any order), those below
// UIDNEXT that no message has.
func (im *Image) Absent(set []Range) []Range {
	var out []Range
	for _, g := range joined(slices.Clone(set)) {
		if im.UIDNext > 0 {
			out = append(out, im.Unused(max(g.First, 1), min(g.Last, im.UIDNext-1))...)
		}
	}
	return out
}

// Unused returns the UIDs from first to last that no message has.
func (im *Image) Unused(first, last uint32) []Range {
	var out []Range
	next := uint64(first)
	lo, _ := im.Find(first)
	for _, r := range im.Range(lo, im.Len()) {
		if r.UID > last {
			break
		}
		if uint64(r.UID) > next {
			out = append(out, Range{uint32(next), r.UID - 1})
		}
		next = max(next, uint64(r.UID)+1)
	}
	if next <= uint64(last) {
		out = append(out, Range{uint32(next), last})
	}
	return out
}

// joined sorts ranges and joins those that touch, in place.
func joined(set []Range) []Range {
	slices.SortFunc(set, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := set[:0]
	for _, r := range set {
		if k := len(out) - 1; k >= 0 && uint64(r.First) <= uint64(out[k].Last)+1 {
			out[k].Last = max(out[k].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// history reads the list of blocks in a trailer.
func (t *trailerReader) history() history {
	h := history{since: t.d.uint()}
	last := uint64(0)
	for n := t.d.uint(); n > 0 && !t.d.bad; n-- {
		b := &block{}
		count := t.d.uint()
		b.first, b.last = t.d.uint(), t.d.uint()
		if count == 0 || count > maxBlock || b.first < last || b.last < b.first || len(h.blocks) > maxHistory {
			t.d.fail()
			return h
		}
		// An event takes 20 bytes at most and has a range, which takes 10.
		b.n = int(count)
		b.place.Store(t.place(4, count*30))
		last = b.last
		h.blocks = append(h.blocks, b)
	}
	return h
}
