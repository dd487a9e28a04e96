package wire

import "math/bits"

// The codes of DEFLATE (RFC 1951 section 3.2).
const (
	lengthCodes  = 19 // that write the lengths of the other codes
	maxLiterals  = 286
	maxDistances = 30
	maxCode      = 15 // bits
	fastBits     = 9
)

// huffman is one Huffman code.
type huffman struct {
	fast       [1 << fastBits]uint16 // by the next bits: symbol<<4 | length; 0: the code is longer, or none
	count      [maxCode + 1]uint16   // of codes of each length
	symbol     [288]uint16           // in the order of their codes
	incomplete bool                  // some bits are no code
}

// build makes the code of the lengths of its symbols, 0 for those that are
// not in it (section 3.2.2). It is false when there is no such code. Bits that
// mean nothing are allowed only where there is one symbol or none.
func (h *huffman) build(lens []uint8) bool {
	h.count = [maxCode + 1]uint16{}
	for _, n := range lens {
		h.count[n]++
	}
	left := 1
	var next, offset [maxCode + 2]uint16
	for n := 1; n <= maxCode; n++ {
		if left = left<<1 - int(h.count[n]); left < 0 {
			return false
		}
		offset[n+1] = offset[n] + h.count[n]
		next[n+1] = (next[n] + h.count[n]) << 1
	}
	used := len(lens) - int(h.count[0])
	h.incomplete = left > 0
	if h.incomplete && used > 0 && (used != 1 || h.count[1] != 1) {
		return false
	}
	clear(h.fast[:])
	for sym, n := range lens {
		if n == 0 {
			continue
		}
		h.symbol[offset[n]] = uint16(sym)
		offset[n]++
		if n <= fastBits {
			step := 1 << n
			for at := int(bits.Reverse16(next[n]) >> (16 - n)); at < len(h.fast); at += step {
				h.fast[at] = uint16(sym)<<4 | uint16(n)
			}
		}
		next[n]++
	}
	return true
}

// peek returns the symbol that the next bits are the code of, and how many of
// them. It is not ok when n bits are too few to tell; the symbol is -1 when
// they are no code.
func (h *huffman) peek(next uint64, n uint) (sym int, size uint, ok bool) {
	if e := h.fast[next&(1<<fastBits-1)]; e != 0 {
		size = uint(e & 15)
		return int(e >> 4), size, size <= n
	}
	code, first, index := 0, 0, 0
	for size = 1; size <= maxCode; size++ {
		if size > n {
			return 0, 0, false
		}
		code |= int(next & 1)
		next >>= 1
		count := int(h.count[size])
		if code-first < count {
			return int(h.symbol[index+code-first]), size, true
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return -1, 0, true
}

// codes is the Huffman codes of a block, and what is known of them while they
// are read.
type codes struct {
	literal, distance huffman

	lens                 [maxLiterals + 2 + maxDistances + 2]uint8
	nlit, ndist, nlength int
	have                 int
}

func (b *Buffers) getCodes() *codes {
	if c, ok := b.codes.Get().(*codes); ok {
		return c
	}
	return new(codes)
}

// fixed: section 3.2.6.
func (c *codes) fixed() {
	for i := range 288 {
		switch {
		case i < 144:
			c.lens[i] = 8
		case i < 256:
			c.lens[i] = 9
		case i < 280:
			c.lens[i] = 7
		default:
			c.lens[i] = 8
		}
	}
	c.literal.build(c.lens[:288])
	for i := range 32 {
		c.lens[i] = 5
	}
	c.distance.build(c.lens[:32])
}

// counts: section 3.2.7.
func (f *Inflater) counts() bool {
	v, ok := f.take(14)
	if !ok {
		return false
	}
	c := f.codes
	c.nlit, c.ndist, c.nlength, c.have = int(v&31)+257, int(v>>5&31)+1, int(v>>10)+4, 0
	if c.nlit > maxLiterals || c.ndist > maxDistances {
		return f.fail()
	}
	clear(c.lens[:lengthCodes])
	f.phase = phaseLengthCode
	return true
}

// lengthCode reads the code in which the lengths of the others are written.
// Until they are known it stands in the place of the distances'.
func (f *Inflater) lengthCode() bool {
	order := [lengthCodes]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	c := f.codes
	for c.have < c.nlength {
		v, ok := f.take(3)
		if !ok {
			if f.refill(); f.nbits < 3 {
				return false
			}
			continue
		}
		c.lens[order[c.have]] = uint8(v)
		c.have++
	}
	if !c.distance.build(c.lens[:lengthCodes]) || c.distance.incomplete {
		return f.fail()
	}
	c.have, f.phase = 0, phaseLengths
	return true
}

func (f *Inflater) lengths() bool {
	c := f.codes
	for c.have < c.nlit+c.ndist {
		f.refill()
		sym, size, ok := c.distance.peek(f.bits, f.nbits)
		switch {
		case !ok:
			return false
		case sym < 0:
			return f.fail()
		case sym < 16:
			f.skip(size)
			c.lens[c.have] = uint8(sym)
			c.have++
			continue
		}
		extra, base := [3]uint{2, 3, 7}[sym-16], [3]int{3, 3, 11}[sym-16]
		if f.nbits < size+extra {
			return false
		}
		times := base + int(f.bits>>size&(1<<extra-1))
		f.skip(size + extra)
		if sym == 16 && c.have == 0 || c.have+times > c.nlit+c.ndist {
			return f.fail()
		}
		var v uint8
		if sym == 16 {
			v = c.lens[c.have-1]
		}
		for range times {
			c.lens[c.have] = v
			c.have++
		}
	}
	if c.lens[256] == 0 || !c.literal.build(c.lens[:c.nlit]) || !c.distance.build(c.lens[c.nlit:c.have]) {
		return f.fail()
	}
	f.phase = phaseData
	return true
}

// lengthOf and distanceOf: section 3.2.5.
func lengthOf(sym int) (base int, extra uint) {
	switch {
	case sym < 8:
		return sym + 3, 0
	case sym == 28:
		return 258, 0
	}
	extra = uint(sym-4) / 4
	return 3 + (4+sym%4)<<extra, extra
}

func distanceOf(sym int) (base int, extra uint) {
	if sym < 4 {
		return sym + 1, 0
	}
	extra = uint(sym-2) / 2
	return 1 + (2+sym%2)<<extra, extra
}
