package scheme

import (
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/shacrypt"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Rounds of new hashes take about as long as bcrypt's cost; the cap about 2 s.
const (
	shaRounds    = 200_000
	minSHARounds = 1000 // what crypt(3) raises smaller numbers to
	maxSHARounds = 2_000_000
	maxSHASalt   = 16
)

type shaHash struct {
	name   string
	digest algorithm.Digest
}

// parseSHACrypt reads $6$[rounds=N$]salt$hash (or $5$ for SHA-256).
func parseSHACrypt(id string) func(string, Policy) (Hash, error) {
	name, keyLen := "SHA512-CRYPT", 86
	if id == "5" {
		name, keyLen = "SHA256-CRYPT", 43
	}
	return func(body string, _ Policy) (Hash, error) {
		parts := strings.Split(body, "$")
		if len(parts) == 5 {
			n, ok := strings.CutPrefix(parts[2], "rounds=")
			rounds, err := strconv.ParseUint(n, 10, 32)
			if !ok || err != nil || rounds < minSHARounds || rounds > maxSHARounds {
				return nil, fail.New(fail.Invalid, "%s rounds are not a number from %d to %d", name, minSHARounds, maxSHARounds)
			}
			parts = append(parts[:2:2], parts[3:]...)
		}
		if len(parts) != 4 || parts[0] != "" || parts[1] != id || len(parts[2]) > maxSHASalt || len(parts[3]) != keyLen {
			return nil, fail.New(fail.Invalid, "not a %s hash", name)
		}
		d, err := shacrypt.Decode(body)
		if err != nil {
			return nil, fail.New(fail.Invalid, "not a %s hash", name)
		}
		return shaHash{name, d}, nil
	}
}

func (h shaHash) Scheme() string { return h.name }

func (h shaHash) Verify(_ *Workspace, password string) bool {
	ok, err := h.digest.MatchAdvanced(password) // compares in constant time
	return ok && err == nil
}

func generateSHA512Crypt(_ *Workspace, password string) (string, error) {
	h, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(shaRounds))
	if err != nil {
		return "", fail.Wrap(fail.Temporary, err, "SHA512-CRYPT")
	}
	d, err := h.Hash(password)
	if err != nil {
		return "", fail.Wrap(fail.Temporary, err, "SHA512-CRYPT")
	}
	return d.Encode(), nil
}
