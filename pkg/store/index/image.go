package index

import (
	"iter"
	"sort"
	"sync/atomic"
)

// Meta is what an Image knows of the mailbox as a whole.
type Meta struct {
	UIDValidity   uint32
	UIDNext       uint32
	FirstRecent   uint32 // messages from this UID on are \Recent for the next session
	HighestModSeq uint64
}

// Image is an immutable view of a mailbox's index.
type Image struct {
	Meta
	n    int                  // messages
	body atomic.Pointer[list] // the same list in one form or the other
	tab  tables
	gone history
}

// list is an Image's chunks, or what is left of them while nobody looks.
type list struct {
	chunks []*chunk
	starts []uint32 // index of each chunk's first record, and the total
	packed *packed  // nil, or all there is
}

func newImage(m Meta, chunks []*chunk, tab tables, gone history) *Image {
	im := &Image{Meta: m, tab: tab, gone: gone}
	l := newList(chunks)
	im.n = int(l.starts[len(chunks)])
	im.body.Store(l)
	return im
}

func newList(chunks []*chunk) *list {
	l := &list{chunks: chunks, starts: make([]uint32, len(chunks)+1)}
	for i, c := range chunks {
		l.starts[i+1] = l.starts[i] + uint32(c.n)
	}
	return l
}

// list is the chunks to look at.
func (im *Image) list() *list {
	for {
		l := im.body.Load()
		if l.packed == nil {
			return l
		}
		im.body.CompareAndSwap(l, newList(l.packed.unpack()))
	}
}

// Len is the number of messages.
func (im *Image) Len() int { return im.n }

// chunkOf returns the chunk that holds message i.
func (l *list) chunkOf(i int) int {
	if n := len(l.chunks); n > 0 { // most have as many messages as the others
		if c := min(i*n/max(int(l.starts[n]), 1), n-1); int(l.starts[c]) <= i && i < int(l.starts[c+1]) {
			return c
		}
	}
	return sort.Search(len(l.chunks), func(c int) bool { return int(l.starts[c+1]) > i })
}

// At returns message i, 0 <= i < Len. Its UID is 0 when the record cannot be
// read from disk (any more).
func (im *Image) At(i int) Record {
	l := im.list()
	ci := l.chunkOf(i)
	c := l.chunks[ci]
	data, err := c.load()
	if err != nil {
		return Record{}
	}
	return c.at(data, i-int(l.starts[ci]), im.tab.hosts)
}

// Brief is At without the names, for those who only look at flags and sizes.
func (im *Image) Brief(i int) Record {
	l := im.list()
	ci := l.chunkOf(i)
	data := l.chunks[ci].records()
	if data == nil {
		return Record{}
	}
	return rec(data[(i-int(l.starts[ci]))*recordSize:]).get()
}

// UID returns the UID of message i, 0 as in At.
func (im *Image) UID(i int) uint32 {
	l := im.list()
	ci := l.chunkOf(i)
	data := l.chunks[ci].records()
	if data == nil {
		return 0
	}
	return rec(data[(i-int(l.starts[ci]))*recordSize:]).uid()
}

// LastUID is the highest UID, 0 when there is no message. It reads no record.
func (im *Image) LastUID() uint32 {
	l := im.list()
	if len(l.chunks) == 0 {
		return 0
	}
	return l.chunks[len(l.chunks)-1].last
}

// Find returns the index of uid; when there is no such message, the index at
// which it would stand, and false.
func (im *Image) Find(uid uint32) (int, bool) {
	l := im.list()
	ci := sort.Search(len(l.chunks), func(c int) bool { return l.chunks[c].last >= uid })
	if ci == len(l.chunks) {
		return im.Len(), false
	}
	c := l.chunks[ci]
	data := c.records()
	if data == nil || uid < c.first {
		return int(l.starts[ci]), false
	}
	i, ok := find(data, c.n, uid)
	return int(l.starts[ci]) + i, ok
}

// Range yields messages lo <= i < hi without their names.
func (im *Image) Range(lo, hi int) iter.Seq2[int, Record] {
	l := im.list()
	return func(yield func(int, Record) bool) {
		hi = min(hi, im.Len())
		if lo >= hi {
			return
		}
		for ci := l.chunkOf(lo); ci < len(l.chunks) && int(l.starts[ci]) < hi; ci++ {
			c, start := l.chunks[ci], int(l.starts[ci])
			data := c.records()
			for j := max(0, lo-start); j < c.n && start+j < hi; j++ {
				var x Record
				if data != nil {
					x = rec(data[j*recordSize : (j+1)*recordSize]).get()
				}
				if !yield(start+j, x) {
					return
				}
			}
		}
	}
}

// Named yields all messages with their names.
func (im *Image) Named() iter.Seq2[int, Record] {
	l := im.list()
	return func(yield func(int, Record) bool) {
		for ci, c := range l.chunks {
			data, err := c.load()
			for j := range c.n {
				var x Record
				if err == nil {
					x = c.at(data, j, im.tab.hosts)
				}
				if !yield(int(l.starts[ci])+j, x) {
					return
				}
			}
		}
	}
}

// Count is the number of messages that have all flags of with and none of
// without. Chunks whose summary answers are not looked at.
func (im *Image) Count(with, without uint8) int {
	l := im.list()
	n := 0
	for _, c := range l.chunks {
		switch {
		case c.or&with != with || c.and&without != 0:
			continue
		case c.and&with == with && c.or&without == 0:
			n += c.n
			continue
		case with == 0 && without == flagSeen:
			n += c.unseen
			continue
		case with == flagDeleted && without == 0:
			n += c.deleted
			continue
		}
		data := c.records()
		for i := 0; i < len(data); i += recordSize {
			if f := data[i+4]; f&with == with && f&without == 0 {
				n++
			}
		}
	}
	return n
}

// FirstWithout returns the index of the first message that lacks all of flags,
// or -1.
func (im *Image) FirstWithout(flags uint8) int {
	l := im.list()
	for ci, c := range l.chunks {
		switch {
		case c.and&flags != 0:
			continue
		case c.or&flags == 0:
			return int(l.starts[ci])
		}
		data := c.records()
		for i := 0; i < len(data); i += recordSize {
			if data[i+4]&flags == 0 {
				return int(l.starts[ci]) + i/recordSize
			}
		}
	}
	return -1
}

// ChangedSince yields the indices lo <= i < hi of messages whose MODSEQ is
// above modseq. Chunks in which all are older are not looked at.
func (im *Image) ChangedSince(modseq uint64, lo, hi int) iter.Seq[int] {
	l := im.list()
	return func(yield func(int) bool) {
		hi = min(hi, im.Len())
		if lo >= hi {
			return
		}
		for ci := l.chunkOf(lo); ci < len(l.chunks) && int(l.starts[ci]) < hi; ci++ {
			c, start := l.chunks[ci], int(l.starts[ci])
			if c.modseq <= modseq {
				continue
			}
			data := c.records()
			for j := max(0, lo-start); j*recordSize < len(data) && start+j < hi; j++ {
				if rec(data[j*recordSize:]).modseq() > modseq && !yield(start+j) {
					return
				}
			}
		}
	}
}

// VSize is the sum of the known sizes, and how many are unknown.
func (im *Image) VSize() (sum int64, unknown int) {
	l := im.list()
	for _, c := range l.chunks {
		sum += c.vsize
		unknown += c.unsized
	}
	return sum, unknown
}

// Dirty is the number of messages whose files are to be renamed.
func (im *Image) Dirty() int {
	l := im.list()
	n := 0
	for _, c := range l.chunks {
		n += c.dirty
	}
	return n
}

// In yields, with names, the messages from UID first on that are in a state:
// InNew or Dirty. Chunks without any are not looked at.
func (im *Image) In(state State, first uint32) iter.Seq[Record] {
	l := im.list()
	return func(yield func(Record) bool) {
		for _, c := range l.chunks {
			if c.last < first || state == Dirty && c.dirty == 0 || state == InNew && c.fresh == 0 {
				continue
			}
			data, err := c.load()
			if err != nil {
				continue
			}
			for i := range c.n {
				r := rec(data[i*recordSize : (i+1)*recordSize])
				if r.state()&state != 0 && r.uid() >= first && !yield(c.at(data, i, im.tab.hosts)) {
					return
				}
			}
		}
	}
}

// Recent is the number of messages from FirstRecent on.
func (im *Image) Recent() int {
	i, _ := im.Find(im.FirstRecent)
	return im.Len() - i
}

// Keywords are the names of all keywords that the mailbox knows. Do not change
// the slice.
func (im *Image) Keywords() []string { return im.tab.keywords }

// KeywordNames are the names in a record's keyword set. Do not change the
// slice.
func (im *Image) KeywordNames(set uint32) []string {
	if int(set) >= len(im.tab.names) {
		return nil
	}
	return im.tab.names[set]
}

// parts yields all that is stored.
func (im *Image) parts() iter.Seq[*stored] { return im.among(im.list().chunks) }

// loaded yields what may be in memory.
func (im *Image) loaded() iter.Seq[*stored] {
	l := im.body.Load()
	if l.packed != nil {
		return im.among(l.packed.whole)
	}
	return im.among(l.chunks)
}

// among yields what is stored of some chunks, and of the history.
func (im *Image) among(chunks []*chunk) iter.Seq[*stored] {
	return func(yield func(*stored) bool) {
		for _, c := range chunks {
			if !yield(&c.stored) {
				return
			}
		}
		for _, b := range im.gone.blocks {
			if !yield(&b.stored) {
				return
			}
		}
	}
}

// Evict drops from memory what can be read from disk again, and packs what is
// left of the chunks. It is for the writer while no checkpoint runs.
func (im *Image) Evict() {
	for p := range im.loaded() {
		p.evict()
	}
	if l := im.body.Load(); len(l.chunks) > 0 {
		im.body.CompareAndSwap(l, &list{packed: pack(l.chunks)})
	}
}

// Unplaced is the number of bytes that Evict cannot drop before the next
// checkpoint.
func (im *Image) Unplaced() int {
	n := 0
	for p := range im.loaded() {
		_, unplaced := p.resident()
		n += unplaced
	}
	return n
}

// Resident is the number of bytes of records, names and history in memory.
func (im *Image) Resident() int {
	n := 0
	for p := range im.loaded() {
		all, _ := p.resident()
		n += all
	}
	return n
}

// Gone is a message that a newer Image does not have.
type Gone struct {
	UID   uint32
	Index int // in the older Image
}

// Delta is how one Image became another.
type Delta struct {
	Expunged []Gone // ascending
	Changed  []int  // indices in the newer Image: flags, keywords or MODSEQ differ
	Appended int    // index in the newer Image of the first new message, or its Len
}

// cursor walks over the records of an Image.
type cursor struct {
	*list
	ci   int
	pos  int
	data []byte
}

func (c *cursor) done() bool { return c.ci >= len(c.chunks) }

func (c *cursor) index() int { return int(c.starts[c.ci]) + c.pos }

func (c *cursor) rec() rec {
	if c.data == nil {
		if c.data = c.chunks[c.ci].records(); c.data == nil {
			c.data = make([]byte, c.chunks[c.ci].n*recordSize) // unreadable: UID 0
		}
	}
	return rec(c.data[c.pos*recordSize : (c.pos+1)*recordSize])
}

func (c *cursor) next() {
	if c.pos++; c.pos >= c.chunks[c.ci].n {
		c.nextChunk()
	}
}

func (c *cursor) nextChunk() { c.ci, c.pos, c.data = c.ci+1, 0, nil }

// Diff compares an older Image of a mailbox with a newer one. Chunks that both
// share are skipped.
func Diff(older, newer *Image) Delta {
	d := Delta{Appended: newer.Len()}
	a, b := cursor{list: older.list()}, cursor{list: newer.list()}
	for !a.done() && !b.done() {
		if a.pos == 0 && b.pos == 0 && same(a.chunks[a.ci], b.chunks[b.ci]) {
			a.nextChunk()
			b.nextChunk()
			continue
		}
		x, y := a.rec(), b.rec()
		switch {
		case x.uid() < y.uid():
			d.Expunged = append(d.Expunged, Gone{x.uid(), a.index()})
			a.next()
		case x.uid() > y.uid():
			d.Appended = min(d.Appended, b.index()) // not between older ones; UIDs only grow
			b.next()
		default:
			if x.flags() != y.flags() || x.set() != y.set() || x.modseq() != y.modseq() {
				d.Changed = append(d.Changed, b.index())
			}
			a.next()
			b.next()
		}
	}
	for ; !a.done(); a.next() {
		d.Expunged = append(d.Expunged, Gone{a.rec().uid(), a.index()})
	}
	if !b.done() {
		d.Appended = min(d.Appended, b.index())
	}
	return d
}
