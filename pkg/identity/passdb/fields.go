package passdb

import (
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// FromFields makes an account of what a database answered for user, by
// Dovecot's names: password, user (and username, domain), nopassword,
// userdb_*; every other key is an extra field. A password without "{SCHEME}"
// gets defaultScheme; an empty one, or one that begins with ! or *, locks the
// account. Errors are fail.Unavailable: the database holds what it should not.
func FromFields(user, defaultScheme string, fields []account.Field) (Account, error) {
	a := Account{User: user}
	var username, domain string
	for _, f := range fields {
		switch f.Key {
		case "password":
			a.Stored = withScheme(f.Value, defaultScheme)
		case "user":
			a.User = account.Canonical(f.Value)
		case "username":
			username = f.Value
		case "domain":
			domain = f.Value
		case "nopassword":
			a.NoPassword = !f.No()
		default:
			if rest, ok := strings.CutPrefix(f.Key, "userdb_"); ok {
				f.Key = rest
				a.Userdb = append(a.Userdb, f)
				continue
			}
			a.Fields = append(a.Fields, f)
		}
	}
	if username != "" {
		a.User = join(username, domain, user)
	}
	if a.User == "" {
		return Account{}, fail.New(fail.Unavailable, "user %s: the database answered with an empty name", user)
	}
	if a.NoPassword && a.Stored != "" {
		return Account{}, fail.New(fail.Unavailable, "user %s: nopassword is set, but there is a password", user)
	}
	return a, nil
}

// join is Dovecot's way to return a name in two columns.
func join(username, domain, user string) string {
	if domain == "" {
		_, domain = account.Split(user)
	}
	if domain == "" || strings.Contains(username, "@") {
		return account.Canonical(username)
	}
	return account.Canonical(username + "@" + domain)
}

func withScheme(stored, scheme string) string {
	switch {
	case stored == "" || stored[0] == '!' || stored[0] == '*':
		return ""
	case stored[0] == '{' || scheme == "":
		return stored
	}
	return "{" + scheme + "}" + stored
}
