package route

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Config is what a Table is made from. Every string is as written in the
// configuration file; New reports the first that is malformed.
type Config struct {
	Hostname  string   // our name; its postmaster is ours too
	Origin    string   // of bare names: its senders may be in tables without it
	Mailboxes []string // domains with mailboxes here; ".d" means names below d
	RelayTo   []string // domains received here and delivered elsewhere
	Locals    []string // domains of this host
	Aliases   []string // domains with virtual aliases only
	Ask       Domains  // optional: more mailbox domains; nil means none
	// Tables name further domains of a class, by themselves or by ".parent".
	Tables map[Class]maps.Map

	Local      Hop               // transport of the mailbox class, usually LMTP
	Via        map[Class]string  // transport:nexthop of the other classes, where it is not the usual
	RelayHost  string            // next hop of the default and relay classes; empty means MX
	Transports map[string]string // domain, ".domain" or "*" to transport:nexthop
	Names      Names             // the operator's own transports

	TransportMaps       maps.Map // address, domain, ".domain" or "*" to transport:nexthop
	SenderRelayHosts    maps.Map // sender to the next hop in place of RelayHost
	SenderTransportMaps maps.Map // sender to the transport:nexthop of the default class

	Delimiter  string // bytes that start the detail of a local part
	MinUser    bool   // a local part may begin with "-", see OptionLike
	Postmaster string // mailbox that reads bare postmaster; empty means postmaster@first mailbox or local domain

	// Sink is an address that exists and whose mail is dropped: the sender of
	// what nobody is to answer. Alias gives addresses that come and go their
	// lasting one. Both are optional.
	Sink  addr.Address
	Alias func(addr.Address) (addr.Address, bool)
}

// Table routes recipients. It is immutable and safe for concurrent use.
type Table struct {
	cfg        Config
	hostname   string
	origin     string
	listed     [numClasses]domainSet
	ask        Domains
	local      Hop
	via        [numClasses]Hop
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
	t := &Table{cfg: cfg, ask: cfg.Ask, local: cfg.Local, delimiter: cfg.Delimiter, transports: map[string]Hop{}}
	if err := t.addDomains(cfg); err != nil {
		return nil, err
	}
	var err error
	if t.relayHost, err = ParseRelayHost(cfg.RelayHost); err != nil {
		return nil, err
	}
	if err := t.addVia(cfg); err != nil {
		return nil, err
	}
	for match, value := range cfg.Transports {
		if err := t.addTransport(match, value); err != nil {
			return nil, err
		}
	}
	for _, n := range []struct {
		into      *string
		key, name string
	}{{&t.hostname, "hostname", cfg.Hostname}, {&t.origin, "myorigin", cfg.Origin}} {
		if n.name == "" {
			continue
		}
		if *n.into, err = addr.Domain(n.name); err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "%s", n.key)
		}
	}
	return t, t.setPostmaster(cfg)
}

// addDomains takes the lists of domains; one domain is in one class.
func (t *Table) addDomains(cfg Config) error {
	lists := [numClasses][]string{Local: cfg.Locals, Alias: cfg.Aliases, Mailbox: cfg.Mailboxes, Relay: cfg.RelayTo}
	for c, list := range lists {
		set, err := newDomainSet(Class(c).String()+" domains", list)
		if err != nil {
			return err
		}
		for before := range c {
			if d := t.listed[before].overlap(set); d != "" {
				return fail.New(fail.Invalid, "domain %s is in the lists of %s and of %s domains: remove it from one of them", d, Class(before), Class(c))
			}
		}
		t.listed[c] = set
	}
	return nil
}

// addVia takes the transports of the classes.
func (t *Table) addVia(cfg Config) error {
	t.via = [numClasses]Hop{
		Local: {Transport: LocalAgent}, Mailbox: cfg.Local, Alias: {Transport: Error, Text: "5.1.1 User unknown in virtual alias table"},
	}
	for c, value := range cfg.Via {
		if value == "" {
			continue
		}
		hop, err := cfg.Names.ParseHop(value)
		if err != nil {
			return err
		}
		t.via[c] = hop
	}
	return nil
}

func (t *Table) addTransport(match, value string) error {
	hop, err := t.cfg.Names.ParseHop(value)
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
	for _, d := range append(cfg.Mailboxes[:len(cfg.Mailboxes):len(cfg.Mailboxes)], cfg.Locals...) {
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

// classOrder is the order in which the class of a domain is looked for.
var classOrder = [...]Class{Local, Alias, Mailbox, Relay}

// Class returns the class of a domain in canonical form. An error means the
// domain list could not be asked and keeps its kind.
func (t *Table) Class(ctx context.Context, domain string) (Class, error) {
	c, key, err := t.class(ctx, domain)
	if err == nil {
		explain.Say(ctx, func() explain.Step {
			return explain.Step{Key: key, What: "class", Input: domain, Result: c.String()}
		})
	}
	return c, err
}

// classKeys are where the configuration has the domains of a class.
var classKeys = [numClasses]string{Local: "domains.local", Alias: "domains.alias", Mailbox: "domains.mailbox", Relay: "domains.relay"}

func (t *Table) class(ctx context.Context, domain string) (_ Class, key string, _ error) {
	for _, c := range classOrder {
		if t.listed[c].match(domain) {
			return c, classKeys[c], nil
		}
	}
	if domain == "" || domain[0] == '[' {
		return Default, "", nil
	}
	for _, c := range classOrder {
		yes, key, err := t.tabled(ctx, c, domain)
		if err != nil {
			return Default, "", err
		}
		if yes {
			return c, key, nil
		}
	}
	return Default, "", nil
}

// tabled asks the tables of one class for a domain.
func (t *Table) tabled(ctx context.Context, c Class, domain string) (yes bool, key string, err error) {
	if m := t.cfg.Tables[c]; !m.Empty() {
		_, err := m.Domain(ctx, domain, true)
		if err == nil || !fail.Is(err, fail.NotFound) {
			return err == nil, m.Key, err
		}
	}
	if c != Mailbox || t.ask == nil {
		return false, "", nil
	}
	if yes, err = t.ask.HasMailboxes(ctx, domain); err != nil {
		return false, "", fail.Wrap(fail.KindOf(err), err, "asking whether %s has mailboxes here", domain)
	}
	return yes, "domains.tables", nil
}

// Sink reports whether mail for rcpt is dropped.
func (t *Table) Sink(rcpt addr.Address) bool {
	return !t.cfg.Sink.Null() && rcpt.Domain == t.cfg.Sink.Domain && strings.EqualFold(rcpt.Local, t.cfg.Sink.Local)
}

// Resolve replaces the recipients that RFC 5321 section 4.5.1 obliges us to
// know (bare "postmaster", and postmaster of our own host name) by the mailbox
// that reads them, and those that Config.Alias knows; it completes no other
// bare local part.
func (t *Table) Resolve(ctx context.Context, rcpt addr.Address) (addr.Address, error) {
	if t.cfg.Alias != nil {
		if to, ok := t.cfg.Alias(rcpt); ok {
			return to, nil
		}
	}
	if !strings.EqualFold(rcpt.Local, "postmaster") || t.postmaster.Null() {
		return rcpt, nil
	}
	if rcpt.Domain == "" {
		return t.postmaster, nil
	}
	if rcpt.Domain != t.hostname {
		return rcpt, nil
	}
	class, _, err := t.class(ctx, rcpt.Domain)
	if err != nil || class == Mailbox || class == Local {
		return rcpt, err
	}
	return t.postmaster, nil
}

// OptionLike reports whether a local part begins with "-", and that is not
// allowed: a program that is given the address would take it for an option.
func (t *Table) OptionLike(a addr.Address) bool {
	return !t.cfg.MinUser && strings.HasPrefix(a.Local, "-")
}

// IsPostmaster reports whether rcpt is the postmaster of one of our domains.
func (t *Table) IsPostmaster(class Class, rcpt addr.Address) bool {
	return class == Mailbox && strings.EqualFold(rcpt.Local, "postmaster")
}
