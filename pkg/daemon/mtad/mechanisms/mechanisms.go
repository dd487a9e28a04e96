package mechanisms

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// keptAway says for each of Postfix's security options which mechanisms it
// keeps away. Nothing writes to it.
var keptAway = map[string]func(dovecotauth.Mechanism) bool{
	"noplaintext":     func(m dovecotauth.Mechanism) bool { return m.Plaintext },
	"noactive":        func(m dovecotauth.Mechanism) bool { return m.Active },
	"nodictionary":    func(m dovecotauth.Mechanism) bool { return m.Dictionary },
	"noanonymous":     func(m dovecotauth.Mechanism) bool { return m.Anonymous },
	"forward_secrecy": func(m dovecotauth.Mechanism) bool { return !m.ForwardSecrecy },
	"mutual_auth":     func(m dovecotauth.Mechanism) bool { return !m.MutualAuth },
}

// Check reports options that are none.
func Check(p *conf.Reporter, options []string) {
	for i, o := range options {
		if keptAway[o] == nil {
			p.At("[%d]", i).Hint("see the list in the documentation of this key").Errorf("%q is not a security option", o)
		}
	}
}

// Rules are what is said of mechanisms on one side.
type Rules struct {
	Filter  []string // names, all, and !NAME; the first that fits counts
	Options []string // security options without TLS
	TLS     []string // and with it
}

// Allow reports whether a mechanism may be used.
func (r Rules) Allow(m dovecotauth.Mechanism, tls bool) bool {
	options := r.Options
	if tls {
		options = r.TLS
	}
	for _, o := range options {
		if away := keptAway[o]; away != nil && away(m) {
			return false
		}
	}
	return !m.Anonymous && r.passes(m.Name)
}

// AllowName is Allow for a mechanism that we know, as a server names it.
func (r Rules) AllowName(name string, tls bool) bool {
	m, ok := sasl.Find(name)
	return ok && r.Allow(dovecotauth.Mechanism{
		Name: m.Name, Plaintext: m.Plaintext, Dictionary: m.Dictionary, Active: m.Active,
		Anonymous: m.Anonymous, ForwardSecrecy: m.ForwardSecrecy, MutualAuth: m.MutualAuth,
	}, tls)
}

// passes goes through the filter, which is one of Postfix's lists of strings;
// static:all, which stands for everything there, does so here.
func (r Rules) passes(mech string) bool {
	for _, word := range r.Filter {
		word, not := strings.CutPrefix(word, "!")
		if strings.EqualFold(word, mech) || strings.EqualFold(word, "all") || strings.HasPrefix(word, "static:") {
			return !not
		}
	}
	return false
}
