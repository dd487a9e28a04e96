package scheme

import (
	"crypto/sha256"
	"crypto/subtle"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// plainHash keeps a digest, so that comparing takes the same time for any
// length and nobody can print the password.
type plainHash struct{ sum [sha256.Size]byte }

func parsePlain(in input) (Hash, error) {
	if in.raw == "" {
		return nil, fail.New(fail.Invalid, "stored password is empty")
	}
	return plainHash{sha256.Sum256([]byte(in.raw))}, nil
}

func (h plainHash) Scheme() string { return "PLAIN" }

func (h plainHash) Verify(_ *Workspace, password string) bool {
	sum := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(sum[:], h.sum[:]) == 1
}

func generatePlain(o order) ([]byte, error) { return []byte(o.password), nil }

// truncatedHash is a readable password of which a former system kept the
// beginning only.
type truncatedHash struct {
	kept   plainHash
	length int
	cut    bool // any password that begins so is right
}

// parseTruncated reads length-password. If the password is as long as the
// length says, it may have been cut there.
func parseTruncated(in input) (Hash, error) {
	digits, kept, ok := strings.Cut(in.raw, "-")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || n == 0 || n > sasl.MaxPassword || kept == "" {
		return nil, fail.New(fail.Invalid, "not a PLAIN-TRUNC password, which is a length, a hyphen and a beginning")
	}
	return truncatedHash{plainHash{sha256.Sum256([]byte(kept))}, len(kept), len(kept) == int(n)}, nil
}

func (h truncatedHash) Scheme() string { return "PLAIN-TRUNC" }

func (h truncatedHash) Verify(w *Workspace, password string) bool {
	if h.cut && len(password) > h.length {
		password = password[:h.length]
	}
	return h.kept.Verify(w, password)
}
