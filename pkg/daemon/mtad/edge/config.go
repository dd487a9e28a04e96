package edge

import (
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// Config is the section `smtpd`: keys have the names of Postfix's parameters
// without smtpd_.
type Config struct {
	XClientHosts  []conf.Network `yaml:"authorized_xclient_hosts" example:"[10.0.0.5]" doc:"Proxies that may say by XCLIENT who their client is. It is then judged, and logged, in the proxy's place."`
	XForwardHosts []conf.Network `yaml:"authorized_xforward_hosts" example:"[127.0.0.1]" doc:"Content filters that may say by XFORWARD whose mail they bring back. Only logs use it."`

	HAProxyNetworks []conf.Network `yaml:"haproxy_trusted_networks" example:"[10.0.0.5]" doc:"Networks of proxies that send a PROXY header to listeners with haproxy: yes. Anybody else is turned away there."`
	HAProxyTimeout  conf.Duration  `yaml:"haproxy_timeout" min:"100ms" max:"1m" doc:"Time in which the PROXY header must have come."`

	DiscardWords   []string `yaml:"discard_ehlo_keywords" example:"[chunking]" doc:"EHLO keywords that no client sees, in any case of letters: pipelining, size, vrfy, etrn, starttls, auth, xclient, xforward, enhancedstatuscodes, 8bitmime, dsn, smtputf8, chunking. What is not announced is refused."`
	DiscardWordsOf []Hidden `yaml:"discard_ehlo_keywords_for" doc:"The same for some clients; the first entry that names the client's network counts, in place of discard_ehlo_keywords."`

	BareLF       string         `yaml:"forbid_bare_newline" oneof:"normalize|reject" doc:"Lines of a message that end in LF without CR: made good, or the message is refused with 550 5.5.2. They never end a message, either way."`
	BareLFExempt []conf.Network `yaml:"forbid_bare_newline_exclusions" doc:"Networks for which reject means normalize."`

	NoPipelining bool     `yaml:"forbid_unauth_pipelining" doc:"End sessions in which commands come before the reply they must wait for (RFC 2920 section 3.1)."`
	Forbidden    []string `yaml:"forbidden_commands" doc:"Commands of other protocols that end the session, besides lines that begin with no letter."`
	NoVRFY       bool     `yaml:"disable_vrfy_command" doc:"Refuse VRFY. It never tells whether a mailbox exists."`

	FastFlush []string `yaml:"fast_flush_domains" example:"[backup.example.org]" doc:"Domains whose waiting mail may be asked for by ETRN. With none, the domains of domains.relay."`
}

// Hidden is one entry of `discard_ehlo_keywords_for`.
type Hidden struct {
	Networks []conf.Network `yaml:"networks" doc:"Whom it is about."`
	Words    []string       `yaml:"keywords" doc:"What they do not see; none lets them see all."`
}

// DefaultConfig is Postfix's of version 3.9, without VRFY.
func DefaultConfig() Config {
	return Config{
		HAProxyTimeout: conf.Duration(5 * time.Second),
		BareLF:         "normalize",
		NoPipelining:   true,
		Forbidden:      server.DefaultForbidden(),
		NoVRFY:         true,
	}
}

// Validate reports words that are none.
func (c Config) Validate(p *conf.Reporter) {
	checkWords(p.At("discard_ehlo_keywords"), c.DiscardWords)
	for i, h := range c.DiscardWordsOf {
		at := p.At("discard_ehlo_keywords_for[%d]", i)
		if len(h.Networks) == 0 {
			at.At("networks").Errorf("an entry without networks is about nobody")
		}
		checkWords(at.At("keywords"), h.Words)
	}
	for i, word := range c.Forbidden {
		at := p.At("forbidden_commands[%d]", i)
		switch word = strings.ToUpper(word); {
		case word == "" || strings.ContainsAny(word, " \t"):
			at.Errorf("%q is not one word", word)
		case slices.Contains(spoken, word):
			at.Errorf("no mail could be sent without %s", word)
		}
	}
}

// spoken are the commands that cannot be forbidden.
var spoken = []string{"EHLO", "HELO", "MAIL", "RCPT", "DATA", "QUIT", "RSET", "STARTTLS"}

func checkWords(p *conf.Reporter, words []string) {
	var all server.Words
	for i, w := range words {
		if !hide(&all, w) {
			p.At("[%d]", i).Hint("see the list in the documentation of this key").Errorf("%q is not an EHLO keyword", w)
		}
	}
}
