package bcrypt

import "encoding/base64"

const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func encoding() *base64.Encoding { return base64.NewEncoding(alphabet).WithPadding(base64.NoPadding) }

// EncodeSalt writes a salt in SaltLen characters.
func EncodeSalt(salt [16]byte) string { return encoding().EncodeToString(salt[:]) }

// DecodeSalt reads SaltLen characters. The last one has four bits too many;
// some programs set them, and they do not count.
func DecodeSalt(text string) (salt [16]byte, ok bool) {
	n, err := encoding().Decode(salt[:], []byte(text))
	return salt, err == nil && len(text) == SaltLen && n == len(salt)
}

// IsHash reports whether text can follow a salt.
func IsHash(text string) bool {
	_, err := encoding().DecodeString(text)
	return err == nil && len(text) == HashLen
}

// encode leaves out the last byte, as the first program did.
func encode(sum [24]byte) string { return encoding().EncodeToString(sum[:23]) }
