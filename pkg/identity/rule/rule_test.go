package rule

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestRule(t *testing.T) {
	for _, tc := range []struct {
		name      string
		fromFalse bool // the state after it, of a chain that has failed so far
		fromTrue  bool // and of one that has succeeded
		goesOn    bool
	}{
		{"return-ok", true, true, false},
		{"return-fail", false, false, false},
		{"return", false, true, false},
		{"continue-ok", true, true, true},
		{"continue-fail", false, false, true},
		{"continue", false, true, true},
	} {
		r, err := Parse(tc.name)
		if err != nil || r.String() != tc.name {
			t.Fatal(r, err)
		}
		for before, want := range map[bool]bool{false: tc.fromFalse, true: tc.fromTrue} {
			if now, goOn := r.After(before); now != want || goOn != tc.goesOn {
				t.Errorf("%s after %v: %v %v", tc.name, before, now, goOn)
			}
		}
	}
	if _, err := Parse("stop"); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
}

func TestMatch(t *testing.T) {
	r := &request.Request{User: "bob@example.org", Mech: "PLAIN", Service: "imap", Remote: netip.MustParseAddrPort("[::ffff:192.0.2.7]:1")}
	for _, tc := range []struct {
		name string
		m    Match
		want bool
	}{
		{"all", Match{}, true},
		{"mechanism", Match{Mechanisms: []string{"login", "plain"}}, true},
		{"other mechanism", Match{Mechanisms: []string{"login"}}, false},
		{"service", Match{Services: []string{"IMAP"}}, true},
		{"other service", Match{Services: []string{"smtp"}}, false},
		{"network", Match{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, true},
		{"other network", Match{Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}, false},
		{"one of each", Match{Services: []string{"imap"}, Users: []string{"bob@*"}, Mechanisms: []string{"PLAIN"}}, true},
		{"not all of them", Match{Services: []string{"imap"}, Users: []string{"alice@*"}}, false},
	} {
		if got := tc.m.Fits(r); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	if (Match{Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}).Fits(&request.Request{}) {
		t.Error("a peer without an address is in a network")
	}
	if !(Match{Mechanisms: []string{"NONE"}}).Fits(&request.Request{}) {
		t.Error("a lookup has no mechanism")
	}
}

// As Dovecot's documentation has it.
func TestUsernameFilter(t *testing.T) {
	for _, tc := range []struct {
		filter, user string
		want         bool
	}{
		{"*@example.com *@example2.com !user@example.com", "any@example.com", true},
		{"*@example.com *@example2.com !user@example.com", "user@example2.com", true},
		{"*@example.com *@example2.com !user@example.com", "user@example.com", false},
		{"*@example.com *@example2.com !user@example.com", "user@example.org", false},
		{"!user@example.com", "any@example.com", true},
		{"A*,b*", "alice", true},
		{"", "anybody", true},
	} {
		if got := fitsUser(SplitFilter(tc.filter), tc.user); got != tc.want {
			t.Errorf("%s of %s: %v", tc.user, tc.filter, got)
		}
	}
	if got := strings.Join(SplitFilter(" a, b\tC "), "|"); got != "a|b|c" {
		t.Error(got)
	}
}
