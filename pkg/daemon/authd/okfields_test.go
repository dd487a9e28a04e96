package authd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// A line stays one that Exim can read: few fields, few bytes, and those that
// decide first.
func TestFit(t *testing.T) {
	var many dovecotauth.Fields
	for i := range 40 {
		many = many.Add(fmt.Sprintf("k%d", i), "v")
	}
	many = append(many, dovecotauth.Field{Key: "nologin", Flag: true}, dovecotauth.Field{Key: "reason", Value: "closed"})
	if got := fit(many); len(got) != maxOKFields || got[0].Key != "nologin" || got[1].Key != "reason" || got[2].Key != "k0" {
		t.Errorf("%+v", got)
	}
	long := dovecotauth.Fields{{Key: "a", Value: strings.Repeat("x", maxOKBytes)}, {Key: "b", Value: "1"}, {Key: "host", Value: "192.0.2.1"}}
	if got := fit(long); len(got) != 1 || got[0].Key != "host" {
		t.Errorf("%d fields", len(got))
	}
}

// What only concerns us is not told.
func TestShown(t *testing.T) {
	in := []account.Field{{Key: "allow_nets", Value: "local"}, {Key: "nopassword", Flag: true}, {Key: "proxy", Flag: true}, {Key: "delay_until", Value: "1"}, {Key: "x", Value: "1"}}
	if got := strings.Join(shown(in).Params(), " "); got != "proxy x=1" {
		t.Error(got)
	}
}

// A name cannot move the address that a log reader finds, nor hide it.
func TestOneWord(t *testing.T) {
	for name, want := range map[string]string{
		"bob@example.org":              "bob@example.org",
		"o'brien+x@exämple.org":        "o'brien+x@exämple.org",
		"x,198.51.100.1): unknown":     "x?198.51.100.1?:?unknown",
		"a b\tc\u00a0d\u2028e<f>(g)\n": "a?b?c?d?e?f??g??",
		"%2c=\"":                       "%2c=\"",
	} {
		if got := oneWord(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
