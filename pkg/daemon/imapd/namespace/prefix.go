package namespace

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const inbox = "INBOX"

// Prefix is what the names of all folders but INBOX begin with for clients. The
// zero value is none.
type Prefix struct{ text string }

// New makes a prefix of a name with or without a separator behind it. sep is
// the separator of the account. An empty name is no prefix.
func New(name string, sep byte) Prefix {
	name = strings.TrimRight(name, "./")
	switch {
	case name == "":
		return Prefix{}
	case strings.EqualFold(name, inbox):
		name = inbox
	}
	return Prefix{name + string(rune(sep))}
}

// Valid reports whether name can be a prefix: one level, of plain ASCII, so
// that it is the same in every encoding of names.
func Valid(name string) bool {
	name = strings.TrimRight(name, "./")
	return len(name) < 64 && !strings.HasPrefix(name, "~") && !strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`./&*%"\`, c)
	})
}

// String is the prefix with its separator, or empty.
func (p Prefix) String() string { return p.text }

// Inside is the folder that a client means. NotFound: none can have this name.
func (p Prefix) Inside(name string) (string, error) {
	if p.text == "" || name == inbox {
		return name, nil
	}
	rest, ok := strings.CutPrefix(name, p.text)
	if !ok || rest == "" || strings.EqualFold(rest, inbox) {
		return "", fail.New(fail.NotFound, "no folder can be called %s: names begin with %s", name, p.text)
	}
	return rest, nil
}

// Outside is what clients call a folder.
func (p Prefix) Outside(folder string) string {
	if folder == inbox {
		return folder
	}
	return p.text + folder
}
