package route

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Config is what a Table is made from. Every string is as written in the
// configuration file; New reports the first that is malformed.
type Config struct {
	Hostname   string            // our name; its postmaster is ours too
	Mailboxes  []string          // domains with mailboxes here; ".d" means names below d
	RelayTo    []string          // domains received here and delivered elsewhere
	Ask        Domains           // optional: more mailbox domains; nil means none
	Local      Hop               // transport of the mailbox class, usually LMTP
	RelayHost  string            // next hop of the default class; empty means MX
	Transports map[string]string // domain, ".domain" or "*" to transport:nexthop
	Delimiter  string            // bytes that start the detail of a local part
	Postmaster string            // mailbox that reads bare postmaster; empty means postmaster@first mailbox domain
}

// Table routes recipients. It is immutable and safe for concurrent use.
type Table struct {
	hostname   string
	mailboxes  domainSet
	relay      domainSet
	ask        Domains
	local      Hop
	relayHost  Hop
	transports map[string]Hop
	delimiter  string
	postmaster addr.Address
}

// Route is the decision for one recipient.
type Route struct {
	Class Class
	Hop   Hop
	Rcpt  addr.Address // the recipient to deliver to; differs from the question only for postmaster
}

// New checks cfg and builds the table. Errors are of kind fail.Invalid.
func New(cfg Config) (*Table, error) {
	t := &Table{ask: cfg.Ask, local: cfg.Local, delimiter: cfg.Delimiter, transports: map[string]Hop{}}
	var err error
	if t.mailboxes, err = newDomainSet("mailbox domains", cfg.Mailboxes); err != nil {
		return nil, err
	}
	if t.relay, err = newDomainSet("relay domains", cfg.RelayTo); err != nil {
		return nil, err
	}
	if d := t.mailboxes.overlap(t.relay); d != "" {
		return nil, fail.New(fail.Invalid, "domain %s is both a mailbox domain and a relay domain: remove it from one list", d)
	}
	if t.relayHost, err = ParseRelayHost(cfg.RelayHost); err != nil {
		return nil, err
	}
	for match, value := range cfg.Transports {
		if err := t.addTransport(match, value); err != nil {
			return nil, err
		}
	}
	if cfg.Hostname != "" {
		if t.hostname, err = addr.Domain(cfg.Hostname); err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "hostname")
		}
	}
	return t, t.setPostmaster(cfg)
}

func (t *Table) addTransport(match, value string) error {
	hop, err := ParseHop(value)
	if err != nil {
		return fail.Wrap(fail.Invalid, err, "transport for %s", match)
	}
	if match == "*" {
		t.transports["*"] = hop
		return nil
	}
	set, err := newDomainSet("transport", []string{match})
	if err != nil {
		return err
	}
	for d := range set {
		t.transports[d] = hop
	}
	return nil
}

func (t *Table) setPostmaster(cfg Config) error {
	if cfg.Postmaster != "" {
		a, err := addr.Parse(cfg.Postmaster)
		if err != nil || a.Domain == "" {
			return fail.New(fail.Invalid, "postmaster %q: want a full address of one of our mailboxes", cfg.Postmaster)
		}
		t.postmaster = a
		return nil
	}
	for _, d := range cfg.Mailboxes {
		if !strings.HasPrefix(d, ".") {
			d, _ := addr.Domain(d)
			t.postmaster = addr.Address{Local: "postmaster", Domain: d}
			return nil
		}
	}
	if t.hostname != "" {
		t.postmaster = addr.Address{Local: "postmaster", Domain: t.hostname}
	}
	return nil
}

// Delimiter returns the bytes that start the detail of a local part.
func (t *Table) Delimiter() string { return t.delimiter }

// Postmaster is the mailbox behind a bare "postmaster"; the zero address when
// there is neither a configured one nor a mailbox domain.
func (t *Table) Postmaster() addr.Address { return t.postmaster }

// Class returns the class of a domain in canonical form. An error means the
// domain list could not be asked and keeps its kind.
func (t *Table) Class(ctx context.Context, domain string) (Class, error) {
	switch {
	case t.mailboxes.match(domain):
		return Mailbox, nil
	case t.relay.match(domain):
		return Relay, nil
	case t.ask == nil || domain == "" || domain[0] == '[':
		return Default, nil
	}
	yes, err := t.ask.HasMailboxes(ctx, domain)
	if err != nil {
		return Default, fail.Wrap(fail.KindOf(err), err, "asking whether %s has mailboxes here", domain)
	}
	if yes {
		return Mailbox, nil
	}
	return Default, nil
}

// Resolve replaces the recipients that RFC 5321 section 4.5.1 obliges us to
// know (bare "postmaster", and postmaster of our own host name) by the mailbox
// that reads them, and completes no other bare local part.
func (t *Table) Resolve(ctx context.Context, rcpt addr.Address) (addr.Address, error) {
	if !strings.EqualFold(rcpt.Local, "postmaster") || t.postmaster.Null() {
		return rcpt, nil
	}
	if rcpt.Domain == "" {
		return t.postmaster, nil
	}
	if rcpt.Domain != t.hostname {
		return rcpt, nil
	}
	class, err := t.Class(ctx, rcpt.Domain)
	if err != nil || class == Mailbox {
		return rcpt, err
	}
	return t.postmaster, nil
}

// IsPostmaster reports whether rcpt is the postmaster of one of our domains.
func (t *Table) IsPostmaster(class Class, rcpt addr.Address) bool {
	return class == Mailbox && strings.EqualFold(rcpt.Local, "postmaster")
}

// Route decides for one recipient. The explicit transports table wins over the
// class's own transport; an empty next hop in it means the recipient's domain.
func (t *Table) Route(ctx context.Context, rcpt addr.Address) (Route, error) {
	rcpt, err := t.Resolve(ctx, rcpt)
	if err != nil {
		return Route{}, err
	}
	class, err := t.Class(ctx, rcpt.Domain)
	if err != nil {
		return Route{}, err
	}
	hop, ok := t.override(rcpt.Domain, class)
	switch {
	case ok:
	case class == Mailbox:
		hop = t.local
	case class == Default:
		hop = t.relayHost
	}
	return Route{Class: class, Hop: fill(hop, rcpt.Domain), Rcpt: rcpt}, nil
}

// override looks a domain up: itself, its parents, then "*", which speaks for
// the default class only (a catch-all must not take our mailboxes away).
func (t *Table) override(domain string, class Class) (Hop, bool) {
	if hop, ok := t.transports[domain]; ok {
		return hop, true
	}
	for _, p := range parents(domain) {
		if hop, ok := t.transports[p]; ok {
			return hop, true
		}
	}
	if class == Mailbox {
		return Hop{}, false
	}
	hop, ok := t.transports["*"]
	return hop, ok
}

// fill completes "smtp:" with the recipient's domain: an address literal is
// that host, a bare local part has nowhere to go.
func fill(hop Hop, domain string) Hop {
	if hop.Transport != SMTP || hop.Host != "" {
		return hop
	}
	if domain == "" {
		return Hop{Transport: Error, Text: "5.1.2 bad destination: the address has no domain"}
	}
	if domain[0] == '[' {
		hop.Host = strings.TrimPrefix(strings.Trim(domain, "[]"), "IPv6:")
		return hop
	}
	hop.Host, hop.MX = domain, true
	return hop
}
