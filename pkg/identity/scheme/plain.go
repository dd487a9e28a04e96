package scheme

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// plainHash keeps a digest, so that comparing takes the same time for any
// length.
type plainHash struct{ sum [sha256.Size]byte }

func parsePlain(body string, _ Policy) (Hash, error) {
	if body == "" {
		return nil, fail.New(fail.Invalid, "stored password is empty")
	}
	return plainHash{sha256.Sum256([]byte(body))}, nil
}

func (h plainHash) Scheme() string { return "PLAIN" }

func (h plainHash) Verify(_ *Workspace, password string) bool {
	sum := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(sum[:], h.sum[:]) == 1
}

func generatePlain(_ *Workspace, password string) (string, error) { return password, nil }
