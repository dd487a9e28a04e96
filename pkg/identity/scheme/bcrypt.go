package scheme

import (
	"golang.org/x/crypto/bcrypt"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Cost 16 takes some seconds; each step doubles it.
const (
	bcryptCost    = 12
	maxBcryptCost = 16
	bcryptBytes   = 60
	bcryptMax     = 72 // bytes of a password that count
)

type bcryptHash struct{ stored []byte }

// parseBcrypt reads $2a$, $2b$, $2x$ and $2y$, which differ in the bugs of
// their makers and are computed alike.
func parseBcrypt(body string, _ Policy) (Hash, error) {
	cost, err := bcrypt.Cost([]byte(body))
	if err != nil || len(body) != bcryptBytes {
		return nil, fail.New(fail.Invalid, "not a bcrypt hash")
	}
	if cost > maxBcryptCost {
		return nil, fail.New(fail.Invalid, "bcrypt cost %d exceeds the limit %d", cost, maxBcryptCost)
	}
	return bcryptHash{[]byte(body)}, nil
}

func (h bcryptHash) Scheme() string { return "BLF-CRYPT" }

func (h bcryptHash) Verify(_ *Workspace, password string) bool {
	return bcrypt.CompareHashAndPassword(h.stored, []byte(password)) == nil
}

func generateBcrypt(_ *Workspace, password string) (string, error) {
	if len(password) > bcryptMax {
		return "", fail.New(fail.Invalid, "bcrypt ignores all but the first %d bytes of a password; choose another scheme", bcryptMax)
	}
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcryptCost)
	if err != nil {
		return "", fail.Wrap(fail.Temporary, err, "bcrypt")
	}
	// The same computation; crypt(3) and Dovecot know it as 2y.
	b[2] = 'y'
	return string(b), nil
}
