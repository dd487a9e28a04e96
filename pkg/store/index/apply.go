package index

import (
	"maps"
	"math"
	"sort"
)

// extra is what the index keeps besides the Image; the writer owns it.
type extra struct {
	reserved uint64
	stamps   Stamps
	buried   map[uint32]string // files to remove, by UID
	owner    string            // the folder's directory
	clean    bool              // the last operation closed the index
}

func (x extra) clone() extra {
	x.buried = maps.Clone(x.buried)
	return x
}

// player applies the operations of frames.
type player struct {
	d  decoder
	e  *editor
	x  *extra
	in *interner

	filling bool // an index that had nothing in it
}

// apply returns the Image after one frame. x is changed. An operation that
// makes no sense is damage; the caller knows the place.
func apply(im *Image, x *extra, in *interner, payload []byte) (*Image, error) {
	p := player{e: newEditor(im, in), x: x, in: in}
	if err := p.run(payload); err != nil {
		return nil, err
	}
	return p.e.done()
}

func (p *player) run(payload []byte) error {
	p.d = decoder{b: payload}
	for len(p.d.b) > 0 {
		if !p.step(p.d.byte()) || p.d.bad {
			return errBadOp
		}
		if p.e.err != nil {
			return p.e.err
		}
	}
	return nil
}

func (p *player) step(code byte) bool {
	m := &p.e.meta
	p.x.clean = false
	switch code {
	case opReserve:
		p.x.reserved = max(p.x.reserved, p.d.uint())
	case opUIDNext:
		m.UIDNext = max(m.UIDNext, p.d.uid())
	case opRecent:
		m.FirstRecent = max(m.FirstRecent, p.d.uid())
	case opKeyword:
		id, name := p.d.uint(), p.d.text(maxText)
		if at, ok := p.in.keyword(name); !ok || uint64(at) != id {
			return false
		}
	case opFlags:
		p.flags()
	case opAppend:
		p.append()
	case opExpunge:
		p.expunge()
	case opFile:
		p.file()
	case opKnown:
		p.known()
	case opCached:
		uid, off := p.d.uid(), int64(p.d.uint()&(1<<39-1))
		p.e.each(Range{uid, uid}, func(r rec) { r.setCache(off) })
	case opUncached:
		p.e.each(Range{1, 1<<32 - 1}, func(r rec) { r.setCache(0) })
	case opStamps:
		p.stamps()
	case opBury:
		uid := p.d.uid()
		if name := p.d.text(maxNameLen); !p.d.bad {
			p.x.buried[uid] = name
		}
	case opBuried:
		delete(p.x.buried, p.d.uid())
	case opPending:
		p.pending()
	case opDirty:
		p.ranges(func(r Range) {
			p.e.each(r, func(x rec) { x.setState(x.state() | Dirty) })
		})
	case opSaved:
		at := p.d.uint()
		p.ranges(func(r Range) {
			p.e.each(r, func(x rec) { x.setSaved(int64(min(at, math.MaxUint32))) })
		})
	case opOwner:
		p.x.owner = p.d.text(maxNameLen)
	case opClean:
		m.HighestModSeq = max(m.HighestModSeq, p.d.uint())
		p.x.clean = true
	default:
		return false
	}
	return true
}

func (p *player) ids() []uint16 {
	n := p.d.uint()
	if n > MaxKeywords {
		p.d.fail()
		return nil
	}
	out := make([]uint16, 0, n)
	for range n {
		k := p.d.uint()
		if k >= MaxKeywords {
			p.d.fail()
			return nil
		}
		out = append(out, uint16(k))
	}
	return out
}

// expunge removes messages and remembers that they were there. UIDs that no
// message has are remembered all the same: a client may know more than we do.
func (p *player) expunge() {
	p.e.flush()
	modseq := p.d.uint()
	p.e.meta.HighestModSeq = max(p.e.meta.HighestModSeq, modseq)
	// Removed at the end, but never messages that are appended later.
	last := uint32(0)
	if n := len(p.e.chunks); n > 0 {
		last = p.e.chunks[n-1].last
	}
	var all []Range
	p.ranges(func(r Range) {
		all = append(all, r)
		if r.First <= last {
			p.e.expunge = append(p.e.expunge, Range{r.First, min(r.Last, last)})
		}
	})
	if !p.d.bad {
		p.e.gone = p.e.gone.add(modseq, all)
	}
}

// ranges reads a set of UIDs.
func (p *player) ranges(use func(Range)) { p.d.ranges(p.d.uint(), use) }

func (p *player) flags() {
	modseq, add, remove := p.d.uint(), uint8(p.d.uint()), uint8(p.d.uint())
	more, less := p.ids(), p.ids()
	p.e.meta.HighestModSeq = max(p.e.meta.HighestModSeq, modseq)
	lastSet, lastResult := uint32(0), p.in.changeSet(0, more, less)
	p.ranges(func(r Range) {
		p.e.each(r, func(x rec) {
			x.setFlags(x.flags()&^remove | add)
			if s := x.set(); s != lastSet {
				lastSet, lastResult = s, p.in.changeSet(s, more, less)
			}
			x.setSet(lastResult)
			x.setModseq(modseq)
			x.setState(x.state() | Dirty)
		})
	})
}

// flushAt is how many messages are held before they become chunks.
const flushAt = 8 * maxChunk

func (p *player) append() {
	x := Record{UID: p.d.uid(), ModSeq: p.d.uint(), Flags: uint8(p.d.uint()), FileFlags: uint8(p.d.uint()), FileLetters: p.d.uid()}
	x.State = State(p.d.uint()) & kept
	x.Size, x.VSize, x.Date = p.d.int(), p.d.int(), p.d.int()
	x.Name, x.Info = p.d.text(maxNameLen), p.d.text(maxNameLen)
	if keywords := p.ids(); !p.d.bad {
		p.add(x, keywords)
	}
}

// add is append with the message at hand.
func (p *player) add(x Record, keywords []uint16) {
	last := uint32(0)
	if n := len(p.e.add); n > 0 {
		last = p.e.add[n-1].UID
	} else if p.e.making != nil {
		last = p.e.handed
	} else if n := len(p.e.chunks); n > 0 {
		last = p.e.chunks[n-1].last
	}
	if x.UID <= last || x.Size >= 1<<39 || x.VSize >= x.Size+1<<32 || x.VSize >= 0 && x.VSize < x.Size {
		p.d.fail()
		return
	}
	x.Keywords = p.in.changeSet(0, keywords, nil)
	switch {
	case len(p.e.add) < flushAt:
	case p.filling:
		p.e.hand()
	default:
		p.e.flush()
	}
	p.e.add = append(p.e.add, x)
	m := &p.e.meta
	m.HighestModSeq = max(m.HighestModSeq, x.ModSeq)
	if x.UID >= m.UIDNext && x.UID < 1<<32-1 {
		m.UIDNext = x.UID + 1
	}
}

func (p *player) file() {
	uid, flags, letters, state, info := p.d.uid(), uint8(p.d.uint()), p.d.uid(), p.d.uint(), p.d.text(maxNameLen)
	if p.d.bad {
		return
	}
	odd := info != ""
	p.e.each(Range{uid, uid}, func(r rec) {
		r.setFile(flags, letters, State(state))
	})
	p.e.setInfo(uid, info, odd)
}

// setInfo changes a record's info text; most have none, before and after.
func (e *editor) setInfo(uid uint32, info string, odd bool) {
	i, ok := e.locate(uid)
	if !ok {
		return
	}
	if !odd && !i.hasInfo() {
		return
	}
	e.rename(uid, func(x *Record) { x.Info = info })
}

// located is a record and its chunk's names.
type located struct {
	r     rec
	arena []byte
}

func (l located) hasInfo() bool {
	off := int(l.r.nameOff())
	return off < len(l.arena) && l.arena[off]&nameInfo != 0
}

func (e *editor) locate(uid uint32) (located, bool) {
	e.flush()
	ci := sort.Search(len(e.chunks), func(c int) bool { return e.chunks[c].last >= uid })
	if ci == len(e.chunks) || e.chunks[ci].first > uid {
		return located{}, false
	}
	data := e.data(ci)
	if data == nil {
		return located{}, false
	}
	n := e.count(ci)
	i, ok := find(data, n, uid)
	if !ok {
		return located{}, false
	}
	return located{rec(data[i*recordSize : (i+1)*recordSize]), data[n*recordSize:]}, true
}

// known sets sizes and date. A size other than the one in the name means that
// the name can no longer be told from the sizes.
func (p *player) known() {
	uid, size, vsize, date := p.d.uid(), p.d.int(), p.d.int(), p.d.int()
	if p.d.bad || size >= 1<<39 || vsize >= 1<<39 || vsize >= 0 && vsize < size {
		p.d.fail()
		return
	}
	l, ok := p.e.locate(uid)
	if !ok {
		return
	}
	if s, v := l.r.size(), l.r.vsize(); size >= 0 && s >= 0 && size != s || vsize >= 0 && v >= 0 && vsize != v {
		p.e.rename(uid, func(x *Record) {
			if size >= 0 {
				x.Size = size
			}
			if vsize >= 0 {
				x.VSize = vsize
			}
			if date != Unknown {
				x.Date = date
			}
		})
		return
	}
	p.e.each(Range{uid, uid}, func(r rec) { r.setKnown(size, vsize, date) })
}

func (p *player) stamps() {
	var s Stamps
	var t [4]int64
	for i := range t {
		t[i] = p.d.int()
	}
	s.New = DirStamp{fromNanos(t[0]), fromNanos(t[1])}
	s.Cur = DirStamp{fromNanos(t[2]), fromNanos(t[3])}
	for _, f := range []*FileStamp{&s.UIDList, &s.Keywords} {
		f.Dev, f.Ino = p.d.uint(), p.d.uint()
		f.Size, f.Mtime = p.d.int(), fromNanos(p.d.int())
	}
	p.x.stamps = s
}

// pending is skipped: the base holds what it says.
func (p *player) pending() {
	p.d.uid()
	p.d.uint()
	p.d.uint()
	for range 2 {
		n := p.d.uint()
		if n > MaxKeywords {
			p.d.fail()
			return
		}
		for range n {
			p.d.text(maxText)
		}
	}
}
