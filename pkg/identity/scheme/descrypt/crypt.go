package descrypt

import "strings"

const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// HashLen is the length of the encoded results.
const HashLen = 11

const (
	traditionalCount = 25
	keyChars         = 8
)

// Traditional is the eleven characters behind a salt of 12 bits. It sees the
// low seven bits of the first eight bytes of password.
func Traditional(password string, salt uint32) string {
	c := newCipher()
	c.key(keyOf(password))
	return encode(c.repeat(0, salt, traditionalCount))
}

// Extended is the eleven characters behind "_", count and a salt of 24 bits.
// It sees the low seven bits of every byte.
func Extended(password string, salt, count uint32) string {
	c := newCipher()
	key := keyOf(password)
	c.key(key)
	for len(password) > keyChars {
		password = password[keyChars:]
		key = c.repeat(key, 0, 1) ^ keyOf(password)
		c.key(key)
	}
	return encode(c.repeat(0, salt, count))
}

// keyOf takes up to eight characters; the parity bits of a DES key stay zero.
func keyOf(password string) uint64 {
	var key uint64
	for i := range keyChars {
		key <<= 8
		if i < len(password) {
			key |= uint64(password[i]&0x7f) << 1
		}
	}
	return key
}

func encode(block uint64) string {
	var out [HashLen]byte
	for i := range out {
		shift := 58 - 6*i
		if shift < 0 {
			out[i] = alphabet[block<<2&63]
			break
		}
		out[i] = alphabet[block>>shift&63]
	}
	return string(out[:])
}

// Number decodes up to five characters, the low sextet first, as salts and
// counts are written.
func Number(text string) (uint32, bool) {
	var n uint32
	for i := len(text) - 1; i >= 0; i-- {
		v := strings.IndexByte(alphabet, text[i])
		if v < 0 {
			return 0, false
		}
		n = n<<6 | uint32(v)
	}
	return n, true
}

// IsHash reports whether text has only characters of a hash.
func IsHash(text string) bool {
	for i := range len(text) {
		if strings.IndexByte(alphabet, text[i]) < 0 {
			return false
		}
	}
	return true
}
