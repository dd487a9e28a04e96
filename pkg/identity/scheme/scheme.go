package scheme

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/postcote/postcote/pkg/identity/scheme/argon2"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Default is the scheme of new passwords.
const Default = "ARGON2ID"

// maxStored caps a stored password.
const maxStored = 1024

// Hash is a stored password whose form and costs were checked.
type Hash interface {
	// Scheme is the name from the table.
	Scheme() string
	// Verify reports whether password is the right one.
	Verify(w *Workspace, password string) bool
}

// Workspace is the memory for one hash at a time. The zero value is ready.
type Workspace struct{ arena argon2.Arena }

// Wipe clears what the last hash left.
func (w *Workspace) Wipe() { w.arena.Wipe() }

// Policy is what an operator allows.
type Policy struct {
	MaxMemoryKiB uint32   // for one hash; 0 means 262144 (256 MiB)
	Allow        []string // names of schemes that are off unless named: PLAIN, CLEARTEXT
}

type row struct {
	name string
	weak bool // only by name in Policy.Allow
	// parse reads what follows "{SCHEME}".
	parse func(body string, p Policy) (Hash, error)
	// generate makes what follows "{SCHEME}"; nil: verified only.
	generate func(w *Workspace, password string) (string, error)
}

func table() []row {
	return []row{
		{name: "ARGON2ID", parse: parseArgon2("argon2id"), generate: generateArgon2ID},
		{name: "ARGON2I", parse: parseArgon2("argon2i")},
		{name: "BLF-CRYPT", parse: parseBcrypt, generate: generateBcrypt},
		{name: "SHA512-CRYPT", parse: parseSHACrypt("6"), generate: generateSHA512Crypt},
		{name: "SHA256-CRYPT", parse: parseSHACrypt("5")},
		{name: "CRYPT", parse: parseCrypt},
		{name: "PLAIN", weak: true, parse: parsePlain, generate: generatePlain},
		{name: "CLEARTEXT", weak: true, parse: parsePlain},
	}
}

func find(name string) (row, bool) {
	for _, r := range table() {
		if strings.EqualFold(r.name, name) {
			return r, true
		}
	}
	return row{}, false
}

// Names lists the schemes that Generate knows, the default first.
func Names() []string {
	var names []string
	for _, r := range table() {
		if r.generate != nil {
			names = append(names, r.name)
		}
	}
	return names
}

// Parse reads a stored password. Its errors never contain it.
func Parse(stored string, p Policy) (Hash, error) {
	if p.MaxMemoryKiB == 0 {
		p.MaxMemoryKiB = 256 << 10
	}
	if len(stored) > maxStored {
		return nil, fail.New(fail.Invalid, "stored password is longer than %d bytes", maxStored)
	}
	if !strings.HasPrefix(stored, "{") {
		return parseCrypt(stored, p)
	}
	name, body, ok := strings.Cut(stored[1:], "}")
	if !ok {
		return nil, fail.New(fail.Invalid, "stored password has no closing brace after its scheme")
	}
	name, encoding, _ := strings.Cut(name, ".")
	r, ok := find(name)
	if !ok {
		return nil, fail.New(fail.Invalid, "password scheme %.32q is not supported", name)
	}
	if r.weak && !allowed(p, r.name) {
		return nil, fail.New(fail.Invalid, "password scheme %s keeps the password readable and is not allowed here", r.name)
	}
	body, err := decode(body, encoding)
	if err != nil {
		return nil, err
	}
	return r.parse(body, p)
}

func allowed(p Policy, name string) bool {
	for _, a := range p.Allow {
		if strings.EqualFold(a, name) {
			return true
		}
	}
	return false
}

// decode undoes the ".b64" or ".hex" after a scheme's name.
func decode(body, encoding string) (string, error) {
	switch strings.ToLower(encoding) {
	case "":
		return body, nil
	case "b64", "base64":
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(body, "="))
		if err != nil {
			return "", fail.New(fail.Invalid, "stored password is not base64")
		}
		return string(b), nil
	case "hex":
		b, err := hex.DecodeString(body)
		if err != nil {
			return "", fail.New(fail.Invalid, "stored password is not hexadecimal")
		}
		return string(b), nil
	}
	return "", fail.New(fail.Invalid, "password encoding %.16q is not supported", encoding)
}

// parseCrypt tells crypt(3) hashes by their "$id$".
func parseCrypt(body string, p Policy) (Hash, error) {
	for _, c := range []struct {
		prefix string
		parse  func(string, Policy) (Hash, error)
	}{
		{"$argon2id$", parseArgon2("argon2id")},
		{"$argon2i$", parseArgon2("argon2i")},
		{"$2", parseBcrypt},
		{"$6$", parseSHACrypt("6")},
		{"$5$", parseSHACrypt("5")},
	} {
		if strings.HasPrefix(body, c.prefix) {
			return c.parse(body, p)
		}
	}
	return nil, fail.New(fail.Invalid, "stored password is of no supported crypt(3) kind")
}

// Generate makes a stored password with fresh salt, "{SCHEME}" included.
func Generate(w *Workspace, name, password string) (string, error) {
	r, ok := find(name)
	if !ok || r.generate == nil {
		return "", fail.New(fail.Invalid, "cannot make passwords of scheme %.32q, only %s", name, strings.Join(Names(), ", "))
	}
	if password == "" || strings.IndexByte(password, 0) >= 0 {
		return "", fail.New(fail.Invalid, "password is empty or contains NUL")
	}
	body, err := r.generate(w, password)
	if err != nil {
		return "", err
	}
	return "{" + r.name + "}" + body, nil
}
