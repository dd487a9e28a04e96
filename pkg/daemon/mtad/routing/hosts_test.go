package routing

import (
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

// A transport's own time limits come before those of remote and deliver.
func TestTimeouts(t *testing.T) {
	if got := DefaultTimeouts().Client(client.Timeouts{}); got != client.DefaultTimeouts() {
		t.Errorf("defaults: %+v", got)
	}
	usual := remote.Config{}
	usual.Timeouts = Timeouts{Mail: conf.Duration(7 * time.Second), Quit: conf.Duration(8 * time.Second)}.Client(client.DefaultTimeouts())
	own, err := Transport{Timeouts: Timeouts{Helo: conf.Duration(time.Second), Quit: conf.Duration(2 * time.Second)}}.Remote(usual, false)
	want := client.DefaultTimeouts()
	want.Greeting, want.Hello, want.Auth = time.Second, time.Second, time.Second
	want.Mail, want.Quit = 7*time.Second, 2*time.Second
	if err != nil || own.Timeouts != want {
		t.Errorf("%+v, %v\nwant %+v", own.Timeouts, err, want)
	}
	if own.LMTPTimeouts.Hello != time.Second || own.LMTPTimeouts.Mail != 0 {
		t.Errorf("LMTP: %+v", own.LMTPTimeouts)
	}
}

func TestFields(t *testing.T) {
	a := func(s string) addr.Address {
		out, err := addr.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct{ flags, sender, original, want string }{
		{"", "s@a.example", "o@b.example", ""},
		{"D", "s@a.example", "o@b.example", "Delivered-To: r@b.example\r\n"},
		{"O", "s@a.example", "", "X-Original-To: r@b.example\r\n"},
		{"DOR", "", `"a b"@b.example`, "Return-Path: <>\r\nX-Original-To: \"a b\"@b.example\r\nDelivered-To: r@b.example\r\n"},
	} {
		if got := Fields(c.flags, a(c.sender), a(c.original), a("r@b.example")); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// Postfix's defaults, and a table that cannot be.
func TestSessions(t *testing.T) {
	var c remote.Config
	if err := DefaultSessions().Apply(&c, lookup.Options{}); err != nil || c.HardGreeting || c.MailAuth || c.MaxUses != 0 || c.MaxAge != 300*time.Second || c.DiscardAt != nil {
		t.Errorf("%+v, %v", c, err)
	}
	s := Sessions{DiscardMaps: []string{"inline:{192.0.2.1=dsn}"}}
	if err := s.Apply(&c, lookup.Options{}); err != nil || !c.HardGreeting {
		t.Errorf("%+v, %v", c, err)
	}
	if words, err := c.DiscardAt.Lookup(t.Context(), "192.0.2.1"); words != "dsn" || err != nil {
		t.Errorf("%q, %v", words, err)
	}
	s.DiscardMaps = []string{"nonsense:x"}
	if err := s.Apply(&c, lookup.Options{}); !fail.Is(err, fail.Invalid) {
		t.Errorf("%v", err)
	}
}
