package routing

import (
	"context"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// names are those that exist; one cannot be asked about.
type names map[string]bool

func (n names) Exists(_ context.Context, a addr.Address) error {
	switch {
	case a.Local == "broken":
		return fail.New(fail.Unavailable, "database is away")
	case n[strings.ToLower(a.Base("+").Local)]:
		return nil
	}
	return fail.New(fail.NotFound, "no name %s", a)
}

// The way to a mailbox by the keys of local(8), in its order.
func TestMailboxes(t *testing.T) {
	table := []string{"inline:{ {joe = lmtp:unix:/table} {gone = lmtp:unix:/old} {odd = nonsense:x} }"}
	for _, c := range []struct {
		name        string
		cfg         LocalConfig
		to, way     string // the way is a transport, an address, or the kind of an error
		mayBeListed bool   // it is taken at RCPT
	}{
		{"nothing is said", LocalConfig{}, "joe", "lmtp:unix:/usual", true},
		{"nothing is said, and the name does not exist", LocalConfig{}, "nobody", "lmtp:unix:/usual", false},
		{"another agent", LocalConfig{MailboxTransport: "lmtp:unix:/cyrus"}, "ann", "lmtp:unix:/cyrus", true},
		{"a table", LocalConfig{MailboxMaps: table}, "Joe+x", "lmtp:unix:/table", true},
		{"not in the table", LocalConfig{MailboxMaps: table, MailboxTransport: "lmtp:unix:/cyrus"}, "ann", "lmtp:unix:/cyrus", true},
		{"no part of a name says where it goes", LocalConfig{MailboxMaps: []string{`pcre:{{/(.*)/ lmtp:unix:/$1}}`}}, "joe", "lmtp:unix:/usual", true},
		{"a mistake in the table", LocalConfig{MailboxMaps: table}, "odd", "invalid", false},
		{"fallback", LocalConfig{Fallback: "lmtp:unix:/old"}, "nobody", "lmtp:unix:/old", true},
		{"fallback is for others", LocalConfig{Fallback: "lmtp:unix:/old"}, "joe", "lmtp:unix:/usual", true},
		{"fallback by a table", LocalConfig{FallbackMaps: table}, "gone", "lmtp:unix:/old", true},
		{"not in that table", LocalConfig{FallbackMaps: table}, "nobody", "lmtp:unix:/usual", false},
		{"before luser_relay", LocalConfig{FallbackMaps: table, LuserRelay: "x@far.example"}, "gone", "lmtp:unix:/old", true},
		{"luser_relay", LocalConfig{LuserRelay: "${user}-${domain}${recipient_delimiter}${extension}@far.example"}, "nobody+a", "nobody-host.example+a@far.example", true},
		{"luser_relay without an extension", LocalConfig{LuserRelay: "all+$local@far.example"}, "nobody", "all+nobody@far.example", true},
		{"luser_relay is for others", LocalConfig{LuserRelay: "x@far.example"}, "joe", "lmtp:unix:/usual", true},
		{"nobody knows who exists", LocalConfig{LuserRelay: "x@far.example"}, "broken", "unavailable", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := Host{LMTP: "unix:/usual", Delimiter: "+", Tables: lookup.Options{}}
			m, err := Config{LocalConfig: c.cfg}.Mailboxes(h, names{"joe": true, "ann": true})
			if err != nil {
				t.Fatal(err)
			}
			a := addr.Address{Local: c.to, Domain: "host.example"}
			way, err := m.Find(t.Context(), a)
			got := way.Hop.String()
			switch {
			case err != nil:
				got = fail.KindOf(err).String()
			case !way.Instead.Null():
				got = way.Instead.String()
			}
			if got != c.way {
				t.Errorf("%s goes to %s (%v), want %s", c.to, got, err, c.way)
			}
			if err := m.Recipients().Exists(t.Context(), a); (err == nil) != c.mayBeListed {
				t.Errorf("at RCPT: %v", err)
			}
		})
	}
}

func TestMailboxesRefused(t *testing.T) {
	for _, c := range []LocalConfig{
		{MailboxTransport: "local:"},
		{MailboxTransport: "nonsense:x"},
		{Fallback: "local:"},
		{MailboxMaps: []string{"nonsense:x"}},
		{LuserRelay: "nobody"},
		{LuserRelay: "${home}@far.example"},
		{LuserRelay: "a b@far.example"},
	} {
		_, err := Config{LocalConfig: c}.Mailboxes(Host{LMTP: "unix:/usual", Delimiter: "+"}, nil)
		if !fail.Is(err, fail.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	m, err := Config{}.Mailboxes(Host{LMTP: "unix:/usual"}, nil)
	if err != nil || m.Recipients() != nil {
		t.Errorf("%v: who exists is not known, so nobody may be refused", err)
	}
}
