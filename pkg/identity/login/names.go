package login

import (
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Names makes canonical names of what peers send, in the order of Dovecot's
// settings.
type Names struct {
	DefaultDomain string          // of names without one (auth_default_realm); empty: they stay so
	Translation   string          // pairs of characters: each first one becomes the second (auth_username_translation)
	Chars         string          // that a name may consist of (auth_username_chars); empty: all
	Format        expand.Template // of the name that is looked up (auth_username_format); empty: as it is
}

// Canonical is the name under which databases know a peer that calls itself
// name. r supplies the variables of the format. Errors are fail.Invalid.
func (n *Names) Canonical(r *request.Request, name string) (string, error) {
	if name != "" && n.DefaultDomain != "" && !strings.Contains(name, "@") {
		name += "@" + n.DefaultDomain
	}
	name = translate(name, n.Translation)
	if n.Chars != "" {
		if i := strings.IndexFunc(name, func(c rune) bool { return !strings.ContainsRune(n.Chars, c) }); i >= 0 {
			return "", fail.New(fail.Invalid, "user name contains %q, which is not in username_chars", name[i:i+1])
		}
	}
	if !n.Format.Empty() {
		with := *r
		with.User = name
		var err error
		if name, err = n.Format.Expand(&with, nil); err != nil {
			return "", fail.Wrap(fail.Invalid, err, "username_format")
		}
	}
	if name = account.Canonical(name); name == "" {
		return "", fail.New(fail.Invalid, "user name is empty")
	}
	return name, nil
}

func translate(name, pairs string) string {
	if pairs == "" {
		return name
	}
	p := []rune(pairs)
	return strings.Map(func(c rune) rune {
		for i := 0; i+1 < len(p); i += 2 {
			if p[i] == c {
				return p[i+1]
			}
		}
		return c
	}, name)
}
