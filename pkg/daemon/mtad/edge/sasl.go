package edge

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
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

func checkOptions(p *conf.Reporter, options []string) {
	for i, o := range options {
		if keptAway[o] == nil {
			p.At("[%d]", i).Hint("see the list in the documentation of this key").Errorf("%q is not a security option", o)
		}
	}
}

// Offers reports whether clients may use a mechanism.
func (c *Config) Offers(m dovecotauth.Mechanism, tls bool) bool {
	options := c.SASLOptions
	if tls {
		options = c.SASLTLSOptions
	}
	for _, o := range options {
		if away := keptAway[o]; away != nil && away(m) {
			return false
		}
	}
	return !m.Anonymous && c.passes(m.Name)
}

// passes goes through the filter, which is one of Postfix's lists of strings;
// static:all, which stands for everything there, does so here.
func (c *Config) passes(mech string) bool {
	for _, word := range c.SASLFilter {
		word, not := strings.CutPrefix(word, "!")
		if strings.EqualFold(word, mech) || strings.EqualFold(word, "all") || strings.HasPrefix(word, "static:") {
			return !not
		}
	}
	return false
}
