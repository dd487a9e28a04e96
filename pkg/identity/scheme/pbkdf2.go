package scheme

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const pbkdf2Salt = 16

type pbkdf2Hash struct {
	salt string
	iter int
	want []byte
}

// parsePBKDF2 reads Dovecot's $1$salt$iterations$hash: PBKDF2-HMAC-SHA-1, the
// salt as it stands there, the hash in hexadecimal.
func parsePBKDF2(in input) (Hash, error) {
	parts := strings.Split(in.raw, "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "1" {
		return nil, fail.New(fail.Invalid, "not a PBKDF2 hash")
	}
	limits, _, _ := pbkdf2Costs.limits()
	iter, err := strconv.ParseUint(parts[3], 10, 32)
	if err != nil || !limits.within(iter) {
		return nil, fail.New(fail.Invalid, "PBKDF2 iterations are not a number from %d to %d", limits.min, limits.max)
	}
	want, err := hex.DecodeString(parts[4])
	if err != nil || len(want) != sha1.Size {
		return nil, fail.New(fail.Invalid, "PBKDF2 hash is not %d bytes in hexadecimal", sha1.Size)
	}
	return pbkdf2Hash{parts[2], int(iter), want}, nil
}

func (h pbkdf2Hash) Scheme() string { return "PBKDF2" }

func (h pbkdf2Hash) Verify(_ *Workspace, password string) bool {
	got, err := pbkdf2.Key(sha1.New, password, []byte(h.salt), h.iter, sha1.Size)
	return err == nil && subtle.ConstantTimeCompare(got, h.want) == 1
}

func (h pbkdf2Hash) costs() Costs { return Costs{Rounds: h.iter} }

func generatePBKDF2(o order) ([]byte, error) {
	salt := randomText(pbkdf2Salt)
	key, err := pbkdf2.Key(sha1.New, o.password, []byte(salt), o.costs.Rounds, sha1.Size)
	if err != nil {
		return nil, fail.Wrap(fail.Permanent, err, "PBKDF2")
	}
	return fmt.Appendf(nil, "$1$%s$%d$%x", salt, o.costs.Rounds, key), nil
}
