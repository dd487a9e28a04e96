package authd

import (
	"io"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
)

func TestSocketmap(t *testing.T) {
	w := newWorld(t, func(c *authconf.Config) { c.Users.Domains = []string{"extra.example"} })
	for _, tc := range []struct{ request, want string }{
		{"domains example.org", "OK mailbox"},
		{"domains EXAMPLE.ORG", "OK mailbox"},
		{"domains extra.example", "OK mailbox"},
		{"domains nobody.example", "NOTFOUND "},
		{"domains ", "NOTFOUND "},
		{"domains two words", "NOTFOUND "},
		{"users alice@example.org", "OK alice@example.org"},
		{"users zoe@example.org", "NOTFOUND "},
		{"users @example.org", "NOTFOUND "},
		{"users ../x", "NOTFOUND "},
		{"users broken@example.org", "TEMP user database is not available"},
		{"passwords alice@example.org", "PERM there is no such map; the maps are aliases, domains, relays, senders, users"},
		{"domains", "PERM request is not a map name and a key"},
		{"", "PERM request is not a map name and a key"},
	} {
		if got := w.socketmap("domains example.org", tc.request); got != tc.want {
			t.Errorf("%q: %q", tc.request, got)
		}
	}
	for _, raw := range []string{"x", "99999:", "9999999:", ":", "3:abc;", "9999:", "-1:,"} {
		nc := w.dial("socketmap")
		_, _ = nc.Write([]byte(raw + strings.Repeat(" ", 10000)))
		if got, _ := io.ReadAll(nc); len(got) != 0 {
			t.Errorf("%q was answered with %q", raw, got)
		}
	}
}
