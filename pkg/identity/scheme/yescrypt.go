package scheme

import (
	"strings"

	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/scrypt"

	"github.com/postcote/postcote/pkg/identity/scheme/descrypt"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	// maxScryptWork caps N·r: 4 GiB of memory traffic take some seconds.
	maxScryptWork = 1 << 25
	maxScryptLog  = 31
	scryptText    = 43 // characters of a hash
	scryptBytes   = 32
)

// scryptCosts are N, r and p of scrypt.
type scryptCosts struct{ logN, r, p uint32 }

// check holds the costs to memory (128·N·r bytes) and time.
func (c scryptCosts) check(kind string, p Policy) error {
	if c.logN < 1 || c.logN > maxScryptLog || c.r < 1 || c.p < 1 {
		return fail.New(fail.Invalid, "%s costs are out of range", kind)
	}
	blocks := uint64(c.r) << c.logN
	if blocks/8 > uint64(p.memory()) || blocks*uint64(c.p) > maxScryptWork {
		return fail.New(fail.Invalid, "%s costs N=2^%d, r=%d, p=%d exceed the limits (%d KiB, N*r*p=%d)", kind, c.logN, c.r, c.p, p.memory(), maxScryptWork)
	}
	return nil
}

// parseYescrypt reads $y$params$salt$hash.
func parseYescrypt(in input) (Hash, error) {
	parts := strings.Split(in.raw, "$")
	if len(parts) != 5 || len(parts[4]) != scryptText {
		return nil, fail.New(fail.Invalid, "not a yescrypt hash")
	}
	_, logN, r, err := yescrypt.DecodeSetting([]byte(parts[2]))
	// Parameters are numbers of variable length; these stay within one character.
	if err != nil || logN < 10 || logN > 18 || r < 1 || r > 32 {
		return nil, fail.New(fail.Invalid, "yescrypt parameters %.20q are not of the kind that crypt(3) makes", parts[2])
	}
	costs := scryptCosts{uint32(logN), uint32(r), 1}
	if err := costs.check("yescrypt", in.policy); err != nil {
		return nil, err
	}
	salt := yescrypt.Decode64([]byte(parts[3]))
	if salt == nil {
		return nil, fail.New(fail.Invalid, "yescrypt salt is not base64")
	}
	return cryptHash{"CRYPT", 0, parts[4], func(password string) string {
		key, err := yescrypt.Key([]byte(password), salt, 1<<logN, r, 1, scryptBytes)
		if err != nil {
			return ""
		}
		return string(yescrypt.Encode64(key))
	}}, nil
}

// parseScrypt reads $7$, one character of log2 N, five of r, five of p, the
// salt as it stands, $ and the hash.
func parseScrypt(in input) (Hash, error) {
	const fixed = len("$7$") + 1 + 5 + 5
	last := strings.LastIndexByte(in.raw, '$')
	if last < fixed || len(in.raw)-last-1 != scryptText {
		return nil, fail.New(fail.Invalid, "not an scrypt hash")
	}
	logN, ok1 := descrypt.Number(in.raw[3:4])
	r, ok2 := descrypt.Number(in.raw[4:9])
	lanes, ok3 := descrypt.Number(in.raw[9:fixed])
	if !ok1 || !ok2 || !ok3 {
		return nil, fail.New(fail.Invalid, "scrypt parameters are not in crypt(3)'s base64")
	}
	costs := scryptCosts{logN, r, lanes}
	if err := costs.check("scrypt", in.policy); err != nil {
		return nil, err
	}
	salt := []byte(in.raw[fixed:last])
	return cryptHash{"CRYPT", 0, in.raw[last+1:], func(password string) string {
		key, err := scrypt.Key([]byte(password), salt, 1<<costs.logN, int(costs.r), int(costs.p), scryptBytes)
		if err != nil {
			return ""
		}
		return string(yescrypt.Encode64(key))
	}}, nil
}
