package policy

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// digest is Dovecot's: the first bits of H(nonce user NUL password), in
// hexadecimal. Bits that do not fill the last byte are shifted down.
func digest(mech, nonce, user, password string, bits int) string {
	var h hash.Hash
	switch mech {
	case "sha1":
		h = sha1.New()
	case "sha512":
		h = sha512.New()
	default:
		h = sha256.New()
	}
	_, _ = h.Write([]byte(nonce + user + "\x00" + password))
	return hex.EncodeToString(truncate(h.Sum(nil), bits))
}

// truncate keeps the first bits, right-aligned in as few bytes as they take.
func truncate(sum []byte, bits int) []byte {
	size := (bits + 7) / 8
	out := append([]byte{}, sum[:size]...)
	if shift := size*8 - bits; shift > 0 {
		for i := size - 1; i > 0; i-- {
			out[i] = out[i]>>shift | out[i-1]<<(8-shift)
		}
		out[0] >>= shift
	}
	return out
}

// readHeader splits "Name: value".
func readHeader(f conf.SecretFile) (header [2]string, err error) {
	line, err := f.Read()
	if err != nil {
		return header, err
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" || strings.ContainsAny(line, "\r\n") {
		return header, fail.New(fail.Invalid, "file %s does not hold one header line", f)
	}
	return [2]string{name, strings.TrimSpace(value)}, nil
}
