package scheme

import (
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/identity/scheme/descrypt"
	"github.com/postcote/postcote/pkg/identity/scheme/digestcrypt"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	maxSHASalt   = 16
	maxMD5Salt   = 8
	maxSHA1Salt  = 64
	defaultSHA   = 5000 // rounds of a hash that does not say
	desSalt      = 2
	maxDESRounds = 1 << 22 // a second or two
	// maxCryptPassword is CRYPT_MAX_PASSPHRASE_SIZE of libxcrypt without its
	// NUL. Some of its hashes cost the square of the length.
	maxCryptPassword = 511
)

// cryptable reports whether crypt(3) can take a password.
func cryptable(password string) bool {
	return len(password) <= maxCryptPassword && strings.IndexByte(password, 0) < 0
}

// cryptHash is a hash of crypt(3) that is compared as text.
type cryptHash struct {
	scheme  string
	rounds  int // 0: fixed
	want    string
	compute func(password string) string
}

func (h cryptHash) Scheme() string { return h.scheme }

func (h cryptHash) Verify(_ *Workspace, password string) bool {
	return cryptable(password) && subtle.ConstantTimeCompare([]byte(h.compute(password)), []byte(h.want)) == 1
}

func (h cryptHash) costs() Costs { return Costs{Rounds: h.rounds} }

// parseCrypt tells the hashes of crypt(3), and those of argon2, by their
// beginning.
func parseCrypt(in input) (Hash, error) {
	for _, c := range []struct {
		prefix string
		parse  func(input) (Hash, error)
	}{
		{"$argon2", parseArgon2},
		{"$2", parseBcrypt},
		{"$6$", parseSHA512Crypt},
		{"$5$", parseSHA256Crypt},
		{"$y$", parseYescrypt},
		{"$gy$", parseYescrypt},
		{"$7$", parseScrypt},
		{"$sha1$", parseSHA1Crypt},
		{"$1$", parseMD5Crypt},
		{"_", parseExtendedDES},
		{"", parseDES},
	} {
		if strings.HasPrefix(in.raw, c.prefix) {
			return c.parse(in)
		}
	}
	return nil, nil // the last row fits all
}

func parseSHA512Crypt(in input) (Hash, error) {
	return parseSHACrypt("SHA512-CRYPT", in.raw, digestcrypt.SHA512Len, digestcrypt.SHA512)
}

func parseSHA256Crypt(in input) (Hash, error) {
	return parseSHACrypt("SHA256-CRYPT", in.raw, digestcrypt.SHA256Len, digestcrypt.SHA256)
}

// parseSHACrypt reads $6$[rounds=N$]salt$hash (or $5$ for SHA-256).
func parseSHACrypt(name, text string, length int, compute func(password, salt string, rounds int) string) (Hash, error) {
	parts := strings.Split(text, "$")
	rounds := defaultSHA
	if len(parts) == 5 {
		limits, _, _ := shaCosts.limits()
		n, ok := strings.CutPrefix(parts[2], "rounds=")
		v, err := strconv.ParseUint(n, 10, 32)
		if !ok || err != nil || !limits.within(v) {
			return nil, fail.New(fail.Invalid, "%s rounds are not a number from %d to %d", name, limits.min, limits.max)
		}
		rounds = int(v)
		parts = append(parts[:2:2], parts[3:]...)
	}
	if len(parts) != 4 || len(parts[2]) > maxSHASalt || len(parts[3]) != length {
		return nil, fail.New(fail.Invalid, "not a %s hash", name)
	}
	salt := parts[2]
	return cryptHash{name, rounds, parts[3], func(password string) string { return compute(password, salt, rounds) }}, nil
}

func generateSHACrypt(o order) ([]byte, error) {
	id, compute := "6", digestcrypt.SHA512
	if o.row.name == "SHA256-CRYPT" {
		id, compute = "5", digestcrypt.SHA256
	}
	if err := mustCrypt(o); err != nil {
		return nil, err
	}
	salt := randomText(maxSHASalt)
	return fmt.Appendf(nil, "$%s$rounds=%d$%s$%s", id, o.costs.Rounds, salt, compute(o.password, salt, o.costs.Rounds)), nil
}

// parseMD5Crypt reads $1$salt$hash.
func parseMD5Crypt(in input) (Hash, error) {
	parts := strings.Split(in.raw, "$")
	if len(parts) != 4 || parts[0] != "" || parts[1] != "1" || len(parts[2]) > maxMD5Salt || len(parts[3]) != digestcrypt.MD5Len {
		return nil, fail.New(fail.Invalid, "not an MD5-CRYPT hash")
	}
	salt := parts[2]
	return cryptHash{"MD5-CRYPT", 0, parts[3], func(password string) string { return digestcrypt.MD5(password, salt) }}, nil
}

func generateMD5Crypt(o order) ([]byte, error) {
	if err := mustCrypt(o); err != nil {
		return nil, err
	}
	salt := randomText(maxMD5Salt)
	return []byte("$1$" + salt + "$" + digestcrypt.MD5(o.password, salt)), nil
}

// parseSHA1Crypt reads $sha1$rounds$salt$hash.
func parseSHA1Crypt(in input) (Hash, error) {
	parts := strings.Split(in.raw, "$")
	if len(parts) != 5 || len(parts[3]) > maxSHA1Salt || len(parts[4]) != digestcrypt.SHA1Len {
		return nil, fail.New(fail.Invalid, "not a sha1crypt hash")
	}
	limits, _, _ := pbkdf2Costs.limits()
	rounds, err := strconv.ParseUint(parts[2], 10, 32)
	if err != nil || !limits.within(rounds) {
		return nil, fail.New(fail.Invalid, "sha1crypt rounds are not a number from %d to %d", limits.min, limits.max)
	}
	salt := parts[3]
	return cryptHash{"CRYPT", 0, parts[4], func(password string) string {
		return digestcrypt.SHA1(password, salt, int(rounds))
	}}, nil
}

// parseDES reads two characters of salt and eleven of hash.
func parseDES(in input) (Hash, error) {
	text := in.raw
	if len(text) != desSalt+descrypt.HashLen || !descrypt.IsHash(text) {
		return nil, fail.New(fail.Invalid, "stored password is of no supported crypt(3) kind")
	}
	salt, _ := descrypt.Number(text[:desSalt])
	return cryptHash{"DES-CRYPT", 0, text[desSalt:], func(password string) string { return descrypt.Traditional(password, salt) }}, nil
}

// parseExtendedDES reads BSDi's _, four characters of count, four of salt and
// eleven of hash.
func parseExtendedDES(in input) (Hash, error) {
	text := in.raw
	if len(text) != 9+descrypt.HashLen || !descrypt.IsHash(text[1:]) {
		return nil, fail.New(fail.Invalid, "not an extended DES hash")
	}
	count, _ := descrypt.Number(text[1:5])
	salt, _ := descrypt.Number(text[5:9])
	if count == 0 || count > maxDESRounds {
		return nil, fail.New(fail.Invalid, "extended DES count %d is not between 1 and %d", count, maxDESRounds)
	}
	return cryptHash{"DES-CRYPT", 0, text[9:], func(password string) string { return descrypt.Extended(password, salt, count) }}, nil
}

func generateDES(o order) ([]byte, error) {
	if len(o.password) > 8 {
		return nil, fail.New(fail.Invalid, "DES-CRYPT ignores all but the first 8 bytes of a password; choose another scheme")
	}
	text := randomText(desSalt)
	salt, _ := descrypt.Number(text)
	return []byte(text + descrypt.Traditional(o.password, salt)), nil
}

func mustCrypt(o order) error {
	if !cryptable(o.password) {
		return fail.New(fail.Invalid, "%s takes passwords of up to %d bytes; choose another scheme", o.row.name, maxCryptPassword)
	}
	return nil
}

// randomText is a salt of n characters.
func randomText(n int) string {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := random(n)
	for i := range b {
		b[i] = alphabet[b[i]&63]
	}
	return string(b)
}
