package authd

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/platform/fail"
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
		{"passwords alice@example.org", "PERM there is no such map; the maps are domains and users"},
		{"domains", "PERM request is not a map name and a key"},
		{"", "PERM request is not a map name and a key"},
	} {
		if got := w.socketmap("domains example.org", tc.request); got != tc.want {
			t.Errorf("%q: %q", tc.request, got)
		}
	}
	for _, raw := range []string{"x", "99999:", ":", "3:abc;", "9999:", "-1:,"} {
		nc := w.dial("socketmap")
		_, _ = nc.Write([]byte(raw + strings.Repeat(" ", 10000)))
		if got, _ := io.ReadAll(nc); len(got) != 0 {
			t.Errorf("%q was answered with %q", raw, got)
		}
	}
}

func TestNetstring(t *testing.T) {
	for _, tc := range []struct{ raw, want string }{
		{"0:,", ""},
		{"5:hello,rest", "hello"},
		{"005:hello,", "hello"},
	} {
		if got, err := readNetstring(bufio.NewReader(strings.NewReader(tc.raw))); got != tc.want || err != nil {
			t.Errorf("%q: %q %v", tc.raw, got, err)
		}
	}
	for raw, want := range map[string]error{
		"": io.EOF, "5": io.ErrUnexpectedEOF, "5:hel": io.ErrUnexpectedEOF, "5:hello": io.ErrUnexpectedEOF,
	} {
		if _, err := readNetstring(bufio.NewReader(strings.NewReader(raw))); !errors.Is(err, want) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	for _, raw := range []string{"4097:", "12345:", "a:", "5:hello.", ":", " 1:a,"} {
		if _, err := readNetstring(bufio.NewReader(strings.NewReader(raw))); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func FuzzNetstring(f *testing.F) {
	f.Add("5:hello,0:,")
	f.Fuzz(func(t *testing.T, raw string) {
		r := bufio.NewReader(strings.NewReader(raw))
		for {
			s, err := readNetstring(r)
			if err != nil {
				return
			}
			if len(s) > maxNetstring {
				t.Fatalf("%d bytes", len(s))
			}
			again, err := readNetstring(bufio.NewReader(strings.NewReader(string(appendNetstring(nil, s)))))
			if err != nil || again != s {
				t.Fatalf("%q became %q (%v)", s, again, err)
			}
		}
	})
}
