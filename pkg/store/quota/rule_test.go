package quota

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestLimits(t *testing.T) {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	for _, c := range []struct {
		rules   string
		folder  string
		want    Limits
		counted bool
	}{
		{"", "INBOX", Limits{}, true},
		{"*:storage=100", "INBOX", Limits{Bytes: 100 * kib}, true},
		{"*:storage=1G", "INBOX", Limits{Bytes: gib}, true},
		{"*:storage=1g:messages=10", "INBOX", Limits{Bytes: gib, Messages: 10}, true},
		{"*:bytes=1000", "INBOX", Limits{Bytes: 1000}, true},
		{"*:bytes=100M", "INBOX", Limits{Bytes: 100 * mib}, true},
		{"*:storage=500B", "INBOX", Limits{Bytes: 500}, true},
		{"*:messages=7", "INBOX", Limits{Messages: 7}, true},
		{"*:storage=0", "INBOX", Limits{}, true},
		{"?:storage=2M", "INBOX", Limits{Bytes: 2 * mib}, true},
		{"*:storage=1M *:storage=3M", "INBOX", Limits{Bytes: 3 * mib}, true},
		{"*:storage=1G Trash:storage=+100M", "Trash", Limits{Bytes: gib + 100*mib}, true},
		{"*:storage=1G Trash:storage=-100M", "Trash", Limits{Bytes: gib - 100*mib}, true},
		{"*:storage=1000 Trash:storage=+10%", "Trash", Limits{Bytes: 1100 * kib}, true},
		{"*:storage=1000 Trash:storage=10%", "Trash", Limits{Bytes: 100 * kib}, true},
		{"*:storage=1G Trash:storage=+100M", "INBOX", Limits{Bytes: gib}, true},
		{"*:messages=10 Trash:messages=+5", "Trash", Limits{Messages: 15}, true},
		{"Trash:storage=+100M", "Trash", Limits{}, true},
		{"*:storage=1M Trash:storage=-2M", "Trash", Limits{Bytes: 1}, true},
		{"*:storage=1M Spam:ignore", "Spam", Limits{}, false},
		{"*:storage=1M Lists.*:ignore", "Lists.go", Limits{}, false},
		{"*:storage=1M Lists.*:ignore", "Lists", Limits{Bytes: mib}, true},
		{"*:storage=1M inbox:storage=+1M", "INBOX", Limits{Bytes: 2 * mib}, true},
	} {
		rules, err := ParseRules(strings.Fields(c.rules))
		if err != nil {
			t.Errorf("%s: %v", c.rules, err)
			continue
		}
		if l, counted := rules.Limits(c.folder); l != c.want || counted != c.counted {
			t.Errorf("%s, %s: %+v, counted %t; want %+v, %t", c.rules, c.folder, l, counted, c.want, c.counted)
		}
	}
}

func TestRulesThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "*", ":storage=1", "*:storage=", "*:storage=x", "*:storage=1X", "*:storage=1GG", "*:size=1", "*:storage=99999999999999999999",
		"*:storage=9000000000000G", "*:messages=1k", "*:storage=+1G", "*:storage=10%", "*:ignore", "*:storage=--1", "Trash:storage=+-1",
		"*:storage=1e3", strings.Repeat("x", maxRuleLength) + ":storage=1",
	} {
		if r, err := ParseRule(text); !fail.Is(err, fail.Invalid) {
			t.Errorf("ParseRule(%q) = %+v, %v; want an error of kind Invalid", text, r, err)
		}
	}
	if _, err := ParseRules(make([]string, maxRules+1)); !fail.Is(err, fail.Invalid) {
		t.Errorf("too many rules: %v", err)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"Trash", "Trash", true},
		{"Trash", "trash", false},
		{"Tr?sh", "Trash", true},
		{"T*", "T", true},
		{"T*", "Trash.old", true},
		{"*.old", "Trash.old.old", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"a**", "a", true},
		{"?", "", false},
		{"INBOX", "inbox", true},
		{strings.Repeat("*a", 50) + "b", strings.Repeat("a", 400), false},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("matches(%q, %q) = %t", c.pattern, c.name, got)
		}
	}
}

// What the user database says replaces the rule in the same place.
func TestRulesOfAUser(t *testing.T) {
	cfg := Config{Rules: []string{"*:storage=1G", "Trash:storage=+100M"}}
	for _, c := range []struct {
		name   string
		record map[string]string
		folder string
		want   Limits
	}{
		{"nothing said", nil, "Trash", Limits{Bytes: 1<<30 + 100<<20}},
		{"the first replaced", map[string]string{"quota_rule": "*:storage=2G"}, "Trash", Limits{Bytes: 2<<30 + 100<<20}},
		{"the second replaced", map[string]string{"quota_rule2": "Trash:storage=+1G"}, "Trash", Limits{Bytes: 2 << 30}},
		{"taken away", map[string]string{"quota_rule": ""}, "INBOX", Limits{}},
		{"a third one", map[string]string{"quota_rule3": "*:messages=9"}, "INBOX", Limits{Bytes: 1 << 30, Messages: 9}},
		{"Dovecot 2.4", map[string]string{"quota_storage_size": "5M", "quota_message_count": "3"}, "INBOX", Limits{Bytes: 5 << 20, Messages: 3}},
	} {
		rules, err := cfg.For(func(key string) (string, bool) { v, ok := c.record[key]; return v, ok })
		if l, _ := rules.Limits(c.folder); err != nil || l != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, l, err, c.want)
		}
	}
	_, err := cfg.For(func(key string) (string, bool) { return "*:storage=lots", key == "quota_rule" })
	if !fail.Is(err, fail.Unavailable) {
		t.Errorf("a record that does not parse: %v, want kind Unavailable", err)
	}
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"*:storage=1G", "Trash:storage=+10%:messages=-3", "Spam:ignore", "?:bytes=1:", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		if l, _ := (Rules{{Folder: "*", Bytes: Amount{Set: true, N: 1 << 40}}, r}).Limits("Trash"); l.Bytes < 0 || l.Messages < 0 {
			t.Errorf("%q limits to %+v", text, l)
		}
	})
}
