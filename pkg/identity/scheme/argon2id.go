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

const (
	argonLanes = 1
	argonSalt  = 16
	argonTag   = 32
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
	params    argon2.Params
	salt, tag []byte
}

// parseArgon2 reads the PHC string $argon2id$v=19$m=19456,t=2,p=1$salt$tag, or
// that of argon2i: Dovecot takes either for the other.
func parseArgon2(in input) (Hash, error) {
	parts := strings.Split(in.raw, "$")
	if len(parts) != 6 || parts[0] != "" || parts[2] != "v=19" {
		return nil, fail.New(fail.Invalid, "not an argon2 hash of version 19")
	}
	var h argon2Hash
	switch parts[1] {
	case "argon2id":
		h.params.Variant = argon2.ID
	case "argon2i":
		h.params.Variant = argon2.I
	default:
		return nil, fail.New(fail.Invalid, "not an argon2id or argon2i hash")
	}
	if err := parseArgonCosts(&h.params, parts[3], in.policy); err != nil {
		return nil, err
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	h.tag, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil {
		return nil, fail.New(fail.Invalid, "argon2 hash is not base64")
	}
	if len(h.salt) == 0 || len(h.salt) > maxArgonBytes || len(h.tag) < minArgonTag || len(h.tag) > maxArgonBytes {
		return nil, fail.New(fail.Invalid, "argon2 hash has a salt of %d and a tag of %d bytes", len(h.salt), len(h.tag))
	}
	return h, nil
}

func parseArgonCosts(to *argon2.Params, text string, p Policy) error {
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
	if to.Memory > p.memory() || to.Lanes > maxArgonLanes || uint64(to.Memory)*uint64(to.Time) > maxArgonWork {
		return fail.New(fail.Invalid, "argon2 costs %s exceed the limits (m=%d, p=%d, m*t=%d)", text, p.memory(), maxArgonLanes, maxArgonWork)
	}
	if to.Memory < 8*to.Lanes { // RFC 9106 section 3.1
		return fail.New(fail.Invalid, "argon2 costs %s have less than 8 KiB for each lane", text)
	}
	return nil
}

func (h argon2Hash) Scheme() string {
	if h.params.Variant == argon2.I {
		return "ARGON2I"
	}
	return "ARGON2ID"
}

func (h argon2Hash) Verify(w *Workspace, password string) bool {
	got := w.arena.Key(h.params, []byte(password), h.salt, len(h.tag))
	return subtle.ConstantTimeCompare(got, h.tag) == 1
}

func (h argon2Hash) costs() Costs {
	return Costs{Rounds: int(h.params.Time), MemoryKiB: h.params.Memory}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return b
}

// Decoy is a hash of the default scheme and costs that no password fits: its
// tag is random and belongs to none.
func Decoy() Hash {
	rounds, _, memory := argonCosts.limits()
	return argon2Hash{
		params: argon2.Params{Variant: argon2.ID, Time: uint32(rounds.usual), Memory: uint32(memory.usual), Lanes: argonLanes},
		salt:   random(argonSalt), tag: random(argonTag),
	}
}

func generateArgon2(o order) ([]byte, error) {
	p := argon2.Params{Variant: argon2.ID, Time: uint32(o.costs.Rounds), Memory: o.costs.MemoryKiB, Lanes: argonLanes}
	id := "argon2id"
	if o.row.name == "ARGON2I" {
		p.Variant, id = argon2.I, "argon2i"
	}
	salt := random(argonSalt)
	tag := o.w.arena.Key(p, []byte(o.password), salt, argonTag)
	return fmt.Appendf(nil, "$%s$v=19$m=%d,t=%d,p=%d$%s$%s", id, p.Memory, p.Time, p.Lanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(tag)), nil
}
