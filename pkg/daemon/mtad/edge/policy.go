package edge

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// Apply makes p what c means for the client at ip. base is what the listener
// announces to anybody.
func (c *Config) Apply(p *server.Policy, base server.Words, ip netip.Addr) {
	p.XClient, p.XForward = conf.Among(c.XClientHosts, ip), conf.Among(c.XForwardHosts, ip)
	p.StrictSync = c.NoPipelining
	p.VRFY = !c.NoVRFY
	p.BareLF = wire.NormalizeBareLF
	if c.BareLF == "reject" && !conf.Among(c.BareLFExempt, ip) {
		p.BareLF = wire.RejectBareLF
	}
	p.Words = base
	p.Words.VRFY = p.VRFY
	p.Words.OldAuth = c.OldAuth
	p.Words.HideAuth = p.Words.HideAuth || conf.Among(c.SASLExceptions, ip)
	for _, word := range c.hidden(ip) {
		hide(&p.Words, word)
	}
}

// hidden are the words that the client at ip does not see.
func (c *Config) hidden(ip netip.Addr) []string {
	for i := range c.DiscardWordsOf {
		if conf.Among(c.DiscardWordsOf[i].Networks, ip) {
			return c.DiscardWordsOf[i].Words
		}
	}
	return c.DiscardWords
}

// hide takes one keyword away and reports whether there is one of this name.
// Postfix's silent-discard, which only keeps a log line away, changes nothing.
func hide(w *server.Words, word string) bool {
	switch strings.ToLower(word) {
	case "pipelining":
		w.Pipelining = false
	case "size":
		w.Size = false
	case "vrfy":
		w.VRFY = false
	case "etrn":
		w.HideETRN = true
	case "starttls":
		w.HideStartTLS = true
	case "auth":
		w.HideAuth = true
	case "xclient":
		w.HideXClient = true
	case "xforward":
		w.HideXForward = true
	case "enhancedstatuscodes":
		w.EnhancedStatus = false
	case "8bitmime":
		w.EightBitMIME = false
	case "dsn":
		w.DSN = false
	case "smtputf8":
		w.SMTPUTF8 = false
	case "chunking":
		w.Chunking = false
	case "silent-discard":
	default:
		return false
	}
	return true
}

// Verbs are the forbidden commands as the engine wants them.
func (c *Config) Verbs() []string {
	out := make([]string, len(c.Forbidden))
	for i, v := range c.Forbidden {
		out[i] = strings.ToUpper(v)
	}
	return out
}

// MayFlush reports whether the mail of any domain may be asked for.
func (c *Config) MayFlush(relay []string) bool { return len(c.FastFlush) > 0 || len(relay) > 0 }

// Flushes reports whether the mail of a domain may be asked for. A name that
// begins with a dot stands for all names below; relay are the relay domains.
func (c *Config) Flushes(domain string, relay []string) bool {
	list := c.FastFlush
	if len(list) == 0 {
		list = relay
	}
	return slices.ContainsFunc(list, func(d string) bool {
		d = strings.ToLower(d)
		return d == domain || strings.HasPrefix(d, ".") && strings.HasSuffix(domain, d)
	})
}
