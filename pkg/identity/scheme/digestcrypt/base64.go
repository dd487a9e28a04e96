package digestcrypt

// alphabet is crypt(3)'s base64. Groups are emitted with their low bits first.
const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// appendGroup appends the n low sextets of the 24 bits b2 b1 b0.
func appendGroup(to []byte, b2, b1, b0 byte, n int) []byte {
	v := uint(b2)<<16 | uint(b1)<<8 | uint(b0)
	for range n {
		to = append(to, alphabet[v&63])
		v >>= 6
	}
	return to
}
