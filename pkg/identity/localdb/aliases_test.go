package localdb

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func names(list []string, err error) string {
	if err != nil {
		return fail.KindOf(err).String()
	}
	return strings.Join(list, " ")
}

func TestDomains(t *testing.T) {
	w := newWorld(t, nil)
	ctx := w.ctx()
	w.must(w.AddDomain(ctx, "Example.NET", AliasOnly, true))
	w.must(w.AddDomain(ctx, "relay.example", Relay, true))
	w.must(w.AddDomain(ctx, "off.example", Mailbox, false))
	w.must(w.AddDomain(ctx, "xn--bcher-kva.example", Mailbox, true))
	w.add(User{Address: "alice@example.org", Enabled: true}, User{Address: "bob@off.example", Enabled: true, Stored: "{PLAIN}b"})
	for _, tc := range []struct{ domain, want string }{
		{"example.org", "mailbox"}, // came with its user
		{"EXAMPLE.org.", "mailbox"},
		{"example.net", "alias"},
		{"relay.example", "relay"},
		{"bücher.example", "mailbox"},
		{"off.example", "not found"},
		{"other.example", "not found"},
		{"", "not found"},
	} {
		d, err := w.Domain(ctx, tc.domain)
		got := string(d.Class)
		if err != nil {
			got = fail.KindOf(err).String()
		}
		has, herr := w.Userdb().HasDomain(ctx, tc.domain)
		relay, rerr := w.Userdb().IsRelay(ctx, tc.domain)
		if got != tc.want || has != (got == "mailbox" || got == "alias") || relay != (got == "relay") || herr != nil || rerr != nil {
			t.Errorf("%s: %s (%v), %v %v, %v %v", tc.domain, got, err, has, herr, relay, rerr)
		}
	}
	for _, tc := range []struct {
		name string
		do   func() error
		want fail.Kind
	}{
		{"again", func() error { return w.AddDomain(ctx, "example.net", Mailbox, true) }, fail.Exists},
		{"no domain name", func() error { return w.AddDomain(ctx, "-", Mailbox, true) }, fail.Invalid},
		{"user in a relay domain", func() error { return w.AddUser(ctx, User{Address: "x@relay.example"}) }, fail.Invalid},
		{"user in an alias domain", func() error { return w.AddUser(ctx, User{Address: "x@example.net"}) }, fail.Invalid},
		{"delete with users", func() error { return w.DeleteDomain(ctx, "example.org") }, fail.Invalid},
		{"delete nothing", func() error { return w.DeleteDomain(ctx, "other.example") }, fail.NotFound},
		{"enable nothing", func() error { return w.EnableDomain(ctx, "other.example", true) }, fail.NotFound},
	} {
		if err := tc.do(); !fail.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	// A domain that is off lets nobody in, but what it has taken is delivered.
	if a, err := w.account("bob@off.example", "imap"); err != nil || !a.Disabled {
		t.Errorf("%+v %v", a, err)
	}
	w.must(w.EnableDomain(ctx, "off.example", true))
	if a, err := w.account("bob@off.example", "imap"); err != nil || a.Disabled {
		t.Errorf("%+v %v", a, err)
	}
	w.must(w.AddAlias(ctx, "info@example.net", []string{"alice@example.org"}, true, false))
	w.must(w.DeleteDomain(ctx, "relay.example"))
	list, err := w.Domains(ctx)
	w.must(err)
	var got []string
	for _, d := range list {
		got = append(got, d.Name)
		if (d.Name == "example.org" && d.Users != 1) || (d.Name == "example.net" && d.Aliases != 1) {
			t.Errorf("%+v", d)
		}
	}
	if want := []string{"bücher.example", "example.net", "example.org", "off.example"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestAliasesAndSenders(t *testing.T) {
	w := newWorld(t, nil)
	ctx := w.ctx()
	for _, name := range []string{"alice@example.org", "bob@example.org", "carol@example.org", "system"} {
		w.add(User{Address: name, Enabled: true})
	}
	w.must(w.AddDomain(ctx, "example.net", AliasOnly, true))
	w.must(w.AddDomain(ctx, "plain.example", Mailbox, true))
	w.must(w.AddDomain(ctx, "off.example", Mailbox, true))
	w.add(User{Address: "dave@plain.example"})
	w.must(w.AddAlias(ctx, "Info@Example.org", []string{"ALICE@example.org", "Mixed.Case@Elsewhere.example"}, true, false))
	w.must(w.AddAlias(ctx, "info@example.org", []string{"alice@example.org", "bob@example.org"}, false, true))
	w.must(w.AddAlias(ctx, "@example.org", []string{"carol@example.org"}, true, false))
	w.must(w.AddAlias(ctx, "@example.net", []string{"bob@example.org"}, false, true))
	w.must(w.AddAlias(ctx, "gone@off.example", []string{"bob@example.org"}, true, true))
	w.must(w.EnableDomain(ctx, "off.example", false))
	for _, tc := range []struct{ address, targets, senders string }{
		{"info@example.org", "Mixed.Case@elsewhere.example alice@example.org", "alice@example.org bob@example.org"},
		{"INFO@EXAMPLE.ORG", "Mixed.Case@elsewhere.example alice@example.org", "alice@example.org bob@example.org"},
		{"@example.org", "carol@example.org", "not found"},
		{"alice@example.org", "alice@example.org", "alice@example.org"}, // or the catch-all would take her mail
		{"nobody@example.org", "not found", "not found"},
		{"dave@plain.example", "not found", "dave@plain.example"}, // no catch-all there
		{"anything@example.net", "not found", "bob@example.org"},
		{"gone@off.example", "not found", "not found"},
		{"system", "not found", "system"},
		{"", "not found", "not found"},
	} {
		if got := names(w.Aliases(ctx, tc.address)); got != tc.targets {
			t.Errorf("aliases of %s: %s", tc.address, got)
		}
		if got := names(w.Senders(ctx, tc.address)); got != tc.senders {
			t.Errorf("senders of %s: %s", tc.address, got)
		}
	}
}

func TestAliasChanges(t *testing.T) {
	w := newWorld(t, nil)
	ctx := w.ctx()
	w.add(User{Address: "alice@example.org", Enabled: true}, User{Address: "bob@example.org", Enabled: true})
	w.must(w.AddAlias(ctx, "info@example.org", []string{"alice@example.org", "bob@example.org"}, true, false))
	many := make([]string, maxTargets+1)
	for i := range many {
		many[i] = fmt.Sprintf("a%d@elsewhere.example", i)
	}
	for _, tc := range []struct {
		name, address string
		targets       []string
		deliver, send bool
		want          fail.Kind
	}{
		{"no domain", "info", []string{"alice@example.org"}, true, false, fail.Invalid},
		{"two @", "a@b@example.org", []string{"alice@example.org"}, true, false, fail.Invalid},
		{"not ours", "info@other.example", []string{"alice@example.org"}, true, false, fail.NotFound},
		{"no target", "x@example.org", nil, true, false, fail.Invalid},
		{"no purpose", "x@example.org", []string{"alice@example.org"}, false, false, fail.Invalid},
		{"no address", "x@example.org", []string{"not an@address@"}, true, false, fail.Invalid},
		{"a user we do not have", "x@example.org", []string{"zoe@example.org"}, true, false, fail.NotFound},
		{"the same, without a domain", "x@example.org", []string{"zoe"}, true, false, fail.NotFound},
		{"a sender from elsewhere", "x@example.org", []string{"zoe@elsewhere.example"}, true, true, fail.Invalid},
		{"a sender that is an alias", "x@example.org", []string{"info@example.org"}, true, true, fail.NotFound},
		{"too many", "x@example.org", many, true, false, fail.Invalid},
	} {
		if err := w.AddAlias(ctx, tc.address, tc.targets, tc.deliver, tc.send); !fail.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	w.must(w.AddAlias(ctx, "team@example.org", []string{"info@example.org"}, true, false))
	w.must(w.DeleteAlias(ctx, "info@example.org", []string{"bob@example.org"}))
	for _, targets := range [][]string{{"bob@example.org"}, {"alice@example.org", "bob@example.org"}} {
		if err := w.DeleteAlias(ctx, "info@example.org", targets); !fail.Is(err, fail.NotFound) {
			t.Error(err)
		}
	}
	if err := w.DeleteAlias(ctx, "nothing@example.org", nil); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	list, err := w.AllAliases(ctx, "")
	if err != nil || len(list) != 2 || list[0].Address != "info@example.org" || list[0].Target != "alice@example.org" || !list[0].Deliver || list[0].Send {
		t.Errorf("%+v %v", list, err)
	}
	w.must(w.DeleteAlias(ctx, "team@example.org", nil))

	// The next alice must not inherit what this one was permitted.
	w.must(w.AddAlias(ctx, "boss@example.org", []string{"alice@example.org"}, false, true))
	lost, err := w.DeleteUser(ctx, "alice@example.org")
	if err != nil || len(lost) != 2 || lost[0].Address != "boss@example.org" || lost[1].Address != "info@example.org" {
		t.Errorf("%+v %v", lost, err)
	}
	if list, err := w.AllAliases(ctx, "boss@example.org"); len(list) != 0 || err != nil {
		t.Errorf("%+v %v", list, err)
	}
}
