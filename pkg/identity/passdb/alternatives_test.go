package passdb

import (
	"context"
	"net/netip"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// phones has accounts with an app password each.
type phones struct{ used *int }

func (phones) Name() string { return "phones" }

func (p phones) Lookup(_ context.Context, user string) (Account, error) {
	a := Account{User: user, Stored: "{PLAIN}main", Alternatives: []Alternative{
		{Label: "tablet", Matches: func(s string) bool { return s == "tablet password" }},
		{Label: "phone", Matches: func(s string) bool { return s == "phone password" }, OnUse: func() { *p.used++ }},
	}}
	switch user {
	case "nobody":
		return Account{}, fail.New(fail.NotFound, "no user")
	case "locked":
		a.Stored = ""
	case "off":
		a.Disabled = true
	case "net":
		a.Fields = []account.Field{{Key: allowNets, Value: "192.0.2.0/24"}}
	}
	return a, nil
}

func TestAlternatives(t *testing.T) {
	for _, tc := range []struct {
		name, user, password string
		want                 string // the label, "main", or a reason
		uses, hashes         int
	}{
		{"the main password", "alice", "main", "main", 0, 1},
		{"an app password costs no hash", "alice", "phone password", "phone", 1, 0},
		{"nobody need count its uses", "alice", "tablet password", "tablet", 0, 0},
		{"a wrong one costs one hash", "alice", "other", "Password mismatch", 0, 1},
		{"as for somebody unknown", "nobody", "phone password", "unknown user", 0, 1},
		{"the main password may be locked", "locked", "phone password", "phone", 1, 0},
		{"and then a wrong one costs the same", "locked", "main", "account is locked", 0, 1},
		{"switched off, known to who knows the main password", "off", "main", "account is disabled", 0, 1},
		{"or an app password", "off", "phone password", "account is disabled", 0, 1},
		{"but to nobody else", "off", "other", "Password mismatch", 0, 1},
		{"networks count for app passwords too", "net", "phone password", "allow_nets check failed", 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			used := 0
			c, n := newChecker(t, phones{&used})
			a, err := c.Verify(t.Context(), Query{User: tc.user, Password: tc.password, Remote: netip.MustParseAddr("198.51.100.1")})
			got := a.Used
			if r := RefusedOf(err); r != nil {
				got = r.Reason.String()
			} else if err == nil && got == "" {
				got = "main"
			}
			if got != tc.want || used != tc.uses || n.n != tc.hashes {
				t.Errorf("got %s (%v), %d uses, %d hashes", got, err, used, n.n)
			}
		})
	}
}
