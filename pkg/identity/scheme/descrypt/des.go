package descrypt

import "math/bits"

// cipher is DES with the exchange of bits by which crypt(3) salts it.
type cipher struct {
	// sp holds the S-boxes with the permutation P applied.
	sp [8][64]uint32
	// keys are the 48 bits of each round's key in two halves of 24.
	keys [16][2]uint32
}

func newCipher() *cipher {
	var c cipher
	for box := range c.sp {
		for in := range c.sp[box] {
			// The outer bits choose the row, the inner four the column.
			row, column := in>>4&2|in&1, in>>1&15
			out := uint64(sBoxes[box][16*row+column]) << (28 - 4*box)
			c.sp[box][in] = uint32(permute(out, 32, permP[:]))
		}
	}
	return &c
}

// permute picks bits of a value that is width bits wide. Tables count from 1
// at the high end, as the standard does.
func permute(v uint64, width int, table []uint8) uint64 {
	var out uint64
	for _, from := range table {
		out = out<<1 | v>>(width-int(from))&1
	}
	return out
}

func (c *cipher) key(key uint64) {
	cd := permute(key, 64, permC[:])
	left, right := uint32(cd>>28), uint32(cd&0xfffffff)
	for i, n := range rotations {
		left = (left<<n | left>>(28-n)) & 0xfffffff
		right = (right<<n | right>>(28-n)) & 0xfffffff
		k := permute(uint64(left)<<28|uint64(right), 56, permK[:])
		c.keys[i] = [2]uint32{uint32(k >> 24), uint32(k & 0xffffff)}
	}
}

// repeat encrypts block count times under salt.
func (c *cipher) repeat(block uint64, salt, count uint32) uint64 {
	block = permute(block, 64, permIP[:])
	left, right := uint32(block>>32), uint32(block)
	// Bit i of the salt exchanges bits i of the halves that the expansion
	// makes, counted from their high ends.
	mask := bits.Reverse32(salt) >> 8
	for range count {
		for i := range c.keys {
			left, right = right, left^c.round(right, mask, &c.keys[i])
		}
		left, right = right, left
	}
	return permute(uint64(left)<<32|uint64(right), 64, permFP[:])
}

// round is the cipher function f. The expansion E repeats the neighbours of
// each group of four bits: group i is six bits from bit 4i on, bit 32 first.
func (c *cipher) round(r, mask uint32, key *[2]uint32) uint32 {
	group := func(i int) uint32 { return bits.RotateLeft32(r, 4*i+5) & 63 }
	high := group(0)<<18 | group(1)<<12 | group(2)<<6 | group(3)
	low := group(4)<<18 | group(5)<<12 | group(6)<<6 | group(7)
	swap := (high ^ low) & mask
	high ^= swap ^ key[0]
	low ^= swap ^ key[1]
	return c.sp[0][high>>18&63] | c.sp[1][high>>12&63] | c.sp[2][high>>6&63] | c.sp[3][high&63] |
		c.sp[4][low>>18&63] | c.sp[5][low>>12&63] | c.sp[6][low>>6&63] | c.sp[7][low&63]
}
