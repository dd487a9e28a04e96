package wire

import (
	"errors"
	"io"
)

// ErrCompressed is compressed input that is not DEFLATE, ErrExpands input
// that becomes more than anybody has to say. Either ends the connection.
var (
	ErrCompressed = errors.New("invalid compressed data")
	ErrExpands    = errors.New("compressed data expands beyond every bound")
)

// How much compressed input may grow: a message of one repeated character
// legitimately shrinks by a thousand, hence the allowance; what goes on like
// that is an attack on our processor.
const maxRatio = 100

const (
	maxWindow   = 32 << 10 // RFC 1951 section 2
	firstWindow = 512
	enoughBits  = 48 // a length and a distance with their extra bits
)

// Inflater undoes DEFLATE (RFC 1951) on the input of a connection. Unlike a
// general one it stops at any bit where the input ends and goes on there,
// whatever kind of flush the client uses, and while it waits it holds only
// what the format makes it remember: of the input so far the last 32 KiB at
// most.
type Inflater struct {
	bufs *Buffers
	raw  []byte // input not looked at, from pool
	rawN int    // bytes of raw that are used up

	bits  uint64 // input looked at, lowest bit first
	nbits uint

	phase   inflatePhase
	final   bool
	stored  int    // bytes of a stored block that are left
	length  int    // bytes of a match that are left
	dist    int    // where the match lies
	codes   *codes // of a compressed block, from pool; nil outside
	full    bool   // output waits for a place, rather than for input
	ended   bool   // the final block is over
	failure error

	win   []byte // ring of the last output; its size is a power of two
	out   int64
	in    int64
	spare int64 // output allowed beyond the ratio
}

type inflatePhase uint8

const (
	phaseHeader inflatePhase = iota
	phaseStoredLen
	phaseStored
	phaseCounts
	phaseLengthCode
	phaseLengths
	phaseData
	phaseMatch
)

// Inflater makes an inflater. spare is how many bytes its output may be
// larger than a hundred times its input.
func (b *Buffers) Inflater(spare int64) *Inflater { return &Inflater{bufs: b, spare: spare} }

// Feed puts bytes that were read elsewhere behind the input.
func (f *Inflater) Feed(b []byte) {
	if len(b) > 0 {
		rest := append(append([]byte(nil), f.raw[f.rawN:]...), b...)
		f.dropRaw()
		f.raw = rest
		f.in += int64(len(b))
	}
}

// Fill reads more input, once. It is called when Read has returned nothing.
func (f *Inflater) Fill(read func([]byte) (int, error)) error {
	buf := f.bufs.getIn()
	n, err := read(buf)
	if n == 0 {
		f.bufs.in.Put((*[bufSize]byte)(buf))
		if err == nil {
			return nil
		}
		if errors.Is(err, io.EOF) && !f.Rest() {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if f.rawN < len(f.raw) { // only who does not keep to the order comes here
		f.Feed(buf[:n])
		f.bufs.in.Put((*[bufSize]byte)(buf))
		return nil
	}
	f.dropRaw()
	f.raw = buf[:n]
	f.in += int64(n)
	return nil
}

func (f *Inflater) dropRaw() {
	if cap(f.raw) == bufSize {
		f.bufs.in.Put((*[bufSize]byte)(f.raw[:bufSize]))
	}
	f.raw, f.rawN = nil, 0
}

// Ready reports whether Read would return something, or fail, without more
// input.
func (f *Inflater) Ready() bool {
	f.run(nil)
	return f.failure != nil || f.full
}

// Rest reports whether the input ends where it may: between two blocks.
func (f *Inflater) Rest() bool { return f.phase == phaseHeader }

// Leave asks whether the client's compression has ended behind what Read has
// returned (RFC 8437 section 3): with a final block, or merely at a byte between
// two blocks, with nothing behind it yet. Then rest is what came in the clear
// behind it, to be kept by the caller. more says that it takes more input to tell.
func (f *Inflater) Leave() (rest []byte, more bool, err error) {
	switch ready := f.Ready(); {
	case f.ended:
	case f.failure != nil:
		return nil, false, f.failure
	case ready:
		return nil, false, ErrCompressed // it goes on compressing
	default:
		return nil, !f.Rest() || f.nbits > 0, nil
	}
	f.skip(f.nbits % 8)
	for ; f.nbits > 0; f.skip(8) {
		rest = append(rest, byte(f.bits))
	}
	rest = append(rest, f.raw[f.rawN:]...)
	f.dropRaw()
	return rest, false, nil
}

// Read returns output. It returns 0 and no error when it needs input.
func (f *Inflater) Read(p []byte) (int, error) {
	n := f.run(p)
	if f.failure == nil && f.out > f.in*maxRatio+f.spare {
		f.failure = ErrExpands
	}
	if n == 0 {
		return 0, f.failure
	}
	return n, nil
}

// run writes into p until it is full or the input is used up.
func (f *Inflater) run(p []byte) (n int) {
	f.full = false
	for f.failure == nil && !f.ended {
		f.refill()
		var ok bool
		switch f.phase {
		case phaseHeader:
			ok = f.header()
		case phaseStoredLen:
			ok = f.storedLen()
		case phaseCounts:
			ok = f.counts()
		case phaseLengthCode:
			ok = f.lengthCode()
		case phaseLengths:
			ok = f.lengths()
		case phaseStored:
			n, ok = f.copyStored(p, n)
		case phaseData:
			n, ok = f.data(p, n)
		case phaseMatch:
			n, ok = f.copyMatch(p, n)
		}
		if !ok {
			break
		}
	}
	if f.rawN == len(f.raw) {
		f.dropRaw()
	}
	if f.ended && n == 0 {
		f.failure = io.EOF
	}
	return n
}

// refill moves input into bits.
func (f *Inflater) refill() {
	for f.nbits <= 56 && f.rawN < len(f.raw) {
		f.bits |= uint64(f.raw[f.rawN]) << f.nbits
		f.rawN++
		f.nbits += 8
	}
}

// take returns n bits, if there are so many.
func (f *Inflater) take(n uint) (uint64, bool) {
	if f.nbits < n {
		return 0, false
	}
	v := f.bits & (1<<n - 1)
	f.skip(n)
	return v, true
}

func (f *Inflater) skip(n uint) {
	f.bits >>= n
	f.nbits -= n
}

func (f *Inflater) fail() bool {
	f.failure = ErrCompressed
	return false
}

// header: RFC 1951 section 3.2.3.
func (f *Inflater) header() bool {
	v, ok := f.take(3)
	if !ok {
		return false
	}
	f.final = v&1 != 0
	switch v >> 1 {
	case 0:
		f.phase = phaseStoredLen
	case 1:
		f.codes = f.bufs.getCodes()
		f.codes.fixed()
		f.phase = phaseData
	case 2:
		f.codes = f.bufs.getCodes()
		f.phase = phaseCounts
	default:
		return f.fail()
	}
	return true
}

// blockEnd ends a block.
func (f *Inflater) blockEnd() {
	if f.codes != nil {
		f.bufs.codes.Put(f.codes)
		f.codes = nil
	}
	f.phase, f.ended = phaseHeader, f.final
}

// storedLen: section 3.2.4. The length begins at the next byte.
func (f *Inflater) storedLen() bool {
	pad := f.nbits % 8
	if f.nbits < 32+pad {
		return false
	}
	f.skip(pad)
	v, _ := f.take(32)
	size := uint16(v)
	if size != ^uint16(v>>16) {
		return f.fail()
	}
	if f.stored, f.phase = int(size), phaseStored; size == 0 {
		f.blockEnd()
	}
	return true
}

func (f *Inflater) copyStored(p []byte, n int) (int, bool) {
	for f.stored > 0 && n < len(p) {
		v, ok := f.take(8)
		if !ok {
			if f.refill(); f.nbits == 0 {
				return n, false
			}
			continue
		}
		p[n] = byte(v)
		f.remember(p[n])
		n++
		f.stored--
	}
	if f.stored > 0 {
		f.refill()
		f.full = f.nbits > 0
		return n, false
	}
	f.blockEnd()
	return n, true
}

// data decodes literals and matches until p is full or the input ends.
func (f *Inflater) data(p []byte, n int) (int, bool) {
	for {
		if f.nbits < enoughBits {
			f.refill()
		}
		sym, size, ok := f.codes.literal.peek(f.bits, f.nbits)
		switch {
		case !ok:
			return n, false
		case sym < 0 || sym >= maxLiterals:
			return n, f.fail()
		case sym < 256:
			if n == len(p) {
				f.full = true
				return n, false
			}
			f.skip(size)
			p[n] = byte(sym)
			f.remember(p[n])
			n++
		case sym == 256:
			f.skip(size)
			f.blockEnd()
			return n, true
		default:
			if !f.match(sym-257, size) {
				return n, false
			}
			return n, true
		}
	}
}

// match decodes a length whose code has size bits, and its distance. It is
// false when the input ends before them, or they are wrong.
func (f *Inflater) match(sym int, size uint) bool {
	bits, nbits := f.bits>>size, f.nbits-size
	length, extra := lengthOf(sym)
	if nbits < extra {
		return false
	}
	length += int(bits & (1<<extra - 1))
	bits, nbits = bits>>extra, nbits-extra
	ds, dsize, ok := f.codes.distance.peek(bits, nbits)
	if !ok {
		return false
	}
	if ds < 0 || ds >= maxDistances {
		return f.fail()
	}
	bits, nbits = bits>>dsize, nbits-dsize
	dist, extra := distanceOf(ds)
	if nbits < extra {
		return false
	}
	dist += int(bits & (1<<extra - 1))
	f.bits, f.nbits = bits>>extra, nbits-extra
	if int64(dist) > f.out {
		return f.fail()
	}
	f.length, f.dist, f.phase = length, dist, phaseMatch
	return true
}

func (f *Inflater) copyMatch(p []byte, n int) (int, bool) {
	for f.length > 0 {
		if n == len(p) {
			f.full = true
			return n, false
		}
		p[n] = f.win[int(f.out-int64(f.dist))&(len(f.win)-1)]
		f.remember(p[n])
		n++
		f.length--
	}
	f.phase = phaseData
	return n, true
}

// remember puts a byte of output into the window, a ring that grows with the
// output.
func (f *Inflater) remember(b byte) {
	if f.out == int64(len(f.win)) && len(f.win) < maxWindow {
		grown := make([]byte, max(firstWindow, 2*len(f.win)))
		copy(grown, f.win)
		f.win = grown
	}
	f.win[f.out&int64(len(f.win)-1)] = b
	f.out++
}
