package digest

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"

	"github.com/postcote/postcote/pkg/platform/message"
)

// maxReferences caps the ancestors of one message. Of a longer list the root
// and the nearest ones count.
const maxReferences = 100

// IDs returns the hashes of the message ids in a field value, at most max of
// them, those at the end left out. Quoting does not matter (RFC 5256 section 3,
// THREAD): <"a"@b> and <a@b> are the same.
func IDs(value string, max int) []uint64 {
	var out []uint64
	for len(out) < max {
		open := strings.IndexByte(value, '<')
		if open < 0 {
			break
		}
		value = value[open+1:]
		end := strings.IndexAny(value, "<>")
		if end < 0 {
			break
		}
		if value[end] == '<' {
			value = value[end:]
			continue
		}
		if id := value[:end]; strings.IndexByte(id, '@') > 0 {
			out = append(out, hash(id))
		}
		value = value[end+1:]
	}
	return out
}

// hash is FNV-1a over the id without quoting and white space; never 0. A
// sender who makes two ids collide gains nothing: to claim a place in a thread
// he can write the id itself.
func hash(id string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(id); i++ {
		switch c := id[i]; c {
		case '"', '\\', ' ', '\t', '\r', '\n':
		default:
			h = (h ^ uint64(c)) * 1099511628211
		}
	}
	return max(h, 1)
}

func references(h message.Header) []uint64 {
	const enough = 10_000
	refs := IDs(h.Get("References"), enough)
	if len(refs) == 0 {
		return IDs(h.Get("In-Reply-To"), 1)
	}
	if n := len(refs); n > maxReferences {
		refs = append(refs[:1:1], refs[n-maxReferences+1:]...)
	}
	return refs
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
