package dnsx

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestStrangers: records of other names in an answer are not believed.
func TestStrangers(t *testing.T) {
	reply := func(rcode int, answer ...string) *dns.Msg {
		m := new(dns.Msg)
		m.Response, m.Rcode = true, rcode
		for _, s := range answer {
			rr, err := dns.NewRR(s)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(s, "SOA") {
				m.Ns = append(m.Ns, rr)
			} else {
				m.Answer = append(m.Answer, rr)
			}
		}
		return m
	}
	const soa = "example. 60 SOA ns.example. root.example. 1 1 1 1 9"
	cases := []struct {
		what string
		msg  *dns.Msg
		want answer
	}{
		{"other owner", reply(0, "evil.example. 60 A 192.0.2.66"), answer{why: NoData}},
		{"other class", reply(0, "a.example. 60 CH A 192.0.2.66"), answer{why: NoData}},
		{"other type", reply(0, "a.example. 60 TXT x"), answer{why: NoData}},
		{"target without alias", reply(0, "a.example. 60 CNAME b.example.", "c.example. 60 A 192.0.2.66"), answer{alias: "b.example", hops: 1, ttl: 60}},
		{"chain out of order", reply(0, "b.example. 5 A 192.0.2.1", "a.example. 60 CNAME b.example."), answer{hops: 1, ttl: 5}},
		{"alias to what is no name", reply(0, `a.example. 60 CNAME x\032y.example.`), answer{why: BadAnswer, ttl: 300}},
		{"chain proven empty", reply(0, "a.example. 60 CNAME b.example.", soa), answer{why: NoData, hops: 1, ttl: 9}},
		{"chain proven to lead nowhere", reply(3, "a.example. 60 CNAME b.example.", soa), answer{why: NXDomain, hops: 1, ttl: 9}},
		{"none, without proof of how long", reply(3), answer{why: NXDomain}},
	}
	for _, c := range cases {
		got := interpret(c.msg, "a.example", dns.TypeA)
		if got.why != c.want.why || got.alias != c.want.alias || got.hops != c.want.hops || got.ttl != c.want.ttl {
			t.Errorf("%s: %+v", c.what, *got)
		}
	}
}

func TestAnswersMatchQuestions(t *testing.T) {
	ok := new(dns.Msg)
	ok.SetQuestion("A.example.", dns.TypeMX)
	ok.Response = true
	other := ok.Copy()
	other.Question[0].Name = "b.example."
	typ := ok.Copy()
	typ.Question[0].Qtype = dns.TypeA
	query := ok.Copy()
	query.Response = false
	refused := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Rcode: dns.RcodeRefused}}
	empty := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}}
	for i, c := range []struct {
		m    *dns.Msg
		want bool
	}{{ok, true}, {other, false}, {typ, false}, {query, false}, {refused, true}, {empty, false}} {
		if answers(c.m, "a.example", dns.TypeMX) != c.want {
			t.Errorf("case %d", i)
		}
	}
}

func TestResolvConf(t *testing.T) {
	for text, want := range map[string][]string{
		"": {"127.0.0.1:53"},
		"# nameserver 9.9.9.9\nsearch example.org\nnameserver 192.0.2.1\nnameserver junk\nnameserver\n nameserver  2001:db8::1 # x\n": {"192.0.2.1:53", "[2001:db8::1]:53"},
		"nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4":                                              {"1.1.1.1:53", "1.1.1.2:53", "1.1.1.3:53"},
	} {
		if got := parseResolvConf(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}

	now := time.Unix(1_800_000_000, 0)
	file := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(ip string, mtime time.Time) {
		if err := os.WriteFile(file, []byte("nameserver "+ip), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	s := &sources{file: file, now: func() time.Time { return now }}
	see := func(want string) {
		t.Helper()
		if got := s.list(); len(got) != 1 || got[0] != want+":53" {
			t.Errorf("%v, want %s", got, want)
		}
	}
	write("192.0.2.1", now)
	see("192.0.2.1")
	write("192.0.2.2", now.Add(time.Second))
	see("192.0.2.1")
	now = now.Add(lookAgain)
	see("192.0.2.2")
	now = now.Add(lookAgain)
	see("192.0.2.2")
	_ = os.Remove(file)
	now = now.Add(lookAgain)
	see("127.0.0.1")
}

// FuzzAnswer: no reply, however broken, yields more or other things than
// documented.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"a.example. 60 MX 10 b.example.", "a.example. 60 MX 0 .", "a.example. 60 CNAME b.example.", `a.example. 60 TXT "x\000\255"`,
		"a.example. 60 SRV 1 2 587 b.example.", "a.example. 60 SRV 0 0 0 .", "a.example. 60 A 192.0.2.1", "a.example. 60 AAAA ::1", "a.example. 60 PTR b.example.", `a.example. 60 PTR \009b.example.`,
	} {
		rr, err := dns.NewRR(s)
		if err != nil {
			f.Fatal(err)
		}
		m := new(dns.Msg)
		m.SetQuestion("a.example.", rr.Header().Rrtype)
		m.Response, m.Answer = true, []dns.RR{rr}
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := new(dns.Msg)
		if m.Unpack(wire) != nil {
			return
		}
		for _, qtype := range []uint16{dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypePTR, dns.TypeTXT, dns.TypeSRV} {
			_ = answers(m, "a.example", qtype)
			a := interpret(m, "a.example", qtype)
			if a.count() > maxRecords || a.hops > maxAliases+1 || a.ttl > maxTTL {
				t.Fatalf("over a cap: %d records, %d hops, ttl %d", a.count(), a.hops, a.ttl)
			}
			if (a.count() > 0) == (a.why != "" || a.alias != "") {
				t.Fatalf("neither an answer nor a reason, or both: %+v", *a)
			}
			hosts := a.names
			for _, mx := range a.mx {
				hosts = append(hosts, mx.Host)
			}
			for _, srv := range a.srv {
				hosts = append(hosts, srv.Host)
			}
			for _, h := range hosts {
				if !isHostName(h) || strings.ContainsAny(h, " \r\n\t\\") {
					t.Fatalf("host %q", h)
				}
			}
		}
	})
}
