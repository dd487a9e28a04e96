package yescrypt

import "math/bits"

// chunk is 64 bytes in the order of load.
type chunk [chunkWords]uint64

func xor(a, b *chunk) chunk {
	var out chunk
	for i := range out {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// salsa is Salsa20 with so many rounds, the input added (RFC 7914 section 3).
func salsa(in chunk, rounds int) chunk {
	var w [16]uint32
	for i := range w {
		w[5*i%16] = uint32(in[i/2] >> (32 * (i % 2)))
	}
	for range rounds / 2 {
		for i := range 4 { // columns, then rows
			quarter(&w, 5*i%16, (5*i+4)%16, (5*i+8)%16, (5*i+12)%16)
		}
		for i := range 4 {
			quarter(&w, 5*i, 4*i+(i+1)%4, 4*i+(i+2)%4, 4*i+(i+3)%4)
		}
	}
	var out chunk
	for i := range w {
		v := w[5*i%16] + uint32(in[i/2]>>(32*(i%2)))
		out[i/2] |= uint64(v) << (32 * (i % 2))
	}
	return out
}

func quarter(w *[16]uint32, a, b, c, d int) {
	w[b] ^= bits.RotateLeft32(w[a]+w[d], 7)
	w[c] ^= bits.RotateLeft32(w[b]+w[a], 9)
	w[d] ^= bits.RotateLeft32(w[c]+w[b], 13)
	w[a] ^= bits.RotateLeft32(w[d]+w[c], 18)
}
