package yescrypt

import (
	"encoding/binary"
	"math/bits"
)

// Sizes in words of 64 bits.
const (
	chunkWords = 8              // what salsa and pwxform work on
	blockUnit  = 2 * chunkWords // a block is r times this
)

// smix mixes block over the memory. key is what the tables are bound to, and
// is bound to them.
func (m *Memory) smix(block []byte, key *[KeyLen]byte, n, r int) {
	words := blockUnit * r
	x, v := grow(&m.x, words), grow(&m.v, words*n)
	t := m.fillTables(block[:8*blockUnit])
	*key = mac(block[len(block)-8*chunkWords:], key[:])

	load(x, block)
	for i := range n {
		copy(v[i*words:(i+1)*words], x)
		if i > 1 {
			j := earlier(first(x), uint32(i))
			mix(x, v[j*words:(j+1)*words])
		}
		t.mixBlock(x)
	}
	for range ((n+2)/3 + 1) &^ 1 {
		j := int(first(x) & uint32(n-1))
		row := v[j*words : (j+1)*words]
		mix(x, row)
		copy(row, x)
		t.mixBlock(x)
	}
	store(block, x)
}

// fillTables makes the tables, of which the last is read first, by scrypt's own mixing of one unit, and changes
// it.
func (m *Memory) fillTables(unit []byte) *tables {
	x := grow(&m.x, blockUnit)
	load(x, unit)
	a, b := (*chunk)(x), (*chunk)(x[chunkWords:])
	for i := 0; i < len(m.all)*tableLen; i += chunkWords {
		for j := range chunkWords { // a unit is as many pairs
			m.all[i/tableLen][i%tableLen+j] = [2]uint64(x[2*j:])
		}
		// BlockMix of RFC 7914 section 4 with r = 1.
		*a = salsa(xor(b, a), 8)
		*b = salsa(xor(a, b), 8)
	}
	store(unit, x)
	return &tables{read0: &m.all[2], read1: &m.all[1], write: &m.all[0]}
}

// mix XORs a block into another.
func mix(x, y []uint64) {
	y = y[:len(x)]
	for i := range x {
		x[i] ^= y[i]
	}
}

// first is the number by which a block chooses another: the first word of its
// last chunk.
func first(x []uint64) uint32 { return uint32(x[len(x)-chunkWords]) }

// earlier maps a number to one of the i blocks there are: to one of the last
// power of two of them.
func earlier(number, i uint32) int {
	n := uint32(1) << (bits.Len32(i) - 1)
	return int(number&(n-1) + i - n)
}

// load reads little-endian words of 32 bits and puts those of a chunk into the
// order in which salsa works on four at a time; store undoes it.
func load(to []uint64, from []byte) {
	for i := range to {
		low, high := place(i)
		to[i] = uint64(binary.LittleEndian.Uint32(from[low:])) | uint64(binary.LittleEndian.Uint32(from[high:]))<<32
	}
}

func store(to []byte, from []uint64) {
	for i, v := range from {
		low, high := place(i)
		binary.LittleEndian.PutUint32(to[low:], uint32(v))
		binary.LittleEndian.PutUint32(to[high:], uint32(v>>32))
	}
}

// place is where the halves of word i stand: word k of a chunk is word 5k of
// the bytes, modulo 16.
func place(i int) (low, high int) {
	base, k := i/chunkWords*64, 2*(i%chunkWords)
	return base + 5*k%16*4, base + 5*(k+1)%16*4
}
