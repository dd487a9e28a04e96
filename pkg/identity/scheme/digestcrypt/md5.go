package digestcrypt

import "crypto/md5"

// MD5Len is the length of the encoded result.
const MD5Len = 22

const md5Rounds = 1000

// MD5 is the part of a $1$ hash behind its salt, as FreeBSD 2 introduced it.
func MD5(password, salt string) string {
	d := digest{md5.Size, func(out, in []byte) {
		sum := md5.Sum(in)
		copy(out, sum[:])
	}}
	pw, s := []byte(password), []byte(salt)
	b := d.of(pw, s, pw)
	in := append(append(append([]byte(nil), pw...), "$1$"...), s...)
	in = append(in, stretch(b, len(pw))...)
	for n := len(pw); n > 0; n >>= 1 {
		if n&1 != 0 {
			in = append(in, 0)
		} else {
			in = append(in, pw[0])
		}
	}
	a := d.of(in)
	d.rounds(a, pw, s, md5Rounds)
	out := make([]byte, 0, MD5Len)
	for i := range 4 {
		out = appendGroup(out, a[i], a[i+6], a[i+12], 4)
	}
	out = appendGroup(out, a[4], a[10], a[5], 4)
	return string(appendGroup(out, 0, 0, a[11], 2))
}
