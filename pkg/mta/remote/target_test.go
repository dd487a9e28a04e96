package remote

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/dnsx"
)

func ips(list ...string) []netip.Addr {
	out := make([]netip.Addr, len(list))
	for i, s := range list {
		out[i] = netip.MustParseAddr(s)
	}
	return out
}

// zone is the DNS of these tests; names ending in ".down" fail to resolve.
func zone() *dnsx.Static {
	z := &dnsx.Static{
		MXs: map[string][]dnsx.MX{
			"one.example":        {{Host: "mx.one.example", Pref: 10}},
			"two.example":        {{Host: "b.two.example", Pref: 20}, {Host: "a.two.example", Pref: 10}},
			"equal.example":      {{Host: "a.two.example", Pref: 5}, {Host: "b.two.example", Pref: 5}, {Host: "mx.one.example", Pref: 5}},
			"null.example":       {{Host: ".", Pref: 0}},
			"self.example":       {{Host: "ME.example.", Pref: 10}, {Host: "b.two.example", Pref: 20}},
			"backup.example":     {{Host: "a.two.example", Pref: 5}, {Host: "me.example", Pref: 10}, {Host: "b.two.example", Pref: 10}},
			"dangling.example":   {{Host: "gone.example", Pref: 10}},
			"halfdown.example":   {{Host: "gone.example", Pref: 10}, {Host: "mx.down", Pref: 20}},
			"rescued.example":    {{Host: "mx.down", Pref: 10}, {Host: "mx.one.example", Pref: 20}},
			"loopback.example":   {{Host: "localhost.example", Pref: 10}},
			"literal.example":    {{Host: "192.0.2.77", Pref: 1}},
			"many.example":       {{Host: "many-hosts.example", Pref: 1}},
			"xn--mnchen-3ya.de":  {{Host: "mx.one.example", Pref: 1}},
			"own.example":        {{Host: "own-host.example", Pref: 10}, {Host: "b.two.example", Pref: 10}, {Host: "mx.one.example", Pref: 20}},
			"own-second.example": {{Host: "a.two.example", Pref: 5}, {Host: "own-host.example", Pref: 10}, {Host: "mx.one.example", Pref: 20}},
			"own-only.example":   {{Host: "gone.example", Pref: 5}, {Host: "own-host.example", Pref: 10}},
		},
		SRVs: map[string][]dnsx.SRV{
			"_submission._tcp.one.example":  {{Host: "mx.one.example", Port: 1587, Priority: 20}, {Host: "a.two.example", Port: 2587, Priority: 10}},
			"_submission._tcp.null.example": {{Host: "."}},
		},
		Hosts: map[string][]netip.Addr{
			"mx.one.example":     ips("192.0.2.1"),
			"a.two.example":      ips("192.0.2.10", "2001:db8::10"),
			"b.two.example":      ips("192.0.2.20"),
			"plain.example":      ips("192.0.2.30"),
			"localhost.example":  ips("127.0.0.1", "::1"),
			"own-host.example":   ips("192.0.2.25"),
			"many-hosts.example": ips("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"),
		},
	}
	for _, name := range []string{"mx.down", "dns.down"} {
		z.Fail(name, dnsx.TemporaryFailure(name))
	}
	z.Fail("_submission._tcp.dns.down", dnsx.TemporaryFailure("_submission._tcp.dns.down"))
	return z
}

func TestTargets(t *testing.T) {
	for _, tc := range []struct {
		hop  string
		want string // relays in order, or "X.Y.Z text"
	}{
		{"smtp:one.example", "mx.one.example[192.0.2.1]:25"},
		{"smtp:two.example", "a.two.example[192.0.2.10]:25 a.two.example[2001:db8::10]:25 b.two.example[192.0.2.20]:25"},
		{"smtp:two.example:2525", "a.two.example[192.0.2.10]:2525 a.two.example[2001:db8::10]:2525 b.two.example[192.0.2.20]:2525"},
		{"smtp:plain.example", "plain.example[192.0.2.30]:25"},
		{"smtp:münchen.de", "mx.one.example[192.0.2.1]:25"},
		{"smtp:many.example", "many-hosts.example[192.0.2.1]:25 many-hosts.example[192.0.2.2]:25 many-hosts.example[192.0.2.3]:25 many-hosts.example[192.0.2.4]:25 many-hosts.example[192.0.2.5]:25"},
		{"smtp:literal.example", "192.0.2.77[192.0.2.77]:25"},
		{"smtp:rescued.example", "mx.one.example[192.0.2.1]:25"},
		{"smtp:backup.example", "a.two.example[192.0.2.10]:25 a.two.example[2001:db8::10]:25"},
		{"smtp:[one.example]", "5.4.4 Host or domain name not found. Name service error for name=one.example type=AAAA: Host found but no data record of requested type"},
		{"smtp:[mx.one.example]:587", "mx.one.example[192.0.2.1]:587"},
		{"smtp:[localhost.example]", "localhost.example[127.0.0.1]:25 localhost.example[::1]:25"},
		{"smtp:[192.0.2.99]", "192.0.2.99[192.0.2.99]:25"},
		{"smtp:[2001:db8::99]:26", "2001:db8::99[2001:db8::99]:26"},
		{"lmtp:unix:/run/x", "me.example[/run/x]"},
		{"lmtp:[mx.one.example]", "mx.one.example[192.0.2.1]:24"},
		{"smtp:null.example", "5.1.0 Domain null.example does not accept mail (nullMX)"},
		{"smtp:self.example", "5.4.6 mail for self.example loops back to myself"},
		{"smtp:loopback.example", "5.4.6 mail for localhost.example loops back to myself"},
		{"smtp:nowhere.example", "5.4.4 Host or domain name not found. Name service error for name=nowhere.example type=AAAA: Host not found"},
		{"smtp:dangling.example", "5.4.4 Host or domain name not found. Name service error for name=gone.example type=AAAA: Host not found"},
		{"smtp:halfdown.example", "4.4.3 Host or domain name not found. Name service error for name=mx.down type=AAAA: Host not found, try again"},
		{"smtp:dns.down", "4.4.3 Host or domain name not found. Name service error for name=dns.down type=MX: Host not found, try again"},
	} {
		c := New(Config{Hostname: "me.example", Self: []string{"me.example"}, Resolver: zone(), Shuffle: func(int, func(i, j int)) {}})
		hop, err := route.ParseHop(tc.hop)
		if err != nil {
			t.Fatal(err)
		}
		list, why := c.targets(context.Background(), hop)
		var words []string
		for _, t := range list {
			words = append(words, t.relay())
		}
		got := strings.Join(words, " ")
		if why != nil {
			o := why.outcome()
			got = o.Code() + " " + o.Text
			if (o.Status == Deferred) != (o.DSN[0] == 4) {
				t.Errorf("%s: status %v with code %s", tc.hop, o.Status, o.Code())
			}
		}
		if got != tc.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.hop, got, tc.want)
		}
	}
}

// found is what a client says of a hop: relays in order, or "X.Y.Z text".
func found(t *testing.T, cfg Config, text string) string {
	t.Helper()
	hop, err := route.ParseHop(text)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Hostname, cfg.Resolver, cfg.Shuffle = "me.example", zone(), func(int, func(i, j int)) {}
	list, why := New(cfg).targets(context.Background(), hop)
	if why != nil {
		o := why.outcome()
		return o.Code() + " " + o.Text
	}
	var words []string
	for _, t := range list {
		words = append(words, t.relay())
	}
	return strings.Join(words, " ")
}

// Hosts with an address of ours are left out, and all that are not better;
// behind another port there may be a content filter.
func TestOwnAddresses(t *testing.T) {
	own := func(ip netip.Addr) bool { return ip == netip.MustParseAddr("192.0.2.25") }
	for hop, want := range map[string]string{
		"smtp:own.example":             "5.4.6 mail for own.example loops back to myself",
		"smtp:own-host.example":        "5.4.6 mail for own-host.example loops back to myself",
		"smtp:[own-host.example]":      "5.4.6 mail for own-host.example loops back to myself",
		"smtp:[192.0.2.25]":            "5.4.6 mail for 192.0.2.25 loops back to myself",
		"smtp:own-second.example":      "a.two.example[192.0.2.10]:25 a.two.example[2001:db8::10]:25",
		"smtp:own-only.example":        "4.4.4 unable to find primary relay for own-only.example",
		"smtp:[own-host.example]:2525": "own-host.example[192.0.2.25]:2525",
		"lmtp:[own-host.example]:25":   "own-host.example[192.0.2.25]:25",
	} {
		if got := found(t, Config{Own: own}, hop); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", hop, got, want)
		}
	}
	if got := found(t, Config{Own: own, Port: 2525}, "smtp:own.example:2525"); !strings.HasPrefix(got, "5.4.6 ") {
		t.Errorf("exchangers at another port: %s", got)
	}
}

// Hosts of a service are those of its SRV records (RFC 2782).
func TestServices(t *testing.T) {
	const missing = " Host or domain name not found. Name service error for name=_submission._tcp."
	usual := Config{Services: map[uint16]string{587: "submission"}}
	fallback, ignore := usual, usual
	fallback.ServiceFallback, ignore.ServiceIgnore = true, true
	for _, c := range []struct {
		cfg       Config
		hop, want string
	}{
		{usual, "smtp:one.example:587", "a.two.example[192.0.2.10]:2587 a.two.example[2001:db8::10]:2587 mx.one.example[192.0.2.1]:1587"},
		{usual, "smtp:one.example", "mx.one.example[192.0.2.1]:25"},
		{usual, "smtp:[mx.one.example]:587", "mx.one.example[192.0.2.1]:587"},
		{usual, "smtp:null.example:587", "5.1.0 Domain null.example does not offer the service _submission._tcp.null.example (null SRV)"},
		{usual, "smtp:two.example:587", "5.4.4" + missing + "two.example type=SRV: Host not found"},
		{usual, "smtp:dns.down:587", "4.4.3" + missing + "dns.down type=SRV: Host not found, try again"},
		{ignore, "smtp:two.example:587", "5.4.4" + missing + "two.example type=SRV: Host not found"},
		{ignore, "smtp:dns.down:587", "4.4.3 Host or domain name not found. Name service error for name=dns.down type=MX: Host not found, try again"},
		{fallback, "smtp:dns.down:587", "4.4.3" + missing + "dns.down type=SRV: Host not found, try again"},
		{fallback, "smtp:plain.example:587", "plain.example[192.0.2.30]:587"},
		{fallback, "smtp:null.example:587", "5.1.0 Domain null.example does not offer the service _submission._tcp.null.example (null SRV)"},
	} {
		if got := found(t, c.cfg, c.hop); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.hop, got, c.want)
		}
	}
}

// Among servers of one priority the weight is the chance to be the first.
func TestWeights(t *testing.T) {
	records := []dnsx.SRV{{Host: "none", Priority: 1}, {Host: "three", Priority: 1, Weight: 3}, {Host: "one", Priority: 1, Weight: 1}, {Host: "last", Priority: 2, Weight: 9}}
	for at, want := range []string{"three one none last", "three one none last", "three one none last", "one three none last"} {
		c := New(Config{Random: func(n int) int { return min(at, n-1) }})
		var got []string
		for i, h := range c.weighed(slices.Clone(records)) {
			if got = append(got, h.name); h.pref != i {
				t.Errorf("%s has preference %d", h.name, h.pref)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("draw %d: %s, want %s", at, s, want)
		}
	}
}

// Equal preferences are shuffled (RFC 5321 section 5.1), different ones never.
func TestEqualPreferencesAreShuffled(t *testing.T) {
	lastFirst := func(n int, swap func(i, j int)) {
		for i := n - 1; i > 0; i-- {
			swap(i, i-1)
		}
	}
	keep := func(int, func(i, j int)) {}
	first := func(shuffle func(int, func(i, j int)), domain string) string {
		c := New(Config{Hostname: "me.example", Resolver: zone(), Shuffle: shuffle})
		list, _ := c.targets(context.Background(), route.Hop{Host: domain, MX: true})
		return list[0].Host
	}
	if a, b := first(keep, "equal.example"), first(lastFirst, "equal.example"); a != "a.two.example" || b != "b.two.example" {
		t.Errorf("equal preferences: %s, then %s", a, b)
	}
	if a, b := first(keep, "two.example"), first(lastFirst, "two.example"); a != b {
		t.Errorf("different preferences were shuffled: %s, then %s", a, b)
	}
}

func TestFamilies(t *testing.T) {
	z := &dnsx.Static{
		MXs: map[string][]dnsx.MX{"x.example": {{Host: "a.example", Pref: 10}, {Host: "b.example", Pref: 10}, {Host: "c.example", Pref: 20}}},
		Hosts: map[string][]netip.Addr{
			"a.example":  ips("2001:db8::1", "192.0.2.1"),
			"b.example":  ips("2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"),
			"c.example":  ips("192.0.2.9", "2001:db8::9"),
			"v6.example": ips("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5", "2001:db8::6"),
		},
	}
	z.MXs["late.example"] = []dnsx.MX{{Host: "v6.example", Pref: 1}, {Host: "c.example", Pref: 2}}
	for _, tc := range []struct {
		what, domain string
		families     Families
		want         string // addresses; 192.0.2.n as n, 2001:db8::n as :n
	}{
		{"any", "x.example", Families{}, ":1 1 :2 :3 :4"},
		{"IPv4 first", "x.example", Families{Prefer: 4}, "1 :1 :2 :3 :4"},
		{"IPv6 first, among equals", "x.example", Families{Prefer: 6, Limit: 20}, ":1 :2 :3 :4 :5 1 :9 9"},
		{"IPv4 only", "x.example", Families{Only: 4}, "1 9"},
		{"IPv6 only", "x.example", Families{Only: 6}, ":1 :2 :3 :4 :5"},
		{"IPv6 first, balanced", "x.example", Families{Prefer: 6, Balance: true}, ":1 :2 :3 :4 1"},
		{"balanced over preferences", "late.example", Families{Balance: true}, ":1 :2 :3 :4 9"},
		{"not balanced", "late.example", Families{}, ":1 :2 :3 :4 :5"},
		{"balanced, one place", "late.example", Families{Balance: true, Limit: 1}, ":1"},
	} {
		c := New(Config{Hostname: "me.example", Resolver: z, Families: tc.families, Shuffle: func(int, func(i, j int)) {}})
		list, why := c.targets(context.Background(), route.Hop{Host: tc.domain, MX: true})
		var words []string
		for _, t := range list {
			words = append(words, strings.TrimPrefix(strings.TrimPrefix(t.IP, "192.0.2."), "2001:db8:"))
		}
		if got := strings.Join(words, " "); got != tc.want || why != nil {
			t.Errorf("%s: %s, %v, want %s", tc.what, got, why, tc.want)
		}
	}
	c := New(Config{Hostname: "me.example", Resolver: z, Families: Families{Only: 4}})
	if _, why := c.targets(context.Background(), route.Hop{Host: "v6.example"}); why == nil || why.Status != Bounced {
		t.Errorf("no address of the only family: %v", why)
	}
}
