package apppassword

import (
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Scope is a service that an app password is for.
type Scope string

// The scopes.
const (
	IMAP  Scope = "imap"
	POP3  Scope = "pop3"
	SMTP  Scope = "smtp"
	Sieve Scope = "sieve"
)

// Scopes is a set, kept in the order of AllScopes.
type Scopes []Scope

// AllScopes lists them.
func AllScopes() Scopes { return Scopes{IMAP, POP3, SMTP, Sieve} }

// ParseScope reads one name.
func ParseScope(name string) (Scope, error) {
	if s := Scope(strings.ToLower(name)); slices.Contains(AllScopes(), s) {
		return s, nil
	}
	return "", fail.New(fail.Invalid, "%.20q is not a service of app passwords: %s", name, AllScopes())
}

// ParseScopes reads names separated by commas; at least one.
func ParseScopes(text string) (Scopes, error) {
	var set Scopes
	for _, name := range strings.Split(text, ",") {
		s, err := ParseScope(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		set = append(set, s)
	}
	return set.Ordered(), nil
}

// Ordered is the set in the order of AllScopes, without repetitions.
func (s Scopes) Ordered() Scopes {
	return slices.DeleteFunc(AllScopes(), func(x Scope) bool { return !slices.Contains(s, x) })
}

// String is the form in which a set is stored.
func (s Scopes) String() string {
	names := make([]string, 0, len(s))
	for _, x := range s {
		names = append(names, string(x))
	}
	return strings.Join(names, ",")
}

// ScopeOf is the scope of a service as daemons and Dovecot name it; empty for
// services that app passwords are not for.
func ScopeOf(service string) Scope {
	switch service {
	case "imap", "imaps":
		return IMAP
	case "pop3", "pop3s":
		return POP3
	case "smtp", "smtps", "submission", "submissions":
		return SMTP
	case "sieve", "managesieve":
		return Sieve
	}
	return ""
}
