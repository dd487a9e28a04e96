package digest

import (
	"crypto/sha256"
	"encoding/base64"
	"io"

	"github.com/postcote/postcote/pkg/platform/message"
)

// messageID is the hash of the first message id in a field value, 0 when there
// is none.
func messageID(value string) uint64 {
	id, _ := nextID(value)
	if id == "" {
		return 0
	}
	return hash(id)
}

// references are the hashes of the References field, or else the first id of
// In-Reply-To (RFC 5256 section 3, REFERENCES).
func references(h message.Header) []uint64 {
	refs := collectIDs(h.Get("References"), hash)
	if len(refs) > 0 {
		return refs
	}
	if id := messageID(h.Get("In-Reply-To")); id != 0 {
		return []uint64{id}
	}
	return nil
}

// hash is FNV-1a over a normalised id; never 0. A sender who makes two ids
// collide gains nothing: to claim a place in a thread he can write the id
// itself.
func hash(id string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return max(h, 1)
}

// EmailID names a message by what it says (RFC 8474 section 5.1): 128 bits of
// the SHA-256 of its bytes as stored. Copies have the same one, and nobody can
// make two messages that share one.
func EmailID(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return "M" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16]), nil
}
