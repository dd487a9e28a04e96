package authconf

import (
	"strings"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// ability is what a password database can be asked.
type ability struct {
	looks    bool // it hands stored passwords out
	verifies bool // it compares passwords itself
	tokens   bool // it checks OAuth2 tokens
}

// able says what an entry's driver can do.
func (e *Passdb) able() ability {
	switch e.Driver {
	case "pam", "shadow", "checkpassword", "imap":
		return ability{verifies: true}
	case driverOAuth2:
		return ability{tokens: true, verifies: e.OAuth2 != nil && e.OAuth2.PasswordIsToken}
	case driverLDAP:
		if e.LDAP != nil && e.LDAP.AuthBind {
			return ability{verifies: true}
		}
	}
	return ability{looks: true}
}

// lets reports whether the entry can let somebody in by m.
func (e *Passdb) lets(m sasl.Mechanism) bool {
	can := e.able()
	switch {
	case e.Deny || !(rule.Match{Mechanisms: e.Mechanisms}).Fits(&request.Request{Mech: m.Name}):
		return false
	case m.Secret != 0 || m.Certificate:
		return can.looks
	case m.Token:
		return can.tokens
	}
	return can.looks || can.verifies
}

// Cannot says why a mechanism cannot be served, "" when it can.
func (c *Config) Cannot(m sasl.Mechanism) string {
	if m.Anonymous {
		if c.Login.AnonymousUsername == "" {
			return "login.anonymous_username names no guest"
		}
		return ""
	}
	for i := range c.Passdb {
		if c.Passdb[i].lets(m) {
			return ""
		}
	}
	switch {
	case m.Secret != 0:
		return "no password database hands out stored passwords for it"
	case m.Token:
		return "no password database checks tokens"
	case m.Certificate:
		return "no password database tells whether a user exists"
	}
	return "no password database is asked for it"
}

func (c *Config) validateLogin(p *conf.Reporter) {
	l := c.Login
	for i, name := range l.Mechanisms {
		at := p.At("login.mechanisms[%d]", i)
		m, ok := sasl.Find(name)
		if !ok {
			at.Hint("known: %s", mechNames()).Errorf("%q is not known", name)
		} else if why := c.Cannot(m); why != "" && c.letsIn() {
			at.Errorf("%s cannot be served: %s", m.Name, why)
		}
	}
	for i, r := range l.Rules {
		for j, name := range r.Mechanisms {
			if _, ok := sasl.Find(name); !ok {
				p.At("login.rules[%d].mechanisms[%d]", i, j).Hint("known: %s", mechNames()).Errorf("%q is not known", name)
			}
		}
	}
	if _, err := request.Template(l.UsernameFormat); err != nil {
		p.At("login.username_format").Errorf("%v", err)
	}
	if utf8.RuneCountInString(l.UsernameTranslation)%2 != 0 {
		p.At("login.username_translation").Errorf("the characters do not make pairs")
	}
	if strings.Contains(l.MasterSeparator, "@") {
		p.At("login.master_user_separator").Errorf("an @ separates a name from its domain")
	}
	hasMasters := false
	for _, e := range c.Passdb {
		hasMasters = hasMasters || e.Master
	}
	if l.MasterSeparator != "" && !hasMasters {
		p.At("login.master_user_separator").Errorf("no entry of passdb is for masters")
	}
}
