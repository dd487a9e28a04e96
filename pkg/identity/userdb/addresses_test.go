package userdb

import (
	"context"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// book has one answer for every question: names, a relay domain, none, or a
// fault.
type book struct{ answer string }

func (b book) names() ([]string, error) {
	switch b.answer {
	case "none", "relay":
		return nil, fail.New(fail.NotFound, "none")
	case "down":
		return nil, fail.New(fail.Unavailable, "down")
	}
	return strings.Fields(b.answer), nil
}

func (b book) Aliases(context.Context, string) ([]string, error) { return b.names() }
func (b book) Senders(context.Context, string) ([]string, error) { return b.names() }

func (b book) IsRelay(context.Context, string) (bool, error) {
	if b.answer == "down" {
		return false, fail.New(fail.Unavailable, "down")
	}
	return b.answer == "relay", nil
}

func TestAddresses(t *testing.T) {
	for _, tc := range []struct{ books, names, relay string }{
		{"", "not found", "no"},
		{"none", "not found", "no"},
		{"a", "a", "no"},
		{"none,b", "b", "no"},
		{"a,b", "a", "no"},
		{"down", "unavailable", "unavailable"},
		{"down,a", "a", "unavailable"},
		{"a,down", "a", "unavailable"},
		{"none,down,none", "unavailable", "unavailable"},
		{"down,relay", "unavailable", "yes"},
		{"none,relay", "not found", "yes"},
	} {
		var dbs []Addresses
		for _, answer := range strings.Split(tc.books, ",") {
			if answer != "" {
				dbs = append(dbs, book{answer})
			}
		}
		text := func(names []string, err error) string {
			if err != nil {
				return fail.KindOf(err).String()
			}
			return strings.Join(names, " ")
		}
		aliases := text(AliasesOf(t.Context(), dbs, "x@example.org"))
		senders := text(SendersOf(t.Context(), dbs, "x@example.org"))
		relay, err := IsRelay(t.Context(), dbs, "example.org")
		is := map[bool]string{true: "yes", false: "no"}[relay]
		if err != nil {
			is = fail.KindOf(err).String()
		}
		if aliases != tc.names || senders != tc.names || is != tc.relay {
			t.Errorf("%s: %s, %s, %s", tc.books, aliases, senders, is)
		}
	}
}
