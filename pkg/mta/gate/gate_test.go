package gate

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// users is the fake recipient lookup: existing mailboxes, and those that fail.
type users map[string]error

func (u users) Exists(_ context.Context, a addr.Address) error {
	err, ok := u[a.Key()]
	if !ok {
		return fail.New(fail.NotFound, "no user %s", a)
	}
	return err
}

type domains struct{}

func (domains) HasMailboxes(_ context.Context, d string) (bool, error) {
	if d == "down.example" {
		return false, fail.New(fail.Unavailable, "authd is down")
	}
	return false, nil
}

func testGate(t *testing.T) *Gate {
	t.Helper()
	routes, err := route.New(route.Config{
		Hostname: "mx.ours.example", Mailboxes: []string{"ours.example"}, RelayTo: []string{"relayed.example"},
		Ask: domains{}, Local: route.Hop{Transport: route.LMTP, Socket: "/x"}, Delimiter: "+-",
	})
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Routes: routes, Recipients: map[route.Class]Recipients{route.Mailbox: users{
		"joe@ours.example":        nil,
		"with-dash@ours.example":  nil,
		"postmaster@ours.example": nil,
		"full@ours.example":       fail.New(fail.Full, "over quota"),
		"broken@ours.example":     fail.New(fail.Unavailable, "authd is down"),
		"corrupt@ours.example":    fail.New(fail.Corrupt, "damaged"),
	}}, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("2001:db8:1::/48")}})
}

const (
	stranger = "198.51.100.9"
	trusted  = "127.0.0.1"
)

func TestRcpt(t *testing.T) {
	const unknown = "User unknown in virtual mailbox table"
	mx, subm, local := MX(), Submission(), Submit()
	for _, tc := range []struct {
		name   string
		policy *Policy
		facts  Facts
		peer   string
		rcpt   string
		want   string // "" means accepted
	}{
		{"stranger to our user", &mx, Facts{}, stranger, "joe@ours.example", ""},
		{"case and detail", &mx, Facts{}, stranger, "JOE+a+b@ours.example", ""},
		{"a delimiter that belongs to the name", &mx, Facts{}, stranger, "with-dash@ours.example", ""},
		{"stranger to nobody", &mx, Facts{}, stranger, "nobody@ours.example", "550 5.1.1 <nobody@ours.example>: Recipient address rejected: " + unknown},
		{"detail kept in the reply", &mx, Facts{}, stranger, "nobody+x@ours.example", "550 5.1.1 <nobody+x@ours.example>: Recipient address rejected: " + unknown},
		{"stranger to stranger", &mx, Facts{}, stranger, "a@far.example", "554 5.7.1 <a@far.example>: Relay access denied"},
		{"quoted local part kept", &mx, Facts{}, stranger, `"a@ours.example"@far.example`, `554 5.7.1 <"a@ours.example"@far.example>: Relay access denied`},
		{"host behind a percent sign", &mx, Facts{}, stranger, "a%far.example@ours.example", "554 5.7.1 <a%far.example@ours.example>: Relay access denied"},
		{"by way of the host behind us", &mx, Facts{}, stranger, "a%far.example@relayed.example", "554 5.7.1 <a%far.example@relayed.example>: Relay access denied"},
		{"host before an exclamation mark", &mx, Facts{}, stranger, "far.example!a@relayed.example", "554 5.7.1 <far.example!a@relayed.example>: Relay access denied"},
		{"quoted route", &mx, Facts{}, stranger, `"a@far.example"@relayed.example`, `554 5.7.1 <"a@far.example"@relayed.example>: Relay access denied`},
		{"route of who may send to anywhere", &mx, Facts{}, trusted, "a%far.example@relayed.example", ""},
		{"percent hack is just a local part", &mx, Facts{}, trusted, "a%far.example@ours.example", "550 5.1.1 <a%far.example@ours.example>: Recipient address rejected: " + unknown},
		{"like an option", &mx, Facts{}, trusted, "-oQ/tmp@relayed.example", "501 5.1.3 Bad recipient address syntax"},
		{"like an option, quoted", &local, Facts{Local: true}, "", `"-x y"@far.example`, "501 5.1.3 Bad recipient address syntax"},
		{"stranger to relay domain", &mx, Facts{}, stranger, "a@relayed.example", ""},
		{"below a relay domain", &mx, Facts{}, stranger, "a@x.relayed.example", "554 5.7.1 <a@x.relayed.example>: Relay access denied"},
		{"trusted to stranger", &mx, Facts{}, trusted, "a@far.example", ""},
		{"trusted by mapped address", &mx, Facts{}, "::ffff:127.0.0.1", "a@far.example", ""},
		{"trusted IPv6 network", &mx, Facts{}, "2001:db8:1:2::3", "a@far.example", ""},
		{"outside it", &mx, Facts{}, "2001:db8:2::3", "a@far.example", "554 5.7.1 <a@far.example>: Relay access denied"},
		{"rest of loopback is not trusted", &mx, Facts{}, "127.0.0.2", "a@far.example", "554 5.7.1 <a@far.example>: Relay access denied"},
		{"trusted to nobody", &mx, Facts{}, trusted, "nobody@ours.example", "550 5.1.1 <nobody@ours.example>: Recipient address rejected: " + unknown},
		{"authenticated to stranger", &subm, Facts{User: "joe", TLS: true}, stranger, "a@far.example", ""},
		{"authenticated to nobody", &subm, Facts{User: "joe", TLS: true}, stranger, "nobody@ours.example", "550 5.1.1 <nobody@ours.example>: Recipient address rejected: " + unknown},
		{"trusted network gives nothing on submission", &subm, Facts{}, trusted, "a@far.example", "554 5.7.1 <a@far.example>: Relay access denied"},
		{"submit socket", &local, Facts{Local: true}, "", "a@far.example", ""},
		{"bare postmaster", &mx, Facts{}, stranger, "Postmaster", ""},
		{"our host's postmaster", &mx, Facts{}, stranger, "postmaster@mx.ours.example", ""},
		{"other bare name", &mx, Facts{}, trusted, "joe", "504 5.5.2 <joe>: Recipient address rejected: need fully-qualified address"},
		{"over quota", &mx, Facts{}, stranger, "full@ours.example", "452 4.2.2 <full@ours.example>: Recipient address rejected: Mailbox is full"},
		{"lookup down", &mx, Facts{}, stranger, "broken@ours.example", "451 4.3.0 <broken@ours.example>: Temporary lookup failure"},
		{"lookup broken in any other way", &mx, Facts{}, stranger, "corrupt@ours.example", "451 4.3.0 <corrupt@ours.example>: Temporary lookup failure"},
		{"domain lookup down", &mx, Facts{}, stranger, "a@down.example", "451 4.3.0 <a@down.example>: Temporary lookup failure"},
		{"domain lookup down, trusted", &mx, Facts{}, trusted, "a@down.example", "451 4.3.0 <a@down.example>: Temporary lookup failure"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := tc.facts
			if tc.peer != "" {
				f.Peer = netip.MustParseAddr(tc.peer)
			}
			var err error
			if f.Rcpt, err = addr.Parse(tc.rcpt); err != nil {
				t.Fatal(err)
			}
			v := testGate(t).Check(context.Background(), tc.policy, Rcpt, f)
			if v.String() != tc.want {
				t.Errorf("got %q, want %q", v, tc.want)
			}
			if (v.Action == Defer) != strings.HasPrefix(tc.want, "4") || v.Refused() != (tc.want != "") {
				t.Errorf("action %v does not fit %q", v.Action, tc.want)
			}
			if strings.HasPrefix(tc.want, "451") && v.Cause == nil {
				t.Error("the cause of a failed lookup must reach the log")
			}
		})
	}
}

func TestMail(t *testing.T) {
	mx, subm, plain, local := MX(), Submission(), PlainSubmission(), Submit()
	for _, tc := range []struct {
		name   string
		policy *Policy
		facts  Facts
		sender string
		want   string
	}{
		{"stranger", &mx, Facts{}, "a@far.example", ""},
		{"null sender", &mx, Facts{}, "", ""},
		{"like an option", &mx, Facts{}, "-froot@far.example", "501 5.1.7 Bad sender address syntax"},
		{"bare sender", &mx, Facts{}, "joe", "504 5.5.2 <joe>: Sender address rejected: need fully-qualified address"},
		{"submission in the clear", &subm, Facts{User: "joe"}, "a@far.example", "530 5.7.0 Must issue a STARTTLS command first"},
		{"submission without login", &subm, Facts{TLS: true}, "a@far.example", "530 5.7.0 Authentication required"},
		{"submission", &subm, Facts{TLS: true, User: "joe"}, "joe@ours.example", ""},
		{"plain submission without login", &plain, Facts{}, "a@far.example", "530 5.7.0 Authentication required"},
		{"plain submission", &plain, Facts{User: "joe"}, "a@far.example", ""},
		{"submit socket", &local, Facts{Local: true}, "joe@ours.example", ""},
		{"submit policy on a network peer", &local, Facts{}, "joe@ours.example", "554 5.7.1 Client host rejected: Access denied"},
	} {
		f := tc.facts
		f.Sender, _ = addr.Parse(tc.sender)
		if v := testGate(t).Check(context.Background(), tc.policy, Mail, f); v.String() != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, v, tc.want)
		}
	}
}

// An empty policy is the safe one only because DenyRelay is in each of ours.
func TestEveryPolicyDeniesRelay(t *testing.T) {
	for name, p := range map[string]Policy{"mx": MX(), "submission": Submission(), "plain": PlainSubmission(), "submit": Submit()} {
		rcpt := p[Rcpt]
		if len(rcpt) == 0 || rcpt[len(rcpt)-1] != DenyRelay {
			t.Errorf("policy %s does not end its recipient stage with deny_relay: %v", name, rcpt)
		}
		for s := range p {
			for _, r := range p[s] {
				if r.String() == "unknown" || rules[r].check == nil {
					t.Errorf("policy %s names a rule without entry: %d", name, r)
				}
			}
		}
	}
}

func TestTooManyHops(t *testing.T) {
	if got := TooManyHops().String(); got != "554 5.4.6 Error: too many hops" {
		t.Error(got)
	}
}

func TestNoRecipientsMeansNullClient(t *testing.T) {
	g := testGate(t)
	g.cfg.Recipients = nil
	p := MX()
	if v := g.Check(context.Background(), &p, Rcpt, Facts{Rcpt: addr.Address{Local: "x", Domain: "ours.example"}}); v.Refused() {
		t.Error(v)
	}
}

// Who does not exist is refused with the operator's code, as a sender too, and
// a certificate opens the relay to whoever shows it.
func TestUnlistedAndCertificates(t *testing.T) {
	certs, err := maps.Open("certs", []string{"inline:{ {AB:CD = yes} }"}, lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	broken, err := maps.Open("certs", []string{"fail:x"}, lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mx := MX()
	const no = "User unknown in virtual mailbox table"
	for _, tc := range []struct {
		name   string
		change func(*Config)
		stage  Stage
		facts  Facts
		want   string
	}{
		{"sender, as usual", func(*Config) {}, Mail, Facts{Sender: at("nobody")}, ""},
		{"sender", func(c *Config) { c.RejectUnlistedSender = true }, Mail, Facts{Sender: at("nobody")}, "550 5.1.0 <nobody@ours.example>: Sender address rejected: " + no},
		{"sender of the submit socket", func(c *Config) { c.RejectUnlistedSender = true }, Mail, Facts{Sender: at("nobody"), Local: true}, ""},
		{"sender that exists", func(c *Config) { c.RejectUnlistedSender = true }, Mail, Facts{Sender: at("joe+x")}, ""},
		{"null sender", func(c *Config) { c.RejectUnlistedSender = true }, Mail, Facts{}, ""},
		{"sender of elsewhere", func(c *Config) { c.RejectUnlistedSender = true }, Mail, Facts{Sender: addr.Address{Local: "nobody", Domain: "far.example"}}, ""},
		{"sender whose mailbox is not known", func(c *Config) { c.RejectUnlistedSender = true }, Mail, Facts{Sender: at("broken")}, "451 4.3.0 <broken@ours.example>: Temporary lookup failure"},
		{"code", func(c *Config) { c.Codes = map[route.Class]int{route.Mailbox: 450} }, Rcpt, Facts{Rcpt: at("nobody")}, "450 4.1.1 <nobody@ours.example>: Recipient address rejected: " + no},
		{"code of another class", func(c *Config) { c.Codes = map[route.Class]int{route.Local: 450} }, Rcpt, Facts{Rcpt: at("nobody")}, "550 5.1.1 <nobody@ours.example>: Recipient address rejected: " + no},
		{"taken all the same", func(c *Config) { c.AcceptUnlisted = true }, Rcpt, Facts{Rcpt: at("nobody")}, ""},
		{"certificate", func(c *Config) { c.Certs = certs }, Rcpt, Facts{Rcpt: addr.Address{Local: "a", Domain: "far.example"}, Prints: []string{"00:11", "AB:CD"}}, ""},
		{"another certificate", func(c *Config) { c.Certs = certs }, Rcpt, Facts{Rcpt: addr.Address{Local: "a", Domain: "far.example"}, Prints: []string{"00:11"}}, "554 5.7.1 <a@far.example>: Relay access denied"},
		{"certificates not known", func(c *Config) { c.Certs = broken }, Rcpt, Facts{Rcpt: addr.Address{Local: "a", Domain: "far.example"}, Prints: []string{"00:11"}}, "451 4.3.0 <a@far.example>: Temporary lookup failure"},
	} {
		g := testGate(t)
		tc.change(&g.cfg)
		if v := g.Check(context.Background(), &mx, tc.stage, tc.facts); v.String() != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, v, tc.want)
		}
	}
}

func at(local string) addr.Address { return addr.Address{Local: local, Domain: "ours.example"} }

// What is counted has words of a closed list.
func TestReasons(t *testing.T) {
	for _, c := range []struct {
		v    Verdict
		want string
	}{
		{refuse(554, 5, 7, 1, "<a@b>: Relay access denied"), "not permitted"},
		{refuse(553, 5, 7, 1, "<a@b>: Sender address rejected: not logged in"), "sender of somebody else"},
		{refuse(450, 4, 7, 1, "Error: too much mail"), "rate"},
		{refuse(550, 5, 1, 1, "<a@b>: Recipient address rejected: User unknown"), "unknown recipient"},
		{refuse(450, 4, 1, 1, "<a@b>: Recipient address rejected: User unknown"), "unknown recipient"},
		{lookupFailed("<a@b>", nil), "lookup failed"},
		{TooManyHops(), "loop"},
		{refuse(550, 5, 9, 123, "what a table says"), "other"},
	} {
		if got := c.v.Reason(); got != c.want {
			t.Errorf("%s: %q, want %q", c.v, got, c.want)
		}
	}
}
