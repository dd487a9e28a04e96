package expand

import (
	"crypto/md5"  // #nosec G501 -- spreads users over folders, protects nothing
	"crypto/sha1" // #nosec G505 -- the same
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxRounds caps the work that a template may ask for.
const maxRounds = 100_000

// digest is a hash with its settings.
type digest struct {
	algorithm string
	rounds    int
	salt      string
}

// newDigest is nil for a hash that is not known.
func newDigest(algorithm string) hash.Hash {
	switch algorithm {
	case "md5":
		return md5.New()
	case "sha1":
		return sha1.New()
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	case "sha3-256":
		return sha3.New256()
	case "sha3-512":
		return sha3.New512()
	}
	return nil
}

func (d digest) size() int { return newDigest(d.algorithm).Size() }

// sum hashes the salt and the input, then the salt and the result, and so on.
func (d digest) sum(input []byte) []byte {
	h := newDigest(d.algorithm)
	for range d.rounds {
		h.Reset()
		_, _ = h.Write([]byte(d.salt))
		_, _ = h.Write(input)
		input = h.Sum(nil)
	}
	return input
}

// truncateBits keeps the first bits of b as a number; 0 keeps all.
func truncateBits(b []byte, bits int) []byte {
	if bits <= 0 || bits >= len(b)*8 {
		return b
	}
	out := append([]byte{}, b[:(bits+7)/8]...)
	shift := (8 - bits%8) % 8
	for i := len(out) - 1; i >= 0; i-- {
		out[i] >>= shift
		if i > 0 {
			out[i] |= byte(int(out[i-1]) << (8 - shift))
		}
	}
	return out
}

func hexText(b []byte) string    { return hex.EncodeToString(b) }
func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// number reads a whole number within bounds.
func number(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fail.New(fail.Invalid, "%.20q is not a number from %d to %d", text, low, high)
	}
	return n, nil
}
