package scheme

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/identity/scheme/argon2"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Costs of new hashes: the first choice of OWASP's password storage sheet, 19
// MiB and two passes. More memory would let fewer logins run side by side.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonSalt   = 16
	argonTag    = 32
)

// Caps on stored hashes. The product of memory and time is what costs CPU:
// 8 GiB·passes take some seconds.
const (
	maxArgonLanes = 64
	maxArgonWork  = 8 << 20 // KiB·passes
	maxArgonBytes = 64      // salt and tag
	minArgonTag   = 16
)

type argon2Hash struct {
	name      string
	params    argon2.Params
	salt, tag []byte
}

// parseArgon2 reads the PHC string $argon2id$v=19$m=19456,t=2,p=1$salt$tag.
func parseArgon2(id string) func(string, Policy) (Hash, error) {
	h := argon2Hash{name: "ARGON2ID"}
	h.params.Variant = argon2.ID
	if id == "argon2i" {
		h.name, h.params.Variant = "ARGON2I", argon2.I
	}
	return func(body string, p Policy) (Hash, error) {
		parts := strings.Split(body, "$")
		if len(parts) != 6 || parts[0] != "" || parts[1] != id || parts[2] != "v=19" {
			return nil, fail.New(fail.Invalid, "not an %s hash of version 19", id)
		}
		h := h
		if err := parseCosts(&h.params, parts[3], p); err != nil {
			return nil, err
		}
		var err1, err2 error
		h.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
		h.tag, err2 = base64.RawStdEncoding.DecodeString(parts[5])
		if err1 != nil || err2 != nil {
			return nil, fail.New(fail.Invalid, "%s hash is not base64", id)
		}
		if len(h.salt) == 0 || len(h.salt) > maxArgonBytes || len(h.tag) < minArgonTag || len(h.tag) > maxArgonBytes {
			return nil, fail.New(fail.Invalid, "%s hash has a salt of %d and a tag of %d bytes", id, len(h.salt), len(h.tag))
		}
		return h, nil
	}
}

func parseCosts(to *argon2.Params, text string, p Policy) error {
	fields := strings.Split(text, ",")
	if len(fields) != 3 {
		return fail.New(fail.Invalid, "argon2 costs %.40q are not m=,t=,p=", text)
	}
	for i, f := range []struct {
		key string
		to  *uint32
	}{{"m=", &to.Memory}, {"t=", &to.Time}, {"p=", &to.Lanes}} {
		value, ok := strings.CutPrefix(fields[i], f.key)
		n, err := strconv.ParseUint(value, 10, 32)
		if !ok || err != nil || n == 0 {
			return fail.New(fail.Invalid, "argon2 costs %.40q are not m=,t=,p=", text)
		}
		*f.to = uint32(n)
	}
	if to.Memory > p.MaxMemoryKiB || to.Lanes > maxArgonLanes || uint64(to.Memory)*uint64(to.Time) > maxArgonWork {
		return fail.New(fail.Invalid, "argon2 costs %s exceed the limits (m=%d, p=%d, m*t=%d)", text, p.MaxMemoryKiB, maxArgonLanes, maxArgonWork)
	}
	if to.Memory < 8*to.Lanes { // RFC 9106 section 3.1
		return fail.New(fail.Invalid, "argon2 costs %s have less than 8 KiB for each lane", text)
	}
	return nil
}

func (h argon2Hash) Scheme() string { return h.name }

func (h argon2Hash) Verify(w *Workspace, password string) bool {
	got := w.arena.Key(h.params, []byte(password), h.salt, len(h.tag))
	return subtle.ConstantTimeCompare(got, h.tag) == 1
}

func newCosts() argon2.Params {
	return argon2.Params{Variant: argon2.ID, Time: argonTime, Memory: argonMemory, Lanes: argonLanes}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return b
}

// Decoy is a hash of the default scheme and costs that no password fits: its
// tag is random and belongs to none.
func Decoy() Hash {
	return argon2Hash{name: Default, params: newCosts(), salt: random(argonSalt), tag: random(argonTag)}
}

func generateArgon2ID(w *Workspace, password string) (string, error) {
	salt, p := random(argonSalt), newCosts()
	tag := w.arena.Key(p, []byte(password), salt, argonTag)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", p.Memory, p.Time, p.Lanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(tag)), nil
}
