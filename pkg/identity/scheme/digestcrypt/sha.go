package digestcrypt

import (
	"crypto/sha256"
	"crypto/sha512"
)

// Lengths of the encoded results.
const (
	SHA512Len = 86
	SHA256Len = 43
)

// SHA512 is the part of a $6$ hash behind its salt.
func SHA512(password, salt string, rounds int) string {
	d := digest{sha512.Size, func(out, in []byte) {
		sum := sha512.Sum512(in)
		copy(out, sum[:])
	}}
	a := d.sha(password, salt, rounds)
	out := make([]byte, 0, SHA512Len)
	x, y, z := 0, 21, 42
	for range 21 {
		out = appendGroup(out, a[x], a[y], a[z], 4)
		x, y, z = y+1, z+1, x+1
	}
	return string(appendGroup(out, 0, 0, a[63], 2))
}

// SHA256 is the part of a $5$ hash behind its salt.
func SHA256(password, salt string, rounds int) string {
	d := digest{sha256.Size, func(out, in []byte) {
		sum := sha256.Sum256(in)
		copy(out, sum[:])
	}}
	a := d.sha(password, salt, rounds)
	out := make([]byte, 0, SHA256Len)
	x, y, z := 0, 10, 20
	for range 10 {
		out = appendGroup(out, a[x], a[y], a[z], 4)
		x, y, z = z+1, x+1, y+1
	}
	return string(appendGroup(out, 0, a[31], a[30], 3))
}

// sha follows Drepper's "Unix crypt using SHA-256 and SHA-512", version 0.6;
// the letters are his.
func (d digest) sha(password, salt string, rounds int) []byte {
	pw, s := []byte(password), []byte(salt)
	b := d.of(pw, s, pw)
	in := append(append(append([]byte(nil), pw...), s...), stretch(b, len(pw))...)
	for n := len(pw); n > 0; n >>= 1 {
		if n&1 != 0 {
			in = append(in, b...)
		} else {
			in = append(in, pw...)
		}
	}
	a := d.of(in)
	dp := d.of(stretch(pw, len(pw)*len(pw)))
	ds := d.of(stretch(s, len(s)*(16+int(a[0]))))
	d.rounds(a, stretch(dp, len(pw)), stretch(ds, len(s)), rounds)
	return a
}
