package apppassword

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// An app password is five groups of four letters and digits, "7kq2-m9xw-…".
// The 32 characters leave out those that are easily taken for another, so each
// is worth 5 bits: 100 bits, which nobody guesses. Therefore one round of
// SHA-256 protects it as well as a slow hash would, and a phone that connects
// every minute costs nothing.
const (
	letters   = "abcdefghjkmnpqrstuvwxyz123456789"
	groups    = 5
	groupSize = 4
	saltSize  = 16
)

// Generate makes an app password.
func Generate() string {
	var random [groups * groupSize]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%groupSize == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[r%byte(len(letters))])
	}
	return b.String()
}

// Canonical is an app password as Generate made it, from what somebody typed:
// in capitals, without dashes or with spaces. ok is false for what can be none.
func Canonical(typed string) (password string, ok bool) {
	if len(typed) > 4*groups*groupSize {
		return "", false
	}
	var b strings.Builder
	n := 0
	for _, r := range strings.ToLower(typed) {
		if r == '-' || r == ' ' {
			continue
		}
		if r >= 0x80 || strings.IndexByte(letters, byte(r)) < 0 {
			return "", false
		}
		if n > 0 && n%groupSize == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(byte(r))
		n++
	}
	return b.String(), n == groups*groupSize
}

// Digest is a stored app password: the parts of Dovecot's {SSHA256}.
type Digest struct {
	sum  [sha256.Size]byte
	salt string
}

const digestPrefix = "{SSHA256}"

// NewDigest protects a password with a fresh salt.
func NewDigest(password string) Digest {
	var salt [saltSize]byte
	_, _ = rand.Read(salt[:])
	return digestWith(password, string(salt[:]))
}

func digestWith(password, salt string) Digest {
	return Digest{sha256.Sum256([]byte(password + salt)), salt}
}

// String is the form that is stored.
func (d Digest) String() string {
	return digestPrefix + base64.StdEncoding.EncodeToString(append(d.sum[:], d.salt...))
}

// ParseDigest reads it. Its error is an outage: the store holds what it should
// not.
func ParseDigest(stored string) (Digest, error) {
	text, ok := strings.CutPrefix(stored, digestPrefix)
	raw, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) != sha256.Size+saltSize {
		return Digest{}, fail.New(fail.Unavailable, "stored app password is not of our kind")
	}
	d := Digest{salt: string(raw[sha256.Size:])}
	copy(d.sum[:], raw)
	return d, nil
}

// Matches compares in constant time. password is canonical.
func (d Digest) Matches(password string) bool {
	got := digestWith(password, d.salt)
	return subtle.ConstantTimeCompare(got.sum[:], d.sum[:]) == 1
}

// SCRAMPrefix begins what SCRAM returns.
const SCRAMPrefix = "{SCRAM-SHA-256}"

// SCRAM is the password as SCRAM-SHA-256 needs it, in Dovecot's form. All app
// passwords of a user have the same salt, since the server must name one before
// it knows which of them the client has: like is another one's, empty if there
// is none.
func SCRAM(password, like string) string {
	// As many iterations as for users whom nobody knows, so that they do not
	// tell who exists.
	decoy := scheme.DecoySecret(nil, "", sasl.SecretSCRAMSHA256)
	salt, iter := make([]byte, saltSize), decoy.Iter
	_, _ = rand.Read(salt) // never fails
	if d, err := scheme.Derive(like, sasl.SecretSCRAMSHA256, "", "", scheme.Policy{}); err == nil {
		if old, err := d.Secret(); err == nil {
			salt, iter = old.Salt, old.Iter
		}
	}
	s := sasl.SecretOf(sasl.SecretSCRAMSHA256, sasl.Identity{}, password, salt, iter)
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s%d,%s,%s,%s", SCRAMPrefix, s.Iter, b64(s.Salt), b64(s.StoredKey), b64(s.ServerKey))
}
