package argon2

import (
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/blake2b"
)

// Variant is the y of RFC 9106 section 3.2.
type Variant uint32

// The variants that password databases contain.
const (
	I  Variant = 1
	ID Variant = 2
)

// Params are the costs. Lanes are computed one after the other: they make a
// hash different, not faster.
type Params struct {
	Variant Variant
	Time    uint32 // passes, at least 1
	Memory  uint32 // KiB; at least 8 for each lane
	Lanes   uint32 // 1 to 2^24-1
}

const (
	version    = 0x13
	syncPoints = 4 // slices of a pass
	blockBytes = 1024
	blockWords = blockBytes / 8
)

type block [blockWords]uint64

// Arena is the memory of one computation at a time. The zero value is ready
// and grows to the largest hash it has seen.
type Arena struct {
	blocks               []block
	zero, input, address block // of the data-independent addressing
}

// Reserve makes room for hashes of up to kib KiB.
func (a *Arena) Reserve(kib uint32) {
	if int(kib) > len(a.blocks) {
		a.blocks = make([]block, kib)
	}
}

// keepKiB is how much memory an idle arena holds on to.
const keepKiB = 64 << 10

// Wipe clears what the last computation left, and gives up memory that only an
// unusually costly hash needed.
func (a *Arena) Wipe() {
	clear(a.blocks)
	if len(a.blocks) > keepKiB {
		a.blocks = nil
	}
	a.input, a.address = block{}, block{}
}

// Key derives length bytes. The caller has checked p against its limits; costs
// below the minimum are raised to it, as RFC 9106 section 3.1 demands at least
// one pass and 8 KiB for each lane.
func (a *Arena) Key(p Params, password, salt []byte, length int) []byte {
	p.Lanes, p.Time = max(p.Lanes, 1), max(p.Time, 1)
	h0 := initialHash(p, password, salt, length)
	memory := max(p.Memory/(syncPoints*p.Lanes), 2) * syncPoints * p.Lanes
	a.Reserve(memory)
	f := filling{Params: p, arena: a, blocks: a.blocks[:memory], lane: memory / p.Lanes}
	f.segment = f.lane / syncPoints
	f.first(h0)
	for pass := range p.Time {
		for slice := range uint32(syncPoints) {
			for lane := range p.Lanes {
				f.fill(pass, slice, lane)
			}
		}
	}
	return f.tag(length)
}

// initialHash is H_0, RFC 9106 section 3.2.
func initialHash(p Params, password, salt []byte, length int) []byte {
	h := newBlake(blake2b.Size)
	for _, v := range []uint32{p.Lanes, uint32(length), p.Memory, p.Time, version, uint32(p.Variant)} {
		writeUint32(h, v)
	}
	for _, b := range [][]byte{password, salt, nil, nil} { // no secret, no associated data
		writeUint32(h, uint32(len(b)))
		_, _ = h.Write(b)
	}
	return h.Sum(make([]byte, 0, blake2b.Size+8))
}

// longHash is H', RFC 9106 section 3.3.
func longHash(out, in []byte) {
	size := min(len(out), blake2b.Size)
	h := newBlake(size)
	writeUint32(h, uint32(len(out)))
	_, _ = h.Write(in)
	v := h.Sum(nil)
	for len(out) > blake2b.Size {
		copy(out, v[:blake2b.Size/2])
		out = out[blake2b.Size/2:]
		h = newBlake(min(len(out), blake2b.Size))
		_, _ = h.Write(v)
		v = h.Sum(v[:0])
	}
	copy(out, v)
}

func newBlake(size int) hash.Hash {
	h, err := blake2b.New(size, nil)
	if err != nil {
		panic(err) // sizes here are 1 to 64
	}
	return h
}

func writeUint32(h hash.Hash, v uint32) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], v)
	_, _ = h.Write(b[:])
}

// filling is one computation.
type filling struct {
	Params
	arena   *Arena
	blocks  []block
	lane    uint32 // blocks in a lane
	segment uint32 // blocks in a lane and slice
}

// first computes the first two blocks of each lane.
func (f *filling) first(h0 []byte) {
	var buf [blockBytes]byte
	for lane := range f.Lanes {
		for i := range uint32(2) {
			in := binary.LittleEndian.AppendUint32(h0[:blake2b.Size:blake2b.Size], i)
			longHash(buf[:], binary.LittleEndian.AppendUint32(in, lane))
			b := &f.blocks[lane*f.lane+i]
			for w := range b {
				b[w] = binary.LittleEndian.Uint64(buf[8*w:])
			}
		}
	}
}

// fill computes one segment, RFC 9106 section 3.4.
func (f *filling) fill(pass, slice, lane uint32) {
	independent := f.Variant == I || (f.Variant == ID && pass == 0 && slice < syncPoints/2)
	if independent {
		f.arena.input = block{uint64(pass), uint64(lane), uint64(slice), uint64(len(f.blocks)), uint64(f.Time), uint64(f.Variant)}
	}
	index := uint32(0)
	if pass == 0 && slice == 0 {
		index = 2
		if independent {
			f.nextAddresses()
		}
	}
	base := lane * f.lane
	for ; index < f.segment; index++ {
		cur := slice*f.segment + index
		prev := base + (cur+f.lane-1)%f.lane
		var pseudo uint64
		if independent {
			if index%blockWords == 0 {
				f.nextAddresses()
			}
			pseudo = f.arena.address[index%blockWords]
		} else {
			pseudo = f.blocks[prev][0]
		}
		ref := f.reference(pseudo, pass, slice, lane, index)
		f.blocks[base+cur].compress(&f.blocks[prev], &f.blocks[ref], pass > 0)
	}
}

func (f *filling) nextAddresses() {
	f.arena.input[6]++
	f.arena.address.compress(&f.arena.zero, &f.arena.input, false)
	f.arena.address.compress(&f.arena.zero, &f.arena.address, false)
}

// reference maps 64 pseudo-random bits to a block, RFC 9106 section 3.4.2.
func (f *filling) reference(pseudo uint64, pass, slice, lane, index uint32) uint32 {
	refLane := uint32(pseudo>>32) % f.Lanes
	if pass == 0 && slice == 0 {
		refLane = lane
	}
	var area, start uint32
	if pass == 0 {
		area = slice * f.segment
	} else {
		area = f.lane - f.segment
		start = (slice + 1) % syncPoints * f.segment
	}
	switch {
	case refLane == lane:
		area += index - 1
	case index == 0:
		area--
	}
	x := pseudo & 0xffffffff
	x = x * x >> 32
	y := uint64(area) * x >> 32
	return refLane*f.lane + (start+area-1-uint32(y))%f.lane
}

// tag hashes the last column.
func (f *filling) tag(length int) []byte {
	last := f.blocks[f.lane-1]
	for lane := uint32(1); lane < f.Lanes; lane++ {
		for w, v := range f.blocks[lane*f.lane+f.lane-1] {
			last[w] ^= v
		}
	}
	var buf [blockBytes]byte
	for w, v := range last {
		binary.LittleEndian.PutUint64(buf[8*w:], v)
	}
	out := make([]byte, length)
	longHash(out, buf[:])
	return out
}
