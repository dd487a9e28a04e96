package route

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

type asked map[string]bool

func (a asked) HasMailboxes(_ context.Context, d string) (bool, error) {
	if d == "down.example" {
		return false, fail.New(fail.Unavailable, "authd is down")
	}
	return a[d], nil
}

func testTable(t *testing.T, edit func(*Config)) *Table {
	t.Helper()
	cfg := Config{
		Hostname:  "mx.ours.example",
		Mailboxes: []string{"Ours.Example", ".wild.example"},
		RelayTo:   []string{"relayed.example"},
		Ask:       asked{"asked.example": true},
		Local:     Hop{Transport: LMTP, Socket: "/run/lmtp"},
		Delimiter: "+",
		Transports: map[string]string{
			"special.example": "smtp:[10.0.0.1]:2525",
			".sub.example":    "smtp:gateway.example",
			"gone.example":    "error:5.1.2 domain has moved",
			"sink.example":    "discard:",
			"relayed.example": "smtp:[inner.relayed.example]",
			"direct.example":  "smtp:",
		},
	}
	if edit != nil {
		edit(&cfg)
	}
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestRoute(t *testing.T) {
	plain := testTable(t, nil)
	smart := testTable(t, func(c *Config) { c.RelayHost = "[smart.example]:587" })
	boss := testTable(t, func(c *Config) { c.Postmaster = "boss@ours.example" })
	dash := testTable(t, func(c *Config) { c.MinUser = true })
	star := testTable(t, func(c *Config) { c.Transports["*"] = "discard:" })
	for _, tc := range []struct {
		name  string
		table *Table
		rcpt  string
		class Class
		hop   string
		to    string // "" means unchanged
	}{
		{"mailbox", plain, "joe@ours.example", Mailbox, "lmtp:unix:/run/lmtp", ""},
		{"mailbox, any case, trailing dot", plain, "Joe+x@OURS.example.", Mailbox, "lmtp:unix:/run/lmtp", "Joe+x@ours.example"},
		{"sub-domain of an exact entry is a stranger", plain, "joe@a.ours.example", Default, "smtp:a.ours.example", ""},
		{"below a dotted entry", plain, "joe@a.b.wild.example", Mailbox, "lmtp:unix:/run/lmtp", ""},
		{"dotted entry does not name itself", plain, "joe@wild.example", Default, "smtp:wild.example", ""},
		{"asked", plain, "joe@asked.example", Mailbox, "lmtp:unix:/run/lmtp", ""},
		{"relay domain with its transport", plain, "joe@relayed.example", Relay, "smtp:[inner.relayed.example]", ""},
		{"default by MX", plain, "joe@far.example", Default, "smtp:far.example", ""},
		{"default by relay host", smart, "joe@far.example", Default, "smtp:[smart.example]:587", ""},
		{"relay host does not take our mail", smart, "joe@ours.example", Mailbox, "lmtp:unix:/run/lmtp", ""},
		{"empty next hop goes around the relay host", smart, "joe@direct.example", Default, "smtp:direct.example", ""},
		{"table entry", plain, "joe@special.example", Default, "smtp:[10.0.0.1]:2525", ""},
		{"table entry of a parent", plain, "joe@x.sub.example", Default, "smtp:gateway.example", ""},
		{"error", plain, "joe@gone.example", Default, "error:5.1.2 domain has moved", ""},
		{"discard", plain, "joe@sink.example", Default, "discard:", ""},
		{"star takes strangers", star, "joe@far.example", Default, "discard:", ""},
		{"star leaves our mailboxes", star, "joe@ours.example", Mailbox, "lmtp:unix:/run/lmtp", ""},
		{"IPv4 literal", plain, "joe@[192.0.2.7]", Default, "smtp:[192.0.2.7]", ""},
		{"IPv6 literal", plain, "joe@[IPv6:2001:db8::1]", Default, "smtp:[2001:db8::1]", ""},
		{"like an option", plain, "-f@far.example", Default, "error:5.1.3 bad address syntax", ""},
		{"like an option, ours", plain, "-f@ours.example", Mailbox, "error:5.1.3 bad address syntax", ""},
		{"like an option, allowed", dash, "-f@ours.example", Mailbox, "lmtp:unix:/run/lmtp", ""},
		{"bare local part", plain, "joe", Default, "error:5.1.2 bad destination: the address has no domain", ""},
		{"bare postmaster", plain, "PostMaster", Mailbox, "lmtp:unix:/run/lmtp", "postmaster@ours.example"},
		{"bare postmaster, configured", boss, "postmaster", Mailbox, "lmtp:unix:/run/lmtp", "boss@ours.example"},
		{"postmaster of our host name", boss, "postmaster@mx.ours.example", Mailbox, "lmtp:unix:/run/lmtp", "boss@ours.example"},
		{"postmaster of our domain is itself", boss, "postmaster@ours.example", Mailbox, "lmtp:unix:/run/lmtp", ""},
		{"internationalised domain", plain, "joe@xn--mnchen-3ya.example", Default, "smtp:münchen.example", "joe@münchen.example"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rcpt, err := addr.Parse(tc.rcpt)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tc.table.Route(context.Background(), addr.Address{}, rcpt)
			if err != nil {
				t.Fatal(err)
			}
			want := tc.to
			if want == "" {
				want = tc.rcpt
			}
			if got.Class != tc.class || got.Hop.String() != tc.hop || got.Rcpt.String() != want {
				t.Errorf("got %v %v %v, want %v %v %v", got.Class, got.Hop, got.Rcpt, tc.class, tc.hop, want)
			}
		})
	}
}

func TestRouteLookupFailureIsAnError(t *testing.T) {
	_, err := testTable(t, nil).Route(context.Background(), addr.Address{}, addr.Address{Local: "joe", Domain: "down.example"})
	if !fail.Is(err, fail.Unavailable) {
		t.Fatalf("want the lookup's own kind, got %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"domain in two classes": {Mailboxes: []string{"a.example"}, RelayTo: []string{"A.example"}},
		"malformed domain":      {Mailboxes: []string{"a..example"}},
		"malformed relay":       {RelayTo: []string{"-"}},
		"unknown transport":     {Transports: map[string]string{"a.example": "uucp:x"}},
		"transport for nothing": {Transports: map[string]string{"a b": "smtp:"}},
		"relay host":            {RelayHost: "[a.example]:x"},
		"hostname":              {Hostname: "a b"},
		"postmaster":            {Postmaster: "joe"},
	} {
		if _, err := New(cfg); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: want fail.Invalid, got %v", name, err)
		}
	}
}

func TestAskErrorWraps(t *testing.T) {
	cause := errors.New("boom")
	table := testTable(t, func(c *Config) { c.Ask = failing{cause} })
	if _, err := table.Class(context.Background(), "x.example"); !errors.Is(err, cause) {
		t.Fatalf("cause lost: %v", err)
	}
}

type failing struct{ err error }

func (f failing) HasMailboxes(context.Context, string) (bool, error) { return false, f.err }

// table is a table in memory; "!" means that it cannot be asked.
type table map[string]string

func (t table) Lookup(_ context.Context, key string) (string, error) {
	switch v, ok := t[strings.ToLower(key)]; {
	case v == "!":
		return "", fail.New(fail.Unavailable, "away")
	case ok:
		return v, nil
	}
	return "", fail.New(fail.NotFound, "no %s", key)
}

func mapOf(key string, t table) maps.Map { return maps.Map{Key: key, Tables: lookup.Maps{t}} }

func TestClassesAndTables(t *testing.T) {
	full := testTable(t, func(c *Config) {
		c.Locals, c.Aliases = []string{"host.example"}, []string{"alias.example"}
		c.Transports["alias.example"] = "discard:"
		c.Tables = map[Class]maps.Map{
			Local: mapOf("domains.local_tables", table{"more.example": "x", "both.example": "x"}), Alias: mapOf("domains.alias_tables", table{"both.example": "x"}),
			Relay: mapOf("domains.relay_tables", table{".below.example": "x", "away.example": "!"}),
		}
		c.Names = Names{"slow": {Kind: SMTP}, "archive": {Kind: Pipe}, "store": {Kind: LMTP, Next: "unix:/run/usual"}}
		c.RelayHost = "[smart.example]"
		c.TransportMaps = mapOf("transport_maps", table{
			"joe@far.example": "slow:[one.example]", "ann+x@far.example": "discard:", "ann@far.example": "slow:", "t.example": "archive:list one",
			".t.example": "store:unix:/run/store", "usual.example": ":", "next.example": ":[other.example]:26", "bad.example": "nothing", "store.example": "store:", "box@ours.example": "retry:4.2.1 moving",
			"*": "slow:", "alias.example": "discard:", "plain.example": "slow", "no.example": "error", "wait.example": "retry:",
		})
	})
	senders := testTable(t, func(c *Config) {
		c.Names, c.RelayHost = Names{"isp": {Kind: SMTP}}, "[smart.example]"
		c.Locals, c.Origin = []string{"host.example"}, "origin.example"
		c.SenderTransportMaps = mapOf("sender_dependent_default_transport_maps", table{"joe@a.example": "isp:", "ann@a.example": "error:5.7.1 not you", "bob": "isp:[bob.example]"})
		c.SenderRelayHosts = mapOf("sender_dependent_relayhost_maps", table{"@a.example": "[relay.a.example]:587", "x@a.example": "DUNNO", "<>": "[null.example]", "@away.example": "!"})
	})
	for _, tc := range []struct {
		table        *Table
		sender, rcpt string
		class        Class
		hop          string
	}{
		{full, "", "joe@host.example", Local, "local:"},
		{full, "", "joe@more.example", Local, "local:"},
		{full, "", "joe@both.example", Local, "local:"},
		{full, "", "joe@alias.example", Alias, "error:5.1.1 User unknown in virtual alias table"},
		{full, "", "x@plain.example", Default, "slow:plain.example"},
		{full, "", "x@no.example", Default, "error:Address is undeliverable"},
		{full, "", "x@wait.example", Default, "retry:Address is undeliverable"},
		{full, "", "joe@a.below.example", Relay, "slow:a.below.example"},
		{full, "", "joe@far.example", Default, "slow:[one.example]"},
		{full, "", "Joe+Y@far.example", Default, "slow:[one.example]"},
		{full, "", "ann+x@far.example", Default, "discard:"},
		{full, "", "ann@far.example", Default, "slow:far.example"},
		{full, "", "x@t.example", Default, "archive:list one"},
		{full, "", "x@a.t.example", Default, "store:unix:/run/store"},
		{full, "", "x@store.example", Default, "store:unix:/run/usual"},
		{full, "", "x@usual.example", Default, "smtp:[smart.example]"},
		{full, "", "x@next.example", Default, "smtp:[other.example]:26"},
		{full, "", "x@else.example", Default, "slow:else.example"},
		{full, "", "x@ours.example", Mailbox, "lmtp:unix:/run/lmtp"},
		{full, "", "box@ours.example", Mailbox, "retry:4.2.1 moving"},
		{full, "", "x@relayed.example", Relay, "slow:relayed.example"},
		{full, "", "x@bad.example", Default, "unavailable"},
		{full, "", "x@away.example", Default, "unavailable"},
		{senders, "joe@a.example", "x@far.example", Default, "isp:[relay.a.example]:587"},
		{senders, "ann@a.example", "x@far.example", Default, "error:5.7.1 not you"},
		{senders, "x@a.example", "x@far.example", Default, "smtp:[smart.example]"},
		{senders, "x@b.example", "x@far.example", Default, "smtp:[smart.example]"},
		{senders, "", "x@far.example", Default, "smtp:[null.example]"},
		{senders, "bob+x@host.example", "x@far.example", Default, "isp:[bob.example]"},
		{senders, "bob@origin.example", "x@far.example", Default, "isp:[bob.example]"},
		{senders, "bob@b.example", "x@far.example", Default, "smtp:[smart.example]"},
		{senders, "x@away.example", "x@far.example", Default, "unavailable"},
		{senders, "x@a.example", "x@ours.example", Mailbox, "lmtp:unix:/run/lmtp"},
		{senders, "joe@a.example", "x@special.example", Default, "smtp:[10.0.0.1]:2525"},
	} {
		sender, _ := addr.Parse(tc.sender)
		rcpt, err := addr.Parse(tc.rcpt)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tc.table.Route(context.Background(), sender, rcpt)
		hop := got.Hop.String()
		if err != nil {
			hop, got.Class = fail.KindOf(err).String(), tc.class
		}
		if hop != tc.hop || got.Class != tc.class {
			t.Errorf("%s from %s: %s by %s, %v; want %s by %s", tc.rcpt, tc.sender, got.Class, hop, err, tc.class, tc.hop)
		}
		if err == nil {
			if back, err := tc.table.ParseHop(hop); err != nil || back != got.Hop {
				t.Errorf("%s reads back as %+v, %v", hop, back, err)
			}
		}
	}
}

// An address literal that means this host is a domain like others.
func TestLocalLiteral(t *testing.T) {
	table, err := New(Config{Locals: []string{"host.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]Class{"joe@[192.0.2.1]": Local, "joe@[IPv6:2001:DB8::1]": Local, "joe@[192.0.2.2]": Default} {
		a, err := addr.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := table.Class(context.Background(), a.Domain); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
