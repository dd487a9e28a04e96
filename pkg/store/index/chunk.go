package index

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// maxChunk is the number of records in a full chunk: what one change copies
// (some 30 KB) against what every change copies of the chunk list.
const maxChunk = 512

// maxArena caps the names of a chunk: three bytes address them.
const maxArena = 1<<24 - 1

// summary is what is known of a chunk without its records.
type summary struct {
	n           int
	first, last uint32 // UIDs
	or, and     uint8  // flags of all records together
	unseen      int    // without \Seen
	deleted     int    // with \Deleted
	vsize       int64  // sum of the known sizes
	unsized     int    // records whose VSize is unknown
	dirty       int    // records that are Dirty
	fresh       int    // records that are InNew
	modseq      uint64 // no MODSEQ is above it
}

// chunk is an immutable run of records: n records of 48 bytes, then their
// name entries.
type chunk struct {
	summary
	stored
}

// stored is immutable bytes that are in memory, in a base file, or in both.
type stored struct {
	data atomic.Pointer[[]byte]

	// Where the data can be read again; nil while it is only in memory.
	place atomic.Pointer[place]
}

// read returns the bytes, from disk if it must. It does not keep them.
func (s *stored) read() ([]byte, error) {
	if p := s.data.Load(); p != nil {
		return *p, nil
	}
	at := s.place.Load()
	data := make([]byte, at.size)
	if err := at.src.readAt(data, at.off); err != nil {
		return nil, damage(at.src.name, at.off, "reading a part: %v", err)
	}
	if crc32.Checksum(data, castagnoli) != at.crc {
		return nil, damage(at.src.name, at.off, "checksum of a part")
	}
	return data, nil
}

// evict drops from memory what can be read from disk again.
func (s *stored) evict() {
	if s.place.Load() != nil {
		s.data.Store(nil)
	}
}

// resident is the number of bytes in memory, and how many of them evict
// cannot drop before the next checkpoint.
func (s *stored) resident() (all, unplaced int) {
	p := s.data.Load()
	if p == nil {
		return 0, 0
	}
	if s.place.Load() == nil {
		unplaced = len(*p)
	}
	return len(*p), unplaced
}

// place is where in a base file something is.
type place struct {
	src  *source
	off  int64
	size int
	crc  uint32
}

// append writes a place as it is in a trailer.
func (p *place) append(dst []byte) []byte {
	for _, v := range [...]uint64{uint64(p.off), uint64(p.size), uint64(p.crc)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

// source is a base file that is referred to. While nobody looks at it, it need
// not be open. Old Images may hold on to a base that was replaced: it stays
// open then, and is closed by the garbage collector.
type source struct {
	fs   disk.FS
	name string

	mu   sync.RWMutex
	file disk.File // nil: to be opened
	kept bool      // the file may have lost its name
}

// readAt fills data, or fails.
func (s *source) readAt(data []byte, off int64) error {
	s.mu.RLock()
	for s.file == nil {
		s.mu.RUnlock()
		if err := s.open(false); err != nil {
			return err
		}
		s.mu.RLock()
	}
	defer s.mu.RUnlock()
	_, err := s.file.ReadAt(data, off)
	return err
}

// open opens the file, if it is closed; with keep it is never closed again.
func (s *source) open(keep bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		f, err := s.fs.OpenFile(s.name, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		s.file = f
	}
	s.kept = s.kept || keep
	return nil
}

// keep is called before another base takes the name.
func (s *source) keep() error {
	if s == nil {
		return nil
	}
	return s.open(true)
}

// rest closes the file until somebody reads.
func (s *source) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil && !s.kept {
		_ = s.file.Close() // it was only read
		s.file = nil
	}
}

// The flags that summaries count, as in package maildir.
const (
	flagSeen    = 1 << 4
	flagDeleted = 1 << 5
)

// newChunk makes a chunk around data, which holds n records.
func newChunk(data []byte, n int) *chunk {
	c := &chunk{}
	c.data.Store(&data)
	c.n = n
	c.and = 0xff
	for i := range n {
		c.count(rec(data[i*recordSize : (i+1)*recordSize]))
	}
	if n > 0 {
		c.first, c.last = rec(data).uid(), rec(data[(n-1)*recordSize:]).uid()
	}
	return c
}

func (s *summary) count(r rec) {
	f := r.flags()
	s.or |= f
	s.and &= f
	s.modseq = max(s.modseq, r.modseq())
	if f&flagSeen == 0 {
		s.unseen++
	}
	if f&flagDeleted != 0 {
		s.deleted++
	}
	if r.state()&Dirty != 0 {
		s.dirty++
	}
	if r.state()&InNew != 0 {
		s.fresh++
	}
	if v := r.vsize(); v >= 0 {
		s.vsize += v
	} else {
		s.unsized++
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// load returns the chunk's data, from disk if it must.
func (c *chunk) load() ([]byte, error) {
	if p := c.data.Load(); p != nil {
		return *p, nil
	}
	data, err := c.read()
	if err != nil {
		return nil, err
	}
	if err := c.check(data, c.place.Load()); err != nil {
		return nil, err
	}
	c.data.Store(&data)
	return data, nil
}

// check proves that the records are those of the summary: UIDs grow and lie in
// its range. The rest cannot mislead more than a wrong value.
func (c *chunk) check(data []byte, at *place) error {
	last := uint32(0)
	for i := range c.n {
		uid := rec(data[i*recordSize:]).uid()
		if uid <= last || i == 0 && uid != c.first || i == c.n-1 && uid != c.last {
			return damage(at.src.name, at.off+int64(i)*recordSize, "UID %d is out of order", uid)
		}
		last = uid
	}
	return nil
}

// records returns the chunk's records, none when they cannot be read.
func (c *chunk) records() []byte {
	data, err := c.load()
	if err != nil {
		return nil
	}
	return data[:c.n*recordSize]
}

// at decodes record i with its name.
func (c *chunk) at(data []byte, i int, hosts []string) Record {
	r := rec(data[i*recordSize : (i+1)*recordSize])
	x := r.get()
	if arena := data[c.n*recordSize:]; int(r.nameOff()) < len(arena) {
		x.Name, x.Info = readName(arena[r.nameOff():], x.Size, x.VSize, hosts)
	}
	return x
}

// find returns the position of uid, or where it would be.
func find(data []byte, n int, uid uint32) (int, bool) {
	if n > 0 { // most chunks have no gaps
		first := binary.LittleEndian.Uint32(data)
		if i := int(uid - first); uid >= first && i < n && binary.LittleEndian.Uint32(data[i*recordSize:]) == uid {
			return i, true
		}
	}
	i := sort.Search(n, func(i int) bool {
		return binary.LittleEndian.Uint32(data[i*recordSize:]) >= uid
	})
	return i, i < n && binary.LittleEndian.Uint32(data[i*recordSize:]) == uid
}

// same reports whether two chunks hold the same: they are one, or were until
// they were packed.
func same(a, b *chunk) bool {
	if a == b {
		return true
	}
	x, y := a.place.Load(), b.place.Load()
	return x != nil && y != nil && x.src == y.src && x.off == y.off
}

// packed is a list of chunks whose records are not in memory, in a tenth of
// the space: summary and place of each as in a trailer, with the number of the
// source plus 1 before the place, or 0 for a chunk that is kept as it is.
type packed struct {
	text  []byte
	srcs  []*source
	whole []*chunk
}

func pack(chunks []*chunk) *packed {
	p := &packed{text: make([]byte, 0, 40*len(chunks))}
	for _, c := range chunks {
		at := c.place.Load()
		if at == nil {
			p.text = append(p.text, 0)
			p.whole = append(p.whole, c)
			continue
		}
		src := slices.Index(p.srcs, at.src)
		if src < 0 {
			src = len(p.srcs)
			p.srcs = append(p.srcs, at.src)
		}
		p.text = binary.AppendUvarint(p.text, uint64(src)+1)
		p.text = at.append(c.summary.append(p.text))
	}
	p.text = slices.Clip(append([]byte(nil), p.text...))
	return p
}

func (p *packed) unpack() []*chunk {
	var out []*chunk
	whole := p.whole
	for d := (decoder{b: p.text}); len(d.b) > 0; {
		src := d.uint()
		if src == 0 {
			out, whole = append(out, whole[0]), whole[1:]
			continue
		}
		c := &chunk{}
		c.parse(&d, version)
		c.place.Store(&place{src: p.srcs[src-1], off: int64(d.uint()), size: int(d.uint()), crc: uint32(d.uint())})
		out = append(out, c)
	}
	return out
}

// chop makes chunks of records.
func chop(recs []Record, t *interner) []*chunk {
	var out []*chunk
	for len(recs) > 0 {
		n := min(len(recs), maxChunk)
		data := make([]byte, n*recordSize, n*(recordSize+16))
		for i := range recs[:n] {
			r := rec(data[i*recordSize : (i+1)*recordSize])
			r.put(&recs[i])
			r.setNameOff(uint32(len(data) - n*recordSize))
			data = appendName(data, &recs[i], t)
		}
		out = append(out, newChunk(data, n))
		recs = recs[n:]
	}
	return out
}
