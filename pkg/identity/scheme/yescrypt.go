package scheme

import (
	"crypto/subtle"
	"strings"

	"golang.org/x/crypto/scrypt"

	"github.com/postcote/postcote/pkg/identity/scheme/descrypt"
	"github.com/postcote/postcote/pkg/identity/scheme/yescrypt"
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

// yescryptHash is a hash of yescrypt, or of that wrapped by gost-yescrypt.
type yescryptHash struct {
	n, r    int
	salt    []byte
	gost    bool
	setting string // what stands before the last $
	want    string
}

// parseYescrypt reads $y$parameters$salt$hash, or the same after $gy$. The
// parameters are "j" for the only flavour that crypt(3) makes, N and r.
func parseYescrypt(in input) (Hash, error) {
	parts := strings.Split(in.raw, "$")
	if len(parts) != 5 || len(parts[4]) != scryptText {
		return nil, fail.New(fail.Invalid, "not a yescrypt hash")
	}
	logN, r, ok := yescryptCosts(parts[2])
	if !ok {
		return nil, fail.New(fail.Invalid, "yescrypt parameters %.20q are not of the kind that crypt(3) makes", parts[2])
	}
	if err := (scryptCosts{logN, r, 1}).check("yescrypt", in.policy); err != nil {
		return nil, err
	}
	salt, ok := yescrypt.Decode(parts[3])
	if !ok {
		return nil, fail.New(fail.Invalid, "yescrypt salt is not in crypt(3)'s base64")
	}
	setting, _, _ := strings.Cut(in.raw, "$"+parts[4])
	return yescryptHash{1 << logN, int(r), salt, parts[1] == "gy", setting, parts[4]}, nil
}

// yescryptCosts reads "j" and two numbers, each less one. Numbers are of variable
// length; those of crypt(3) stay within one character.
func yescryptCosts(text string) (logN, r uint32, ok bool) {
	if len(text) != 3 || text[0] != 'j' {
		return 0, 0, false
	}
	logN, ok1 := descrypt.Number(text[1:2])
	r, ok2 := descrypt.Number(text[2:])
	logN, r = logN+1, r+1
	return logN, r, ok1 && ok2 && logN >= 2 && logN <= 18 && r <= 32
}

func (h yescryptHash) Scheme() string { return "CRYPT" }

func (h yescryptHash) Verify(w *Workspace, password string) bool {
	if !cryptable(password) {
		return false
	}
	key := w.yescrypt.Key([]byte(password), h.salt, h.n, h.r)
	if h.gost {
		key = yescrypt.GOST([]byte(password), h.setting, key)
	}
	return subtle.ConstantTimeCompare([]byte(yescrypt.Encode(key[:])), []byte(h.want)) == 1
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
		return yescrypt.Encode(key)
	}}, nil
}
