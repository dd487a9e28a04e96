package scheme

import (
	"math"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Costs are how expensive a new hash is. A field that is zero stands for the
// usual value; one that the scheme does not have is an error.
type Costs struct {
	Rounds    int    // SHA256-CRYPT, SHA512-CRYPT, PBKDF2, SCRAM-*: repetitions; ARGON2*: passes over the memory
	Cost      int    // BLF-CRYPT: logarithm of the repetitions
	MemoryKiB uint32 // ARGON2*
}

// costKind is which costs a scheme has.
type costKind uint8

const (
	noCosts costKind = iota
	argonCosts
	bcryptCosts
	shaCosts
	pbkdf2Costs
	scramCosts
)

// limit is what a cost may be in a new or stored hash. Its upper end takes some
// seconds. The zero limit is that of a cost that does not exist.
type limit struct{ min, usual, max int }

// limits returns those of rounds, cost and memory in KiB.
func (k costKind) limits() (rounds, cost, memory limit) {
	switch k {
	case argonCosts:
		// The first choice of OWASP's password storage sheet. More memory
		// would let fewer logins run side by side.
		return limit{1, 2, maxArgonWork / 8}, limit{}, limit{8, 19 << 10, math.MaxInt32}
	case bcryptCosts:
		return limit{}, limit{4, 12, 16}, limit{}
	case shaCosts:
		// About as long as bcrypt's. crypt(3) raises smaller numbers to 1000.
		return limit{1000, 200_000, 2_000_000}, limit{}, limit{}
	case pbkdf2Costs:
		return limit{1, 300_000, 4_000_000}, limit{}, limit{}
	case scramCosts:
		// RFC 7677 section 4 counts 15 000 for a good machine of its day and
		// wants 4096 at least. Every login of a client costs it as much, so
		// phones and scripts bound it from above.
		return limit{4096, 15_000, 1_000_000}, limit{}, limit{}
	}
	return limit{}, limit{}, limit{}
}

// costs completes c with the usual values and holds it to the limits.
func (r row) costs(c Costs) (Costs, error) {
	rounds, cost, memory := r.cost.limits()
	if memory.max > 0 {
		memory.max = defaultMemoryKiB
	}
	var err error
	if c.Rounds, err = rounds.apply(c.Rounds, r.name, "rounds"); err != nil {
		return c, err
	}
	if c.Cost, err = cost.apply(c.Cost, r.name, "cost"); err != nil {
		return c, err
	}
	kib, err := memory.apply(int(c.MemoryKiB), r.name, "memory in KiB")
	if err != nil {
		return c, err
	}
	c.MemoryKiB = uint32(kib)
	if r.cost == argonCosts && c.work() > maxArgonWork {
		return c, fail.New(fail.Invalid, "%s: memory in KiB times rounds exceed %d", r.name, maxArgonWork)
	}
	return c, nil
}

func (l limit) apply(v int, scheme, what string) (int, error) {
	switch {
	case v == 0:
		return l.usual, nil
	case l.max == 0:
		return 0, fail.New(fail.Invalid, "%s has no %s", scheme, what)
	case v < l.min || v > l.max:
		return 0, fail.New(fail.Invalid, "%s: %s %d is not between %d and %d", scheme, what, v, l.min, l.max)
	}
	return v, nil
}

// within reports whether a stored cost is one.
func (l limit) within(v uint64) bool { return v >= uint64(l.min) && v <= uint64(l.max) }

// work is what Argon2 computes.
func (c Costs) work() uint64 { return uint64(c.Rounds) * max(uint64(c.MemoryKiB), 1) }

// tuned is a hash with costs.
type tuned interface{ costs() Costs }

// NeedsRehash reports whether a stored password should be replaced after a
// login, because it is of another scheme than target or cheaper than c. What is
// dearer stays. A stored password or a target that is not understood is left
// alone.
func NeedsRehash(stored, target string, c Costs) bool {
	to, _, err := findEncoded(target)
	if err != nil || to.generate == nil {
		return false
	}
	if c, err = to.costs(c); err != nil {
		return false
	}
	_, h, err := parse(stored, anybody, Policy{MaxMemoryKiB: math.MaxUint32})
	switch {
	case err != nil:
		return false
	case h.Scheme() != to.scheme():
		return true
	}
	t, ok := h.(tuned)
	return ok && (t.costs().Cost < c.Cost || t.costs().work() < c.work())
}

// anybody stands for the user where only the form of a hash matters.
const anybody = "anybody"
