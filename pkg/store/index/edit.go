package index

import (
	"slices"
	"sort"
)

// Range is the UIDs from First to Last, both included.
type Range struct{ First, Last uint32 }

// editor makes a new Image out of an old one. Chunks are copied when they are
// first touched.
type editor struct {
	meta    Meta
	chunks  []*chunk
	own     map[int][]byte // data of the chunks that are copies, by position
	counts  map[int]int    // their number of records, where it changed
	tab     *interner
	add     []Record      // not yet in a chunk
	making  chan []*chunk // of what was handed over, up to UID handed
	handed  uint32
	spare   []Record
	expunge []Range
	gone    history
	err     error
}

func newEditor(im *Image, tab *interner) *editor {
	return &editor{
		meta: im.Meta, chunks: slices.Clone(im.list().chunks), tab: tab, gone: im.gone,
		own: map[int][]byte{}, counts: map[int]int{},
	}
}

// count is the number of records in chunk ci as it is now.
func (e *editor) count(ci int) int {
	if n, ok := e.counts[ci]; ok {
		return n
	}
	return e.chunks[ci].n
}

// data returns a chunk's data for reading.
func (e *editor) data(ci int) []byte {
	if b, ok := e.own[ci]; ok {
		return b
	}
	b, err := e.chunks[ci].load()
	if err != nil && e.err == nil {
		e.err = err
	}
	return b
}

// mutable returns a chunk's data for writing.
func (e *editor) mutable(ci int) []byte {
	if b, ok := e.own[ci]; ok {
		return b
	}
	b := e.data(ci)
	if b == nil {
		return nil
	}
	b = append(make([]byte, 0, len(b)+recordSize), b...)
	e.own[ci] = b
	return b
}

// each calls change for the records of a UID range. change may write the fixed
// fields of the record but its UID.
func (e *editor) each(r Range, change func(rec)) {
	e.flush()
	lo := sort.Search(len(e.chunks), func(c int) bool { return e.chunks[c].last >= r.First })
	for ci := lo; ci < len(e.chunks) && e.chunks[ci].first <= r.Last; ci++ {
		data := e.data(ci)
		if data == nil {
			return
		}
		n := e.count(ci)
		i, _ := find(data, n, r.First)
		if i >= n || rec(data[i*recordSize:]).uid() > r.Last {
			continue
		}
		data = e.mutable(ci)
		for ; i < n; i++ {
			x := rec(data[i*recordSize : (i+1)*recordSize])
			if x.uid() > r.Last {
				break
			}
			change(x)
		}
	}
}

// rename gives one message's record another name entry.
func (e *editor) rename(uid uint32, change func(*Record)) {
	e.flush()
	ci := sort.Search(len(e.chunks), func(c int) bool { return e.chunks[c].last >= uid })
	if ci == len(e.chunks) {
		return
	}
	data := e.mutable(ci)
	if data == nil {
		return
	}
	n := e.count(ci)
	i, ok := find(data, n, uid)
	if !ok {
		return
	}
	at := chunk{summary: summary{n: n}}
	x := at.at(data, i, e.tab.hosts)
	change(&x)
	r := rec(data[i*recordSize : (i+1)*recordSize])
	r.put(&x)
	r.setNameOff(uint32(len(data) - n*recordSize))
	data = appendName(data, &x, e.tab)
	e.own[ci] = data
	if arena := len(data) - n*recordSize; arena > n*2*maxNameLen || arena > maxArena/2 {
		e.repack(ci)
	}
}

// repack writes a chunk's names anew, without those no record refers to.
func (e *editor) repack(ci int) {
	at := chunk{summary: summary{n: e.count(ci)}}
	recs := make([]Record, at.n)
	for i := range recs {
		recs[i] = at.at(e.own[ci], i, e.tab.hosts)
	}
	if packed := chop(recs, e.tab); len(packed) == 1 {
		e.own[ci] = *packed[0].data.Load()
	}
}

// hand has chunks made of the appended records while more come. The last chunk
// that there was is full, or there was none.
func (e *editor) hand() {
	e.settle()
	add := e.add
	e.add, e.spare = e.spare[:0], add // of which chunks hold copies when it is its turn
	e.making, e.handed = make(chan []*chunk, 1), add[len(add)-1].UID
	go func() { e.making <- chop(add, e.tab) }()
}

// settle waits for those chunks.
func (e *editor) settle() {
	if e.making != nil {
		e.chunks = append(e.chunks, <-e.making...)
		e.making = nil
	}
}

// flush puts appended records into chunks.
func (e *editor) flush() {
	e.settle()
	if len(e.add) == 0 {
		return
	}
	add := e.add
	e.add = e.add[:0] // chunks hold copies
	if last := len(e.chunks) - 1; last >= 0 && e.count(last) < maxChunk {
		n := e.count(last)
		k := min(len(add), maxChunk-n)
		if data := e.data(last); data != nil {
			e.own[last] = grow(data, n, add[:k], e.tab)
			e.counts[last] = n + k
			c := &chunk{}
			c.n, c.first, c.last = n+k, e.chunks[last].first, add[k-1].UID
			e.chunks[last] = c // only its range counts until done
			add = add[k:]
		}
	}
	e.chunks = append(e.chunks, chop(add, e.tab)...)
}

// grow makes chunk data of n records and more.
func grow(data []byte, n int, add []Record, tab *interner) []byte {
	arena := data[n*recordSize:]
	out := make([]byte, (n+len(add))*recordSize, len(data)+len(add)*(recordSize+64))
	copy(out, data[:n*recordSize])
	out = append(out, arena...)
	for i := range add {
		r := rec(out[(n+i)*recordSize : (n+i+1)*recordSize])
		r.put(&add[i])
		r.setNameOff(uint32(len(out) - (n+len(add))*recordSize))
		out = appendName(out, &add[i], tab)
	}
	return out
}

// done makes the new Image.
func (e *editor) done() (*Image, error) {
	e.flush()
	e.remove()
	if e.err != nil {
		return nil, e.err
	}
	out := make([]*chunk, 0, len(e.chunks))
	for ci, c := range e.chunks {
		if data, ok := e.own[ci]; ok {
			if e.count(ci) == 0 {
				continue
			}
			c = newChunk(data, e.count(ci))
		}
		if k := len(out) - 1; k >= 0 && out[k].n+c.n <= maxChunk/2 {
			joined, err := join(out[k], c)
			if err != nil {
				return nil, err
			}
			out[k] = joined
			continue
		}
		out = append(out, c)
	}
	return newImage(e.meta, out, e.tab.tables, e.gone), nil
}

// join makes one chunk of two small ones.
func join(a, b *chunk) (*chunk, error) {
	x, err := a.load()
	if err != nil {
		return nil, err
	}
	y, err := b.load()
	if err != nil {
		return nil, err
	}
	ra, rb := a.n*recordSize, b.n*recordSize
	out := make([]byte, 0, len(x)+len(y))
	out = append(append(out, x[:ra]...), y[:rb]...)
	out = append(append(out, x[ra:]...), y[rb:]...)
	for i := range b.n {
		r := rec(out[ra+i*recordSize : ra+(i+1)*recordSize])
		r.setNameOff(r.nameOff() + uint32(len(x)-ra))
	}
	return newChunk(out, a.n+b.n), nil
}

// remove takes the expunged records out. Names stay in the chunk until it is
// repacked.
func (e *editor) remove() {
	for _, g := range e.expunge {
		lo := sort.Search(len(e.chunks), func(c int) bool { return e.chunks[c].last >= g.First })
		for ci := lo; ci < len(e.chunks) && e.chunks[ci].first <= g.Last; ci++ {
			if g.First <= e.chunks[ci].first && e.chunks[ci].last <= g.Last {
				e.own[ci], e.counts[ci] = nil, 0
				continue
			}
			data := e.data(ci)
			if data == nil {
				if e.err != nil {
					return
				}
				continue // emptied by an earlier range
			}
			e.cut(ci, data, g)
		}
	}
	for ci, n := range e.counts {
		if data := e.own[ci]; n > 0 && len(data)-n*recordSize > n*2*maxNameLen {
			e.repack(ci)
		}
	}
}

// cut removes the records of g from one chunk.
func (e *editor) cut(ci int, data []byte, g Range) {
	n := e.count(ci)
	i, _ := find(data, n, g.First)
	j := i
	for j < n && rec(data[j*recordSize:]).uid() <= g.Last {
		j++
	}
	if i == j {
		return
	}
	out := make([]byte, 0, len(data))
	out = append(out, data[:i*recordSize]...)
	out = append(out, data[j*recordSize:]...)
	e.own[ci], e.counts[ci] = out, n-(j-i)
	c := &chunk{}
	c.n, c.first, c.last = n-(j-i), e.chunks[ci].first, e.chunks[ci].last // a range that holds the rest
	e.chunks[ci] = c
}
