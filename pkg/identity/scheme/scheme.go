package scheme

import (
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/identity/scheme/argon2"
	"github.com/postcote/postcote/pkg/identity/scheme/bcrypt"
	"github.com/postcote/postcote/pkg/identity/scheme/yescrypt"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Default is the scheme of new passwords.
const Default = "ARGON2ID"

// maxStored caps a stored password: the longest one in hexadecimal.
const maxStored = 2*sasl.MaxPassword + 64

// Hash is a stored password whose form and costs were checked.
type Hash interface {
	// Scheme is the kind from the table: the name without an encoding, one
	// for all aliases.
	Scheme() string
	// Verify reports whether password is the right one.
	Verify(w *Workspace, password string) bool
}

// Cheap reports whether comparing with h takes some microseconds: there is
// nothing to it but a digest. It needs no Workspace then.
func Cheap(h Hash) bool {
	switch h := h.(type) {
	case *Derivation:
		return !h.costly
	case plainHash, truncatedHash, digestHash, cramHash, digestMD5Hash:
		return true
	}
	return false
}

// Workspace is the memory for one hash at a time. The zero value is ready.
type Workspace struct {
	arena    argon2.Arena
	blowfish bcrypt.State
	yescrypt yescrypt.Memory
}

// Wipe clears what the last hash left.
func (w *Workspace) Wipe() {
	w.arena.Wipe()
	w.blowfish.Wipe()
	w.yescrypt.Wipe()
}

// Policy is what an operator allows.
type Policy struct {
	MaxMemoryKiB uint32   // for one hash; 0 means 262144 (256 MiB)
	Allow        []string // names of weak schemes that are off unless named; see Weak
	// SaltKey makes the SCRAM salts that Derive invents for readable
	// passwords. It should be DecoySecret's key: otherwise a user whose salt
	// is not the decoy's is known to exist.
	SaltKey []byte
}

const defaultMemoryKiB = 256 << 10

func (p Policy) memory() uint32 {
	if p.MaxMemoryKiB == 0 {
		return defaultMemoryKiB
	}
	return p.MaxMemoryKiB
}

// Weak lists the schemes that work only where Policy.Allow names them: those
// that keep the password readable, those without a salt, those built on MD4,
// MD5 or DES.
func Weak() []string {
	var names []string
	for _, r := range schemes {
		if r.weak != "" {
			names = append(names, r.name)
		}
	}
	return names
}

// WhyWeak says what is weak about a scheme, as the end of a sentence that begins
// with it; empty if nothing is.
func WhyWeak(name string) string {
	r, _ := find(name)
	return r.weak
}

// check refuses weak hashes that nobody allowed: by the name under which they
// are stored, or by their own where that name stands for crypt(3).
func (p Policy) check(r row, h Hash) error {
	kind, _ := find(h.Scheme())
	if kind.weak == "" {
		return nil
	}
	if r.weak != "" {
		kind = r
	}
	if slices.ContainsFunc(p.Allow, func(a string) bool { return strings.EqualFold(a, kind.name) }) {
		return nil
	}
	return fail.New(fail.Invalid, "password scheme %s is refused because it %s; passwords.allow_schemes can allow %s", r.name, kind.weak, kind.name)
}

// Parse reads a stored password. Its errors are fail.Invalid and never contain
// it. DIGEST-MD5 needs ParseFor.
func Parse(stored string, p Policy) (Hash, error) { return ParseFor(stored, "", p) }

// ParseFor reads the stored password of a user. Only DIGEST-MD5 looks at the
// name: what stands behind its last @ is the realm.
func ParseFor(stored, user string, p Policy) (Hash, error) {
	r, h, err := parse(stored, user, p)
	if err != nil {
		return nil, err
	}
	return h, p.check(r, h)
}

// parse reads without asking whether the scheme is weak.
func parse(stored, user string, p Policy) (row, Hash, error) {
	if len(stored) > maxStored {
		return row{}, nil, fail.New(fail.Invalid, "stored password is longer than %d bytes", maxStored)
	}
	r, suffix, body, err := split(stored)
	if err != nil {
		return row{}, nil, err
	}
	raw, err := r.decode(body, suffix)
	if err != nil {
		return row{}, nil, err
	}
	h, err := r.parse(input{row: r, raw: raw, user: user, policy: p})
	return r, h, err
}

// split separates scheme, encoding and body. What has no scheme is CRYPT.
func split(stored string) (r row, suffix, body string, err error) {
	if !strings.HasPrefix(stored, "{") {
		r, _ = find("CRYPT")
		return r, "", withoutTrailer(stored), nil
	}
	name, body, ok := strings.Cut(stored[1:], "}")
	if !ok {
		return row{}, "", "", fail.New(fail.Invalid, "stored password has no closing brace after its scheme")
	}
	r, suffix, err = findEncoded(name)
	return r, suffix, body, err
}

// withoutTrailer cuts a bare MD5-CRYPT hash at the $ behind it: Dovecot takes
// such values for what some programs append.
func withoutTrailer(stored string) string {
	if parts := strings.SplitN(stored, "$", 5); strings.HasPrefix(stored, "$1$") && len(parts) == 5 {
		return strings.Join(parts[:4], "$")
	}
	return stored
}

// Options are what a new hash may need beside the password.
type Options struct {
	User  string // DIGEST-MD5 contains the name; what stands behind its last @ is the realm
	Costs Costs
}

// Generate makes a stored password with fresh salt and the usual costs,
// "{SCHEME}" included. The name may end in .b64, .base64 or .hex.
func Generate(w *Workspace, name, password string) (string, error) {
	return GenerateWith(w, name, password, Options{})
}

// GenerateWith is Generate with options. Errors are fail.Invalid: an unknown
// scheme, a cost that it does not have or that Parse would refuse, a password
// that it cannot hold.
func GenerateWith(w *Workspace, name, password string, o Options) (string, error) {
	r, suffix, err := findEncoded(name)
	if err != nil {
		return "", err
	}
	if r.generate == nil {
		return "", fail.New(fail.Invalid, "cannot make passwords of scheme %.32q, only %s", name, strings.Join(Names(), ", "))
	}
	if password == "" || strings.IndexByte(password, 0) >= 0 {
		return "", fail.New(fail.Invalid, "password is empty or contains NUL")
	}
	if o.Costs, err = r.costs(o.Costs); err != nil {
		return "", err
	}
	raw, err := r.generate(order{row: r, w: w, password: password, user: o.User, costs: o.Costs})
	if err != nil {
		return "", err
	}
	return "{" + strings.ToUpper(name) + "}" + r.encode(raw, suffix), nil
}
