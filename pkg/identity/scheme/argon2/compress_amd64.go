package argon2

import "golang.org/x/sys/cpu"

// compress sets b to G(x, y), RFC 9106 section 3.5; with xor, to b XOR G(x, y)
// as passes after the first do. b may be x or y.
func (b *block) compress(x, y *block, xor bool) {
	if cpu.X86.HasAVX2 {
		compressAVX2(b, x, y, xor)
		return
	}
	b.compressGeneric(x, y, xor)
}

// compressAVX2 takes half the time. It touches 1024 bytes behind each pointer
// and its own frame, nothing else.
//
//go:noescape
func compressAVX2(b, x, y *block, xor bool)
