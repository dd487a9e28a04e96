package namespace

import (
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestNames(t *testing.T) {
	for _, c := range []struct{ prefix, client, folder string }{
		{"", "Sent", "Sent"},
		{"", "INBOX", "INBOX"},
		{"", "INBOX.a", "INBOX.a"},
		{"INBOX.", "INBOX", "INBOX"},
		{"inbox", "INBOX.Sent", "Sent"},
		{"INBOX/", "INBOX.a.b", "a.b"},
		{"INBOX.", "INBOX.INBOX.a", "INBOX.a"},
		{"Mail", "Mail.Sent", "Sent"},
		{"Mail", "INBOX", "INBOX"},
	} {
		p := New(c.prefix, '.')
		if got, err := p.Inside(c.client); got != c.folder || err != nil {
			t.Errorf("%q: %s means %q, %v", c.prefix, c.client, got, err)
		}
		if got := p.Outside(c.folder); got != c.client {
			t.Errorf("%q: %s is called %q", c.prefix, c.folder, got)
		}
	}
	p := New("INBOX.", '.')
	for _, name := range []string{"Sent", "INBOXSent", "INBOX.", "INBOX.INBOX", "INBOX.inbox", "", "inbox.Sent"} {
		if got, err := p.Inside(name); !fail.Is(err, fail.NotFound) {
			t.Errorf("%q means %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]bool{
		"": true, "INBOX.": true, "INBOX": true, "Mail/": true, "a.b": false, "Entwürfe": false, "a b": false, "~x": false, "*": false, "T&-": false,
	} {
		if Valid(name) != want {
			t.Errorf("%q is valid: %v", name, !want)
		}
	}
}
