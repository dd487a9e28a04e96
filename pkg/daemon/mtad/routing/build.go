package routing

import (
	"cmp"
	"strings"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Host is what the rest of the configuration says.
type Host struct {
	Hostname   string
	Origin     string // rewrite.myorigin; empty: Hostname
	Delimiter  string
	Postmaster string
	LMTP       string                                  // deliver.lmtp
	SRSDomain  string                                  // whose addresses are ours, too; empty for none
	Sink       addr.Address                            // whose mail is dropped; null for none
	Alias      func(addr.Address) (addr.Address, bool) // addresses that come and go; nil for none
	Ask        route.Domains
	Tables     lookup.Options
}

// Table builds the routing table. Errors: fail.Invalid.
func (c Config) Table(d Domains, h Host) (*route.Table, error) {
	local, err := route.ParseHop("lmtp:" + h.LMTP)
	if err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "deliver.lmtp")
	}
	rc := route.Config{
		Hostname: h.Hostname, Origin: cmp.Or(h.Origin, h.Hostname), Mailboxes: d.Mailbox, RelayTo: d.Relay, Locals: d.Local, Aliases: d.Alias, Ask: h.Ask,
		Local: local, RelayHost: c.RelayHost, Transports: c.Routes, Names: c.names(h.LMTP), Delimiter: h.Delimiter, MinUser: c.MinUser, Postmaster: h.Postmaster,
		Sink: h.Sink, Alias: h.Alias,
		Via: map[route.Class]string{
			route.Default: c.DefaultTransport, route.Relay: c.RelayTransport, route.Local: c.LocalTransport, route.Mailbox: c.VirtualTransport,
		},
		Tables: map[route.Class]maps.Map{},
	}
	for _, t := range []struct {
		class route.Class
		key   string
		specs []string
	}{{route.Local, "domains.local_tables", d.LocalTables}, {route.Alias, "domains.alias_tables", d.AliasTables}, {route.Relay, "domains.relay_tables", d.RelayTables}} {
		if rc.Tables[t.class], err = maps.Open(t.key, t.specs, h.Tables); err != nil {
			return nil, err
		}
	}
	h.Tables.NoGroups = true
	for _, t := range []struct {
		into  *maps.Map
		key   string
		specs []string
	}{
		{&rc.TransportMaps, "transport_maps", c.TransportMaps},
		{&rc.SenderRelayHosts, "sender_dependent_relayhost_maps", c.SenderRelayHosts},
		{&rc.SenderTransportMaps, "sender_dependent_default_transport_maps", c.SenderTransportMaps},
	} {
		if *t.into, err = maps.Open(t.key, t.specs, h.Tables); err != nil {
			return nil, err
		}
	}
	if h.SRSDomain != "" && !listed(h.SRSDomain, d.Mailbox, d.Relay, d.Local, d.Alias) {
		rc.Aliases = append(rc.Aliases[:len(rc.Aliases):len(rc.Aliases)], h.SRSDomain)
	}
	return route.New(rc)
}

func listed(domain string, lists ...[]string) bool {
	for _, list := range lists {
		for _, d := range list {
			if strings.EqualFold(d, domain) {
				return true
			}
		}
	}
	return false
}

// names are the operator's transports as package route knows them.
func (c Config) names(lmtp string) route.Names {
	names := route.Names{}
	for name, t := range c.Transports {
		n := route.Named{Next: t.NextHop}
		n.Kind, _ = route.ParseTransport(t.Type)
		if t.Type == KindVirtual {
			n = route.Named{Kind: route.LMTP, Next: lmtp}
		}
		names[name] = n
	}
	return names
}

// Limits adds the limits of the transports to those of the queue's own
// section, which win. As in Postfix, a name of this host gets two deliveries at
// a time unless something else is said.
func (c Config) Limits(s queue.Settings) queue.Settings {
	all := map[string]queue.Limits{}
	for name, t := range c.Transports {
		all[name] = t.Limits
	}
	for name, l := range s.Transports {
		all[name] = l
	}
	local := all[route.LocalAgent.String()]
	if local.Destination == 0 {
		local.Destination = 2
	}
	if local.Recipients == 0 {
		local.Recipients = 1
	}
	all[route.LocalAgent.String()] = local
	s.Transports = all
	return s
}

// FallbackHops reads a list of fallback relays. Errors: fail.Invalid.
func FallbackHops(list []string) ([]route.Hop, error) {
	var hops []route.Hop
	for _, s := range list {
		hop, err := route.ParseRelayHost(s)
		if err != nil {
			return nil, err
		}
		if hop.Host != "" {
			hops = append(hops, hop)
		}
	}
	return hops, nil
}

// Check reports what is wrong with the transports, and then with the whole.
func (c Config) Check(p *conf.Reporter, d Domains, h Host) {
	for name, t := range c.Transports {
		t.check(p.At("transports[%s]", name), name)
		if _, err := maps.Open("delivery_status_filter", t.StatusFilter, h.Tables); err != nil {
			p.At("transports[%s]", name).Errorf("%v", err)
		}
	}
	h.Ask = nil
	for match, hop := range c.Routes {
		one := Config{Routes: map[string]string{match: hop}, Transports: c.Transports}
		if _, err := one.Table(Domains{}, Host{LMTP: h.LMTP}); err != nil {
			p.At("routes[%s]", match).Errorf("%v", err)
			return
		}
	}
	if _, err := FallbackHops(c.FallbackRelay); err != nil {
		p.At("fallback_relay").Errorf("%v", err)
	}
	for _, t := range []struct {
		key   string
		specs []string
	}{
		{"transport_maps", c.TransportMaps},
		{"sender_dependent_relayhost_maps", c.SenderRelayHosts},
		{"sender_dependent_default_transport_maps", c.SenderTransportMaps},
		{"password_maps", c.PasswordMaps},
		{"local_recipient_maps", c.LocalRecipientMaps},
		{"virtual_mailbox_maps", c.VirtualMailboxMaps},
		{"relay_recipient_maps", c.RelayRecipientMaps},
		{"default_delivery_status_filter", c.StatusFilter},
		{"mailbox_transport_maps", c.MailboxMaps},
		{"fallback_transport_maps", c.FallbackMaps},
		{"domains.local_tables", d.LocalTables},
		{"domains.alias_tables", d.AliasTables},
		{"domains.relay_tables", d.RelayTables},
	} {
		if _, err := maps.Open(t.key, t.specs, h.Tables); err != nil {
			p.At(t.key).Errorf("%s", strings.TrimPrefix(err.Error(), t.key+": "))
		}
	}
	for key, value := range map[string]string{
		"default_transport": c.DefaultTransport, "relay_transport": c.RelayTransport, "local_transport": c.LocalTransport, "virtual_transport": c.VirtualTransport,
	} {
		if value == "" {
			continue
		}
		if _, err := c.names(h.LMTP).ParseHop(value); err != nil {
			p.At(key).Errorf("%v", err)
		}
	}
	own := c
	own.MailboxMaps, own.FallbackMaps = nil, nil // said above
	if _, err := own.Mailboxes(h, nil); err != nil {
		key, text, ok := strings.Cut(err.Error(), ": ")
		if !ok || strings.Contains(key, " ") {
			p.Errorf("%v", err)
		} else {
			p.At(key).Errorf("%s", text)
		}
	}
}

func (t Transport) check(p *conf.Reporter, name string) {
	if _, builtin := route.ParseTransport(name); builtin || strings.ContainsAny(name, ": \t") || name == "" {
		p.Errorf("%q cannot be the name of a transport of your own", name)
	}
	if t.Type == KindPipe && (t.Socket == "" || t.Command == "") {
		p.Errorf("a pipe needs a socket and a command")
	}
	if t.NextHop != "" {
		kind, _ := route.ParseTransport(t.Type)
		if _, err := (route.Names{name: {Kind: kind}}).ParseHop(name + ":" + t.NextHop); err != nil {
			p.At("next_hop").Errorf("%v", err)
		}
	}
	if _, err := FallbackHops(t.Fallback); err != nil {
		p.At("fallback_relay").Errorf("%v", err)
	}
	CheckSource(p.At("source"), t.Source)
	CheckFlags(p.At("flags"), t.Flags)
	CheckWords(p.At("discard_ehlo_keywords"), t.DiscardWords)
	if t.Credentials != "" && t.TLS == "none" {
		p.At("tls").Hint("write may or encrypt").Errorf("credentials are never sent in the clear")
	}
}

// Preset gives an entry its defaults before it is read.
func (t *Transport) Preset() { *t = Transport{Type: "smtp", TimeLimit: 1000e9} }
