package route

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// errNoTable is the answer of a key without tables. It is the usual one, and
// the same for everybody, so that it costs nothing.
var errNoTable = fail.New(fail.NotFound, "there is no table")

// Route decides for one recipient of a sender's message. In this order: the
// table of transports, the sender's own, the class's; the next hop of the
// default and relay classes is the sender's relay host, the relay host, or the
// recipient's domain. An empty next hop in a table means the recipient's
// domain.
func (t *Table) Route(ctx context.Context, sender, rcpt addr.Address) (Route, error) {
	rcpt, err := t.Resolve(ctx, rcpt)
	if err != nil {
		return Route{}, err
	}
	class, err := t.Class(ctx, rcpt.Domain)
	if err != nil {
		return Route{}, err
	}
	hop, key := Hop{Transport: Discard}, sinkKey
	switch {
	case t.OptionLike(rcpt):
		hop, key = Hop{Transport: Error, Text: "5.1.3 bad address syntax"}, minUserKey
	case !t.Sink(rcpt):
		if hop, key, err = t.pick(ctx, class, sender, rcpt); err != nil {
			return Route{}, err
		}
		hop = fill(hop, rcpt.Domain)
	}
	explain.Say(ctx, func() explain.Step {
		return explain.Step{Key: key, What: "transport", Input: rcpt.String(), Result: hop.String()}
	})
	return Route{Class: class, Hop: hop, Rcpt: rcpt}, nil
}

// minUserKey is where the configuration has Config.MinUser.
const minUserKey = "allow_min_user"

// sinkKey is where the configuration has Config.Sink.
const sinkKey = "double_bounce_sender"

// viaKeys are where the configuration has the transport of a class.
var viaKeys = [numClasses]string{
	Default: "default_transport", Local: "local_transport", Mailbox: "virtual_transport", Relay: "relay_transport", Alias: "domains.alias",
}

func (t *Table) pick(ctx context.Context, class Class, sender, rcpt addr.Address) (_ Hop, key string, _ error) {
	usual, key, err := t.usual(ctx, class, sender)
	if err != nil || class == Alias { // an address that is no alias does not exist, whatever tables say
		return usual, key, err
	}
	hop, err := t.tableOf(ctx, class, rcpt, usual)
	if err == nil || !fail.Is(err, fail.NotFound) {
		return hop, t.cfg.TransportMaps.Key, err
	}
	if hop, ok := t.override(rcpt.Domain, class); ok {
		return hop, "routes", nil
	}
	return usual, key, nil
}

// usual is the hop of a class when no table speaks for the recipient.
func (t *Table) usual(ctx context.Context, class Class, sender addr.Address) (_ Hop, key string, _ error) {
	hop, key := t.via[class], viaKeys[class]
	if class != Default && class != Relay {
		return hop, key, nil
	}
	if class == Default {
		value, err := t.ofSender(ctx, t.cfg.SenderTransportMaps, sender)
		switch {
		case err == nil:
			if hop, err = t.cfg.Names.ParseHop(value); err != nil {
				return Hop{}, "", badValue(t.cfg.SenderTransportMaps, sender, err)
			}
			key = t.cfg.SenderTransportMaps.Key
		case !fail.Is(err, fail.NotFound):
			return Hop{}, "", err
		}
	}
	if hop.Transport != SMTP || hop.Host != "" {
		return hop, key, nil
	}
	return t.relayed(ctx, hop, key, sender)
}

// relayed gives an SMTP hop without host the relay host, if there is one.
func (t *Table) relayed(ctx context.Context, hop Hop, key string, sender addr.Address) (Hop, string, error) {
	relay := t.relayHost
	value, err := t.ofSender(ctx, t.cfg.SenderRelayHosts, sender)
	switch {
	case err == nil:
		if relay, err = ParseRelayHost(value); err != nil {
			return Hop{}, "", badValue(t.cfg.SenderRelayHosts, sender, err)
		}
		key = t.cfg.SenderRelayHosts.Key
	case !fail.Is(err, fail.NotFound):
		return Hop{}, "", err
	case relay.Host != "":
		key = "relayhost"
	}
	relay.Name = hop.Name
	return relay, key, nil
}

// ofSender looks a sender up; the value DUNNO ends the search without answer.
func (t *Table) ofSender(ctx context.Context, m maps.Map, sender addr.Address) (string, error) {
	if m.Empty() {
		return "", errNoTable
	}
	var value string
	var err error
	if sender.Null() {
		value, err = m.Lookup(ctx, "<>")
	} else {
		var class Class
		if class, _, err = t.class(ctx, sender.Domain); err != nil {
			return "", err
		}
		var found maps.Match
		found, err = m.Find(ctx, sender, maps.Query{Delims: t.delimiter, Bare: class == Local || sender.Domain == t.origin})
		value = found.Value
	}
	if err == nil && strings.EqualFold(strings.TrimSpace(value), "DUNNO") {
		return "", fail.New(fail.NotFound, "%s says DUNNO", m.Key)
	}
	return value, err
}

func badValue(m maps.Map, what addr.Address, err error) error {
	return fail.Wrap(fail.Unavailable, err, "%s has an unusable value for %s", m.Key, what)
}

// tableOf asks the table of transports: the address, without its detail, the
// domain, its parents, "*". Errors: fail.NotFound when it has nothing to say.
func (t *Table) tableOf(ctx context.Context, class Class, rcpt addr.Address, usual Hop) (Hop, error) {
	m := t.cfg.TransportMaps
	if m.Empty() {
		return Hop{}, errNoTable
	}
	value, err := t.transportOf(ctx, m, class, rcpt)
	if err != nil {
		return Hop{}, err
	}
	name, next, ok := strings.Cut(strings.TrimSpace(value), ":")
	switch {
	case ok && name == "" && next == "":
		return Hop{}, fail.New(fail.NotFound, "the usual way")
	case ok && name == "":
		value = usual.Via() + ":" + next
	}
	hop, err := t.cfg.Names.ParseHop(value)
	if err != nil {
		return Hop{}, badValue(m, rcpt, err)
	}
	return hop, nil
}

func (t *Table) transportOf(ctx context.Context, m maps.Map, class Class, rcpt addr.Address) (string, error) {
	value, err := m.Lookup(ctx, rcpt.String())
	if base := rcpt.Base(t.delimiter); base != rcpt && fail.Is(err, fail.NotFound) {
		value, err = m.LookupPart(ctx, base.String())
	}
	if rcpt.Domain != "" && fail.Is(err, fail.NotFound) {
		value, err = m.LookupPart(ctx, rcpt.Domain)
	}
	for key := range parents(rcpt.Domain) {
		if !fail.Is(err, fail.NotFound) {
			break
		}
		value, err = m.LookupPart(ctx, key)
	}
	if fail.Is(err, fail.NotFound) && (class == Default || class == Relay) {
		value, err = m.LookupPart(ctx, "*")
	}
	return value, err
}

// override looks a domain up in the list of exceptions: itself, its parents,
// then "*", which speaks for mail that leaves only (a catch-all must not take
// our own mail away).
func (t *Table) override(domain string, class Class) (Hop, bool) {
	if len(t.transports) == 0 {
		return Hop{}, false
	}
	if hop, ok := t.transports[domain]; ok {
		return hop, true
	}
	for p := range parents(domain) {
		if hop, ok := t.transports[p]; ok {
			return hop, true
		}
	}
	if class != Default && class != Relay {
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

// ParseHop reads a hop that a Route had, as Hop.String wrote it.
func (t *Table) ParseHop(s string) (Hop, error) { return t.cfg.Names.ParseHop(s) }
