package scheme

import (
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/identity/scheme/bcrypt"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const bcryptPrefix = len("$2y$12$")

type bcryptHash struct {
	variant byte
	cost    int
	salt    [16]byte
	want    string
}

// parseBcrypt reads $2a$, $2b$, $2x$ and $2y$.
func parseBcrypt(in input) (Hash, error) {
	text := in.raw
	if len(text) != bcryptPrefix+bcrypt.SaltLen+bcrypt.HashLen || text[:2] != "$2" ||
		strings.IndexByte("abxy", text[2]) < 0 || text[3] != '$' || text[6] != '$' {
		return nil, fail.New(fail.Invalid, "not a bcrypt hash")
	}
	cost, err := strconv.ParseUint(text[4:6], 10, 8)
	if _, limits, _ := bcryptCosts.limits(); err != nil || !limits.within(cost) {
		return nil, fail.New(fail.Invalid, "bcrypt cost %.2q is not between %d and %d", text[4:6], limits.min, limits.max)
	}
	salt, ok := bcrypt.DecodeSalt(text[bcryptPrefix : bcryptPrefix+bcrypt.SaltLen])
	want := text[bcryptPrefix+bcrypt.SaltLen:]
	if !ok || !bcrypt.IsHash(want) {
		return nil, fail.New(fail.Invalid, "bcrypt hash has characters that are not of its base64")
	}
	return bcryptHash{text[2], int(cost), salt, want}, nil
}

func (h bcryptHash) Scheme() string { return "BLF-CRYPT" }

func (h bcryptHash) Verify(w *Workspace, password string) bool {
	if !cryptable(password) {
		return false
	}
	got := w.blowfish.Hash(password, h.salt, h.variant, h.cost)
	return subtle.ConstantTimeCompare([]byte(got), []byte(h.want)) == 1
}

func (h bcryptHash) costs() Costs {
	if h.variant == 'x' {
		return Costs{} // one that other passwords fit is always too cheap
	}
	return Costs{Cost: h.cost}
}

func generateBcrypt(o order) ([]byte, error) {
	if len(o.password) > bcrypt.MaxPassword {
		return nil, fail.New(fail.Invalid, "bcrypt ignores all but the first %d bytes of a password; choose another scheme", bcrypt.MaxPassword)
	}
	salt := [16]byte(random(16))
	hash := o.w.blowfish.Hash(o.password, salt, 'y', o.costs.Cost)
	return fmt.Appendf(nil, "$2y$%02d$%s%s", o.costs.Cost, bcrypt.EncodeSalt(salt), hash), nil
}
