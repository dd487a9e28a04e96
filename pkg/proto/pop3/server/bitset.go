package server

import "math/bits"

// bitset is a set of message numbers. The zero value is empty.
type bitset []uint64

// add puts i into a set of numbers below n.
func (b *bitset) add(i, n int) {
	if *b == nil {
		*b = make(bitset, (n+63)/64)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) has(i int) bool { return b != nil && b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// list is the members that keep wants, in order; nil keep wants all.
func (b bitset) list(keep func(int) bool) []int {
	var out []int
	for at, w := range b {
		for ; w != 0; w &= w - 1 {
			if i := at*64 + bits.TrailingZeros64(w); keep == nil || keep(i) {
				out = append(out, i)
			}
		}
	}
	return out
}
