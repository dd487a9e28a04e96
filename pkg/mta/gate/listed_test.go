package gate

import (
	"context"
	"testing"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// rewriting knows one address and moves another.
type rewriting struct{}

func (rewriting) Known(_ context.Context, a addr.Address) (bool, error) {
	if a.Local == "aliasdown" {
		return false, fail.New(fail.Unavailable, "away")
	}
	return a.Local == "alias", nil
}

func (rewriting) Moved(_ context.Context, a addr.Address) (string, error) {
	if a.Local == "moved" {
		return "new@far.example\r\nQUIT", nil
	}
	return "", fail.New(fail.NotFound, "no")
}

func TestListed(t *testing.T) {
	star, err := lookup.Open("inline:{ {gone@far.example=error:5.1.2 no more}, {later@far.example=error:4.3.2 later}, {odd@far.example=error:go away}, {busy@far.example=retry:moving house} }", lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	routes, err := route.New(route.Config{
		Hostname: "mx.ours.example", Locals: []string{"host.example"}, Aliases: []string{"alias.example"}, Mailboxes: []string{"ours.example"}, RelayTo: []string{"relayed.example", "open.example"},
		Local: route.Hop{Transport: route.LMTP, Socket: "/x"}, TransportMaps: maps.Map{Key: "transport_maps", Tables: lookup.Maps{star}},
	})
	if err != nil {
		t.Fatal(err)
	}
	g := New(Config{Routes: routes, Rewriting: rewriting{}, Recipients: map[route.Class]Recipients{
		route.Local: users{"root@host.example": nil}, route.Mailbox: users{}, route.Relay: users{"joe@relayed.example": nil},
	}})
	p := Policy{Rcpt: {PermitAuthenticated, DenyRelay}}
	for rcpt, want := range map[string]string{
		"root@host.example":     "",
		"joe@host.example":      "550 5.1.1 <joe@host.example>: Recipient address rejected: User unknown in local recipient table",
		"alias@host.example":    "",
		"alias@alias.example":   "",
		"joe@alias.example":     "550 5.1.1 <joe@alias.example>: Recipient address rejected: User unknown in virtual alias table",
		"joe@ours.example":      "550 5.1.1 <joe@ours.example>: Recipient address rejected: User unknown in virtual mailbox table",
		"joe@relayed.example":   "",
		"ann@relayed.example":   "550 5.1.1 <ann@relayed.example>: Recipient address rejected: User unknown in relay recipient table",
		"moved@ours.example":    "550 5.1.6 <moved@ours.example>: Recipient address rejected: User has moved to new@far.example??QUIT",
		"aliasdown@far.example": "451 4.3.0 <aliasdown@far.example>: Temporary lookup failure",
		"gone@far.example":      "550 5.1.2 <gone@far.example>: Recipient address rejected: no more",
		"later@far.example":     "550 5.3.2 <later@far.example>: Recipient address rejected: later",
		"odd@far.example":       "550 5.1.1 <odd@far.example>: Recipient address rejected: go away",
		"busy@far.example":      "450 4.1.1 <busy@far.example>: Recipient address rejected: moving house",
		"joe@far.example":       "",
	} {
		a, err := addr.Parse(rcpt)
		if err != nil {
			t.Fatal(err)
		}
		if v := g.Check(context.Background(), &p, Rcpt, Facts{User: "joe", Rcpt: a}); v.String() != want {
			t.Errorf("%s: got %q, want %q", rcpt, v, want)
		}
	}
	if v := g.Check(context.Background(), &p, Rcpt, Facts{Rcpt: addr.Address{Local: "alias", Domain: "far.example"}}); v.String() != "554 5.7.1 <alias@far.example>: Relay access denied" {
		t.Error("an alias for somebody else's address opens a relay:", v)
	}
}

type owners map[string][]string

func (o owners) Owners(_ context.Context, a addr.Address) ([]string, error) {
	if a.Local == "down" {
		return nil, fail.New(fail.Unavailable, "away")
	}
	if list, ok := o[a.Key()]; ok {
		return list, nil
	}
	return nil, fail.New(fail.NotFound, "no")
}

func TestSenderOwnership(t *testing.T) {
	g := testGate(t)
	g.cfg.Owners = owners{"joe@ours.example": {"joe"}, "team@ours.example": {"ann", "JOE"}, "ann@ours.example": {"ann"}}
	const mismatch, login, unknown = "553 5.7.1 <ann@ours.example>: Sender address rejected: not owned by user joe", "553 5.7.1 <ann@ours.example>: Sender address rejected: not logged in", "553 5.7.1 <x@ours.example>: Sender address rejected: not owned by user joe"
	const down = "451 4.3.0 <down@ours.example>: Temporary lookup failure"
	for _, tc := range []struct {
		sender, user string
		all, known   string
		auth, unauth string
	}{
		{"joe@ours.example", "joe", "", "", "", ""},
		{"team@ours.example", "joe", "", "", "", ""},
		{"ann@ours.example", "joe", mismatch, mismatch, mismatch, ""},
		{"x@ours.example", "joe", unknown, "", unknown, ""},
		{"ann@ours.example", "", login, login, "", login},
		{"x@ours.example", "", "", "", "", ""},
		{"", "joe", "", "", "", ""},
		{"down@ours.example", "joe", down, down, down, ""},
	} {
		for rule, want := range map[Rule]string{
			RejectSenderMismatch: tc.all, RejectKnownSenderMismatch: tc.known, RejectAuthenticatedSenderMismatch: tc.auth, RejectUnauthenticatedSenderMismatch: tc.unauth,
		} {
			p := Policy{Mail: {rule}}
			f := Facts{User: tc.user}
			f.Sender, _ = addr.Parse(tc.sender)
			if v := g.Check(context.Background(), &p, Mail, f); v.String() != want {
				t.Errorf("%s for %s as %q: got %q, want %q", rule, tc.sender, tc.user, v, want)
			}
		}
	}
}
