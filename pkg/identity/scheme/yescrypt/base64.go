package yescrypt

import "strings"

const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Encode writes bytes in crypt(3)'s base64: groups of three, low bits first.
func Encode(b []byte) string {
	var out []byte
	for len(b) > 0 {
		n := min(len(b), 3)
		var v uint32
		for i, c := range b[:n] {
			v |= uint32(c) << (8 * i)
		}
		for range n + 1 {
			out = append(out, alphabet[v&63])
			v >>= 6
		}
		b = b[n:]
	}
	return string(out)
}

// Decode reads what Encode wrote. Bits that stand for no byte must be zero.
func Decode(text string) ([]byte, bool) {
	out := make([]byte, 0, len(text)*3/4)
	for len(text) > 0 {
		n := min(len(text), 4)
		var v uint32
		for i := range n {
			c := strings.IndexByte(alphabet, text[i])
			if c < 0 {
				return nil, false
			}
			v |= uint32(c) << (6 * i)
		}
		for range n - 1 {
			out = append(out, byte(v))
			v >>= 8
		}
		if n == 1 || v != 0 {
			return nil, false
		}
		text = text[n:]
	}
	return out, true
}
