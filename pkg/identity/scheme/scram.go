package scheme

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	scramSalt    = 16
	maxSCRAMSalt = 64
)

// scramHash is what RFC 5802 section 3 stores. The password cannot be used by
// who steals it, but it can be guessed.
type scramHash struct {
	row               row
	iter              int
	salt              []byte
	stored, serverKey []byte
}

// parseSCRAM reads iterations,salt,StoredKey,ServerKey, all but the first in
// base64.
func parseSCRAM(in input) (Hash, error) {
	name := in.row.name
	parts := strings.Split(in.raw, ",")
	if len(parts) != 4 {
		return nil, fail.New(fail.Invalid, "not a %s hash", name)
	}
	limits, _, _ := scramCosts.limits()
	iter, err := strconv.ParseUint(parts[0], 10, 32)
	if err != nil || !limits.within(iter) {
		return nil, fail.New(fail.Invalid, "%s iterations are not a number from %d to %d", name, limits.min, limits.max)
	}
	h := scramHash{row: in.row, iter: int(iter)}
	size := in.row.hash().Size()
	for i, f := range []struct {
		to       *[]byte
		min, max int
	}{{&h.salt, 1, maxSCRAMSalt}, {&h.stored, size, size}, {&h.serverKey, size, size}} {
		b, err := base64.StdEncoding.DecodeString(parts[i+1])
		if err != nil || len(b) < f.min || len(b) > f.max {
			return nil, fail.New(fail.Invalid, "%s hash has a field %d that is not base64 of %d to %d bytes", name, i+2, f.min, f.max)
		}
		*f.to = b
	}
	return h, nil
}

func (h scramHash) Scheme() string { return h.row.scheme() }

// Verify prepares the password as clients do, RFC 5802 section 2.2. Dovecot does
// not when it makes a hash, so that the password as it is may be right too.
func (h scramHash) Verify(_ *Workspace, password string) bool {
	prepared := saslPrep(password)
	ok := h.fits(prepared)
	if prepared != password {
		ok = h.fits(password) || ok
	}
	return ok
}

func (h scramHash) fits(password string) bool {
	stored, _, err := scramKeys(h.row.hash, password, h.salt, h.iter)
	return err == nil && subtle.ConstantTimeCompare(stored, h.stored) == 1
}

func (h scramHash) costs() Costs { return Costs{Rounds: h.iter} }

// saslPrep is RFC 4013; a password that it forbids stays as it is.
func saslPrep(password string) string {
	if p, err := stringprep.SASLprep.Prepare(password); err == nil && p != "" {
		return p
	}
	return password
}

// scramKeys derives StoredKey and ServerKey, RFC 5802 section 3.
func scramKeys(h func() hash.Hash, password string, salt []byte, iter int) (stored, serverKey []byte, err error) {
	salted, err := pbkdf2.Key(h, password, salt, iter, h().Size())
	if err != nil {
		return nil, nil, fail.Wrap(fail.Permanent, err, "SCRAM")
	}
	mac := func(text string) []byte {
		m := hmac.New(h, salted)
		_, _ = m.Write([]byte(text))
		return m.Sum(nil)
	}
	d := h()
	_, _ = d.Write(mac("Client Key"))
	return d.Sum(nil), mac("Server Key"), nil
}

func generateSCRAM(o order) ([]byte, error) {
	salt := random(scramSalt)
	stored, server, err := scramKeys(o.row.hash, saslPrep(o.password), salt, o.costs.Rounds)
	if err != nil {
		return nil, err
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, "%d,%s,%s,%s", o.costs.Rounds, b64(salt), b64(stored), b64(server)), nil
}
