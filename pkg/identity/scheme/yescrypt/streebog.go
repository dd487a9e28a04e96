package yescrypt

import (
	"encoding/binary"
	"hash"
	"math/bits"
)

// Sizes in bytes.
const (
	streebogSize  = 32
	streebogBlock = 64
)

// words are 512 bits, lowest word first.
type words [8]uint64

// streebog is GOST R 34.11-2012 with a result of 256 bits (RFC 6986). It is
// not quick; a password needs a dozen blocks.
type streebog struct {
	h, sum words
	bits   uint64
	tail   []byte
}

func newStreebog() hash.Hash {
	s := &streebog{}
	s.Reset()
	return s
}

func (s *streebog) Size() int      { return streebogSize }
func (s *streebog) BlockSize() int { return streebogBlock }

func (s *streebog) Reset() {
	*s = streebog{}
	for i := range s.h {
		s.h[i] = 0x0101010101010101
	}
}

func (s *streebog) Write(b []byte) (int, error) {
	s.tail = append(s.tail, b...)
	for len(s.tail) >= streebogBlock {
		s.block(s.tail[:streebogBlock], streebogBlock*8)
		s.tail = s.tail[streebogBlock:]
	}
	return len(b), nil
}

// Sum pads, then hashes the length and the sum of all blocks.
func (s *streebog) Sum(b []byte) []byte {
	end := *s
	last := make([]byte, streebogBlock)
	last[copy(last, end.tail)] = 1
	end.block(last, uint64(len(end.tail))*8)
	length, sum := words{end.bits}, end.sum
	end.h.compress(0, &length)
	end.h.compress(0, &sum)
	for _, w := range end.h[4:] {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// block hashes 64 bytes of which so many bits are of the message.
func (s *streebog) block(b []byte, n uint64) {
	var m words
	for i := range m {
		m[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	s.h.compress(s.bits, &m)
	s.bits += n
	var carry uint64
	for i := range m {
		s.sum[i], carry = bits.Add64(s.sum[i], m[i], carry)
	}
}

// compress is g_N, RFC 6986 section 8.
func (h *words) compress(n uint64, m *words) {
	key, state := *h, *m
	key[0] ^= n
	key.lps()
	for _, c := range gostC {
		state.xor(&key)
		state.lps()
		for i := range key {
			key[i] ^= c[7-i]
		}
		key.lps()
	}
	state.xor(&key)
	state.xor(m)
	h.xor(&state)
}

func (w *words) xor(v *words) {
	for i := range w {
		w[i] ^= v[i]
	}
}

// lps replaces the bytes, transposes the eight by eight of them and multiplies
// each word by the matrix.
func (w *words) lps() {
	in := *w
	for i := range w {
		var out uint64
		for j := range in {
			c := gostPi[byte(in[j]>>(8*i))]
			for bit := range 8 {
				if c>>bit&1 != 0 {
					out ^= gostA[63-(8*j+bit)]
				}
			}
		}
		w[i] = out
	}
}
