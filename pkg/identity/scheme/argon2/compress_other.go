//go:build !amd64

package argon2

// compress sets b to G(x, y), RFC 9106 section 3.5; with xor, to b XOR G(x, y)
// as passes after the first do. b may be x or y.
func (b *block) compress(x, y *block, xor bool) { b.compressGeneric(x, y, xor) }
