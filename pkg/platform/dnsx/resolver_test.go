package dnsx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/dnsx"
	"github.com/postcote/postcote/pkg/platform/dnsx/dnstest"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const zone = `
example.org.       MX 20 b.example.org.
example.org.       MX 10 A.Example.ORG.
example.org.       MX 10 c.example.org.
example.org.       TXT "v=spf1 " "-all"
example.org.       TXT "quote \" back \\ euro \226\130\172"
a.example.org.     A 192.0.2.1
a.example.org.     A 192.0.2.2
a.example.org.     AAAA 2001:db8::1
b.example.org.     A 192.0.2.3
null.example.      MX 0 .
mixed.example.     MX 0 .
mixed.example.     MX 5 a.example.org.
alias.example.     CNAME alias2.example.
alias2.example.    CNAME a.example.org.
dangling.example.  CNAME nowhere.example.
loop1.example.     CNAME loop2.example.
loop2.example.     CNAME loop1.example.
mxalias.example.   CNAME example.org.
odd.example.       MX 10 has\032space.example.
odd.example.       MX 20 a.example.org.
allodd.example.    MX 10 b\@d.example.
sub.empty.example. A 192.0.2.9
1.2.0.192.in-addr.arpa. PTR a.example.org.
1.2.0.192.in-addr.arpa. PTR evil\010name.example.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR a.example.org.
`

type world struct {
	*dnstest.Server
	*dnsx.Client
	now time.Time
}

func start(t *testing.T, zone string, change func(*dnsx.Config)) *world {
	t.Helper()
	s, err := dnstest.Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w := &world{Server: s, now: time.Unix(1_800_000_000, 0)}
	cfg := dnsx.DefaultConfig()
	cfg.Servers = []string{s.Addr()}
	if change != nil {
		change(&cfg)
	}
	if w.Client, err = dnsx.NewClient(cfg, func() time.Time { return w.now }); err != nil {
		t.Fatal(err)
	}
	return w
}

// render turns any result into one line.
func render(v any, err error) string {
	if err != nil {
		return fmt.Sprintf("%s: %s", fail.KindOf(err), dnsx.WhyOf(err))
	}
	return fmt.Sprint(v)
}

func TestQuestions(t *testing.T) {
	w := start(t, zone, nil)
	ctx := context.Background()
	mx := func(d string) string { return render(w.MX(ctx, d)) }
	addrs := func(h string) string { return render(w.Addrs(ctx, h)) }
	txt := func(n string) string { return render(w.TXT(ctx, n)) }
	ptr := func(a string) string { return render(w.PTR(ctx, netip.MustParseAddr(a))) }
	none, nodata := "not found: "+string(dnsx.NXDomain), "not found: "+string(dnsx.NoData)
	bad := "temporary: " + string(dnsx.BadAnswer)
	for _, c := range []struct{ what, got, want string }{
		{"MX sorted, lower case, ties in order", mx("Example.ORG."), "[{a.example.org 10} {c.example.org 10} {b.example.org 20}]"},
		{"MX through an alias", mx("mxalias.example"), "[{a.example.org 10} {c.example.org 10} {b.example.org 20}]"},
		{"null MX", mx("null.example"), "not found: " + string(dnsx.NullMX)},
		{"a root among real hosts is ignored", mx("mixed.example"), "[{a.example.org 5}]"},
		{"a host that is no name is ignored", mx("odd.example"), "[{a.example.org 20}]"},
		{"hosts that are no names", mx("allodd.example"), bad},
		{"no MX", mx("a.example.org"), nodata},
		{"no such domain", mx("nosuch.example"), none},
		{"name that cannot be", mx("a..b"), none},
		{"empty name", mx(""), none},
		{"both families", addrs("a.example.org"), "[2001:db8::1 192.0.2.1 192.0.2.2]"},
		{"one family", addrs("b.example.org"), "[192.0.2.3]"},
		{"alias of an alias", addrs("alias.example"), "[2001:db8::1 192.0.2.1 192.0.2.2]"},
		{"alias to nowhere", addrs("dangling.example"), none},
		{"aliases in a circle", addrs("loop1.example"), bad},
		{"no address", addrs("example.org"), nodata},
		{"a name that only has names below it", addrs("empty.example"), nodata},
		{"TXT joined, unescaped", txt("example.org"), "[v=spf1 -all quote \" back \\ euro €]"},
		{"PTR, without what is no name", ptr("192.0.2.1"), "[a.example.org]"},
		{"PTR of a mapped address", ptr("::ffff:192.0.2.1"), "[a.example.org]"},
		{"PTR of IPv6", ptr("2001:db8::1"), "[a.example.org]"},
		{"no PTR", ptr("192.0.2.99"), none},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	_, err := w.MX(ctx, "null.example")
	if !dnsx.IsNullMX(err) || dnsx.IsNXDomain(err) || !strings.Contains(err.Error(), "null.example, type=MX: Domain does not accept mail") {
		t.Error(err)
	}
}

// TestDoubtIsTemporary: nothing but a clear answer may ever say "there is none".
func TestDoubtIsTemporary(t *testing.T) {
	ctx := context.Background()
	for rcode, want := range map[int]dnsx.Why{
		dns.RcodeServerFailure: dnsx.ServFail, dns.RcodeRefused: dnsx.ServFail, dns.RcodeNotImplemented: dnsx.ServFail,
		dns.RcodeFormatError: dnsx.ServFail, dns.RcodeNotAuth: dnsx.ServFail,
	} {
		w := start(t, zone, nil)
		w.Break("example.org", rcode)
		_, err := w.MX(ctx, "example.org")
		if dnsx.WhyOf(err) != want || fail.KindOf(err) != fail.Temporary {
			t.Errorf("rcode %d: %v", rcode, err)
		}
		w.Break("example.org", dns.RcodeSuccess)
		if _, err := w.MX(ctx, "example.org"); err != nil {
			t.Errorf("rcode %d was remembered: %v", rcode, err)
		}
	}

	w := start(t, zone, func(c *dnsx.Config) { c.Timeout, c.Attempts = conf.Duration(100*time.Millisecond), 2 })
	w.Silence("", true)
	_, err := w.MX(ctx, "example.org")
	for end := time.Now().Add(30 * time.Second); len(w.Asked()) < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the server hears later than the client gives up
	}
	if dnsx.WhyOf(err) != dnsx.Unreachable || fail.KindOf(err) != fail.Temporary || len(w.Asked()) != 2 {
		t.Errorf("silence: %v after %v", err, w.Asked())
	}

	w = start(t, zone, nil)
	w.Silence("", true)
	ended, cancel := context.WithCancel(ctx)
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err = w.MX(ended, "example.org")
	if fail.KindOf(err) != fail.Temporary || !errors.Is(err, context.Canceled) { // no timeout: it was not waited for
		t.Errorf("called off: %v", err)
	}
}

// TestHalfAnOutage: addresses of one family are used though the other one
// could not be asked, but "none" of one family proves nothing then.
func TestHalfAnOutage(t *testing.T) {
	ctx := context.Background()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		switch {
		case q.Question[0].Qtype == dns.TypeAAAA:
			r.Rcode = dns.RcodeServerFailure
		case q.Question[0].Name == "has.example.":
			rr, _ := dns.NewRR("has.example. 60 A 192.0.2.1")
			r.Answer = []dns.RR{rr}
		default:
			r.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(r)
	})}
	go func() { _ = srv.ActivateAndServe() }()
	defer func() { _ = srv.Shutdown() }()
	c, err := dnsx.New([]string{pc.LocalAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Addrs(ctx, "has.example"); err != nil || len(got) != 1 {
		t.Errorf("%v %v", got, err)
	}
	if _, err := c.Addrs(ctx, "hasnot.example"); fail.KindOf(err) != fail.Temporary {
		t.Errorf("half an answer was taken for a whole one: %v", err)
	}
}

func TestSecondServerIsAsked(t *testing.T) {
	good := start(t, zone, nil)
	bad := start(t, zone, nil)
	bad.Break("", dns.RcodeServerFailure)
	c, err := dnsx.New([]string{bad.Addr(), good.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.MX(context.Background(), "example.org"); err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
}

// TestLargeAnswers come over TCP, and no more than 100 records are used.
func TestLargeAnswers(t *testing.T) {
	var z strings.Builder
	for i := range 150 {
		fmt.Fprintf(&z, "big.example. MX %d host%d.with-a-rather-long-name.example.\n", 1000-i, i)
	}
	w := start(t, z.String(), nil)
	got, err := w.MX(context.Background(), "big.example")
	if err != nil || len(got) != 100 {
		t.Fatal(len(got), err)
	}
	for i := range got[1:] {
		if got[i].Pref > got[i+1].Pref {
			t.Fatal("not sorted")
		}
	}
	if n := len(w.Asked()); n != 2 {
		t.Fatalf("asked %d times, want UDP and TCP", n)
	}
}

func TestCache(t *testing.T) {
	w := start(t, "a.example. 30 A 192.0.2.1\nb.example. 30 A 192.0.2.2\nlong.example. 99999 TXT x\n", func(c *dnsx.Config) { c.Cache = 4 })
	ctx := context.Background()
	ask := func(h string, want int) {
		t.Helper()
		before := len(w.Asked())
		_, _ = w.TXT(ctx, h)
		if got := len(w.Asked()) - before; got != want {
			t.Errorf("%s: %d questions, want %d", h, got, want)
		}
	}
	ask("long.example", 1)
	ask("LONG.example.", 0)
	w.now = w.now.Add(299 * time.Second)
	ask("long.example", 0)
	w.now = w.now.Add(2 * time.Second)
	ask("long.example", 1) // remembered for five minutes at most

	ask("none.example", 1)
	ask("none.example", 0)
	w.now = w.now.Add(61 * time.Second)
	ask("none.example", 1) // that there is none, for a minute

	for i := range 10 { // four at most are kept
		ask(fmt.Sprintf("x%d.example", i), 1)
	}
	ask("x9.example", 0)
	ask("x0.example", 1)

	off := start(t, "a.example. 30 TXT x\n", func(c *dnsx.Config) { c.Cache = 0 })
	for range 2 {
		_, _ = off.TXT(ctx, "a.example")
	}
	if len(off.Asked()) != 2 {
		t.Error("a cache that is off remembers")
	}
}

func TestBadConfig(t *testing.T) {
	for _, s := range []string{"", "localhost", "1.2.3.4:0", "1.2.3.4:x", "dns.example:53"} {
		if _, err := dnsx.New([]string{s}); fail.KindOf(err) != fail.Invalid {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"127.0.0.1", "127.0.0.1:5353", "::1", "[::1]:53"} {
		if _, err := dnsx.New([]string{s}); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := dnstest.Start("not a zone"); err == nil {
		t.Error("a zone that is none")
	}
}

func TestStatic(t *testing.T) {
	ctx := context.Background()
	s := &dnsx.Static{
		MXs:   map[string][]dnsx.MX{"example.org": {{Host: "b.example.org", Pref: 20}, {Host: "a.example.org", Pref: 10}}, "null.example": {{Host: "."}}},
		Hosts: map[string][]netip.Addr{"a.example.org": {netip.MustParseAddr("192.0.2.1")}},
		TXTs:  map[string][]string{"example.org": {"v=spf1 -all"}},
		PTRs:  map[netip.Addr][]string{netip.MustParseAddr("192.0.2.7"): {"seven.example"}},
	}
	none, nodata := "not found: "+string(dnsx.NXDomain), "not found: "+string(dnsx.NoData)
	for _, c := range []struct{ got, want string }{
		{render(s.MX(ctx, "Example.org.")), "[{a.example.org 10} {b.example.org 20}]"},
		{render(s.MX(ctx, "null.example")), "not found: " + string(dnsx.NullMX)},
		{render(s.MX(ctx, "a.example.org")), nodata},
		{render(s.MX(ctx, "nosuch.example")), none},
		{render(s.Addrs(ctx, "A.example.org")), "[192.0.2.1]"},
		{render(s.Addrs(ctx, "example.org")), nodata},
		{render(s.TXT(ctx, "example.org")), "[v=spf1 -all]"},
		{render(s.TXT(ctx, "a.example.org")), nodata},
		{render(s.PTR(ctx, netip.MustParseAddr("192.0.2.1"))), "[a.example.org]"},
		{render(s.PTR(ctx, netip.MustParseAddr("192.0.2.7"))), "[seven.example]"},
		{render(s.PTR(ctx, netip.MustParseAddr("192.0.2.8"))), none},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for _, name := range []string{"example.org", "192.0.2.1"} {
		s.Fail(name, dnsx.TemporaryFailure(name))
	}
	for _, got := range []string{
		render(s.MX(ctx, "example.org")), render(s.Addrs(ctx, "example.org")), render(s.TXT(ctx, "example.org")),
		render(s.PTR(ctx, netip.MustParseAddr("192.0.2.1"))),
	} {
		if !strings.HasPrefix(got, "temporary: ") {
			t.Errorf("%q after Fail", got)
		}
	}
	s.Fail("example.org", nil)
	if _, err := s.MX(ctx, "example.org"); err != nil {
		t.Error(err)
	}
	if asked := s.Asked(); asked[0] != "MX example.org" || asked[len(asked)-1] != "MX example.org" {
		t.Error(asked)
	}
}
