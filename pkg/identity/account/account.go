package account

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Field is one extra field: key=value, or key alone.
type Field struct {
	Key   string
	Value string
	Flag  bool
}

// No reports whether the field says no in one of the ways that databases have
// for it. Dovecot takes the presence of a key for yes; a column is always
// present.
func (f Field) No() bool {
	if f.Flag {
		return false
	}
	switch strings.ToLower(f.Value) {
	case "", "n", "no", "0", "f", "false":
		return true
	}
	return false
}

// maxName is also the cap of a SASL user name.
const maxName = 512

// Canonical is the form in which names are kept and looked up: lower case, as
// Dovecot's default auth_username_format has it, and the domain in one of its
// two spellings (U-labels).
func Canonical(name string) string {
	local, domain := Split(name)
	if len(local) == len(name) {
		return strings.ToLower(name)
	}
	lower, canonical := strings.ToLower(local), Domain(domain)
	if lower == local && canonical == domain {
		return name // most are
	}
	return lower + "@" + canonical
}

// Domain is the canonical form of a domain; one that is no domain name at all
// is only lowered.
func Domain(domain string) string {
	if plain(domain) {
		return domain
	}
	if d, err := addr.Domain(domain); err == nil {
		return d
	}
	return strings.ToLower(domain)
}

// plain reports whether a domain is canonical by its characters alone, as most
// are: every login comes by here, and addr.Domain takes memory.
func plain(domain string) bool {
	for i := 0; i < len(domain); i++ {
		switch c := domain[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return !strings.HasSuffix(domain, ".") && !strings.Contains(domain, "xn--")
}

// CheckName says what is wrong with a user name, nil when it may be in a file.
func CheckName(name string) error {
	switch {
	case name == "":
		return fail.New(fail.Invalid, "user name is empty")
	case len(name) > maxName:
		return fail.New(fail.Invalid, "user name is longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return fail.New(fail.Invalid, "user name is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return r == ':' || unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fail.New(fail.Invalid, "user name contains a colon, white space or control characters")
	case name[0] == '#':
		return fail.New(fail.Invalid, "user name begins with #, which starts a comment")
	case strings.ContainsAny(name, "/\\%") || strings.HasPrefix(name, ".") || strings.Contains(name, "@."):
		// Names become parts of paths (home templates).
		return fail.New(fail.Invalid, "user name contains /, \\ or %%, or a part that begins with a dot")
	}
	return nil
}

// Qualify is Canonical with the default domain added to a name that has none.
func Qualify(name, defaultDomain string) string {
	name = Canonical(name)
	if defaultDomain == "" || name == "" || strings.Contains(name, "@") {
		return name
	}
	return name + "@" + Domain(defaultDomain)
}

// Split cuts a name at its last "@": "alice@example.org" gives "alice",
// "example.org"; a name without one has no domain.
func Split(name string) (local, domain string) {
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// CheckHome says what is wrong with a home directory, nil when it is empty or
// an absolute path without "..".
func CheckHome(home string) error {
	if home == "" {
		return nil
	}
	if !path.IsAbs(home) || strings.ContainsFunc(home, unicode.IsControl) {
		return fail.New(fail.Invalid, "home %.80q is not an absolute path", home)
	}
	for _, part := range strings.Split(home, "/") {
		if part == ".." {
			return fail.New(fail.Invalid, "home %.80q leads upwards", home)
		}
	}
	return nil
}

// Set puts f into fs; one of the same key is replaced. It may change fs.
func Set(fs []Field, f Field) []Field {
	for i := range fs {
		if fs[i].Key == f.Key {
			fs[i] = f
			return fs
		}
	}
	return append(fs, f)
}

// Get finds the field of a key.
func Get(fs []Field, key string) (Field, bool) {
	for _, f := range fs {
		if f.Key == key {
			return f, true
		}
	}
	return Field{}, false
}

// Remove takes the field of a key out; it does not change fs.
func Remove(fs []Field, key string) []Field {
	for i := range fs {
		if fs[i].Key == key {
			return append(append([]Field{}, fs[:i]...), fs[i+1:]...)
		}
	}
	return fs
}
