package imapconf

import (
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/imap/server"
)

// Common is the keys that both roles have, with the same meaning: clients
// speak IMAP with one of them after the other.
type Common struct {
	Literal string            `yaml:"imap_literal" oneof:"plus|minus" doc:"plus: LITERAL+, clients may send literals of any size without waiting. minus: LITERAL-, of 4096 bytes at most. The same in both roles."`
	IDSend  map[string]string `yaml:"imap_id_send" example:"{name: Postcote, support-url: https://example.org/mail}" doc:"What the command ID answers. \"*\" as a value stands for our own name or version. The same in both roles."`
	IDLog   []string          `yaml:"imap_id_log" example:"[name, version, os]" doc:"Parameters of a client's ID that are logged; \"*\" is all of them."`
}

// DefaultCommon is Common without a file.
func DefaultCommon() Common {
	return Common{Literal: "plus", IDSend: map[string]string{"name": "*"}}
}

// The bounds of RFC 2971 section 3.3.
const (
	maxPairs = 30
	maxName  = 30
	maxValue = 1024
)

// Validate reports what is wrong with the values.
func (c Common) Validate(p *conf.Reporter) {
	if len(c.IDSend) > maxPairs {
		p.At("imap_id_send").Errorf("%d parameters, RFC 2971 allows %d", len(c.IDSend), maxPairs)
	}
	for name, value := range c.IDSend {
		if name == "" || len(name) > maxName || len(value) > maxValue || !printable(name) || !printable(value) {
			p.At("imap_id_send").Errorf("%.40q cannot be sent: names have 1 to %d bytes of printable ASCII, values %d", name, maxName, maxValue)
		}
	}
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// ID is what the command ID answers: the name first, the rest in order.
func (c Common) ID(version string) [][2]string {
	own := map[string]string{"name": "Postcote", "version": version}
	var pairs [][2]string
	for name, value := range c.IDSend {
		if value == "*" {
			if value = own[name]; value == "" {
				continue
			}
		}
		pairs = append(pairs, [2]string{name, value})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		if (a[0] == "name") != (b[0] == "name") {
			if a[0] == "name" {
				return -1
			}
			return 1
		}
		return strings.Compare(a[0], b[0])
	})
	return pairs
}

// Minus reports whether LITERAL- is offered in place of LITERAL+.
func (c Common) Minus() bool { return c.Literal == "minus" }

// Session is the keys of the session role.
type Session struct {
	Common       `yaml:",inline"`
	Workarounds  []string        `yaml:"imap_client_workarounds" example:"[tb-extra-mailbox-sep, tb-lsub-flags]" doc:"Faults of clients to live with. delay-newmail: new messages are told of in the answers to NOOP and CHECK only (Outlook Express, Apple Mail before 2.1). tb-extra-mailbox-sep: names are subscribed with a separator at their end, too, and tb-lsub-flags: names in LSUB that cannot be selected are marked (both Thunderbird)."`
	Capabilities map[string]bool `yaml:"imap_capability" example:"{COMPRESS=DEFLATE: false}" doc:"Capabilities that are off: they are not announced, and what needs its announcement is not served. docs/imap.md lists them."`
	Namespace    string          `yaml:"namespace_prefix" example:"INBOX." doc:"What the names of all folders but INBOX begin with for IMAP clients, as with Courier, or with Dovecot's prefix of the inbox namespace. Folders on disk, subscriptions and this file know no prefix."`
	UTF8         bool            `yaml:"imap_utf8" doc:"Offer UTF8=ACCEPT. RFC 6855 then demands that messages with 8-bit headers are refused from clients that have not enabled it, which is in the way of old mail that is copied here."`
}

// DefaultSession is Session without a file.
func DefaultSession() Session { return Session{Common: DefaultCommon()} }

// Validate reports what is wrong with the values.
func (s Session) Validate(p *conf.Reporter) {
	known := server.Workarounds()
	for _, w := range s.Workarounds {
		if known[w] == 0 {
			p.At("imap_client_workarounds").Hint("delay-newmail, tb-extra-mailbox-sep and tb-lsub-flags are known").Errorf("%.40q is no workaround", w)
		}
	}
	names := server.Capabilities()
	for name, on := range s.Capabilities {
		switch {
		case !slices.Contains(names, strings.ToUpper(name)):
			p.At("imap_capability").Hint("docs/imap.md lists them").Errorf("%.40q is no capability of ours", name)
		case strings.EqualFold(name, "IMAP4rev1") && !on:
			p.At("imap_capability").Errorf("IMAP4rev1 cannot be off")
		}
	}
}

// Fill puts the keys into the engine's configuration.
func (s Session) Fill(c *server.Config, version string) {
	c.ID, c.LogID, c.LiteralMinus, c.UTF8 = s.ID(version), s.IDLog, s.Minus(), s.UTF8
	for _, w := range s.Workarounds {
		c.Workarounds |= server.Workarounds()[w]
	}
	for name, on := range s.Capabilities {
		if !on {
			c.Without = append(c.Without, name)
		}
	}
}
