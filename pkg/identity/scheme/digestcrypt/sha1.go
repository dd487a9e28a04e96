package digestcrypt

import (
	"crypto/hmac"
	"crypto/sha1"
	"strconv"
)

// SHA1Len is the length of the encoded result.
const SHA1Len = 28

// SHA1 is the part of a $sha1$ hash behind its salt, NetBSD's iterated
// HMAC-SHA1.
func SHA1(password, salt string, rounds int) string {
	mac := hmac.New(sha1.New, []byte(password))
	a := append([]byte(salt+"$sha1$"), strconv.Itoa(rounds)...)
	for range rounds {
		mac.Reset()
		_, _ = mac.Write(a)
		a = mac.Sum(a[:0])
	}
	out := make([]byte, 0, SHA1Len)
	for i := 0; i < 18; i += 3 {
		out = appendGroup(out, a[i], a[i+1], a[i+2], 4)
	}
	return string(appendGroup(out, a[18], a[19], a[0], 4))
}
