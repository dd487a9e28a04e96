package expand

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// values answers to the names it holds.
type values map[string]string

func (v values) Var(name string) (string, bool) { s, ok := v[name]; return s, ok }

func TestExpand(t *testing.T) {
	v := values{"user": "Alice@example.org", "username": "Alice", "domain": "example.org", "evil": "%u%{user}'"}
	for _, tc := range []struct{ text, want string }{
		{"", ""},
		{"/m/%d/%n", "/m/example.org/Alice"},
		{"%Ln %Un %1Ln", "alice ALICE a"},
		{"%{user} %L{user}", "Alice@example.org alice@example.org"},
		{"100%% of %%u", "100% of %u"},
		// Once: what a value holds is not looked at again.
		{"%{evil}", "%u%{user}'"},
	} {
		tpl, err := Parse(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if got, err := tpl.Expand(v, nil); got != tc.want || err != nil {
			t.Errorf("%s: %q %v", tc.text, got, err)
		}
	}
	for _, bad := range []string{"%", "%x", "%0n", "%65n", "%999999999999n", "%1", "%L", "%{user", "%{}"} {
		if _, err := Parse(bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestUnknownAndTooLong(t *testing.T) {
	tpl, _ := Parse("%{nothing}")
	if _, err := tpl.Expand(values{}, nil); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
	tpl, _ = Parse("%u%u")
	if _, err := tpl.Expand(values{"user": strings.Repeat("x", MaxResult/2+1)}, nil); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
}

func TestEscape(t *testing.T) {
	tpl, _ := Parse("(uid=%Ln)")
	double := func(s string) string { return strings.ReplaceAll(s, "*", `\2a`) }
	if got, _ := tpl.Expand(values{"username": "A*"}, double); got != `(uid=a\2a)` {
		t.Error(got)
	}
}

// A quoted variable, as in Dovecot's examples, becomes a bare placeholder.
func TestBind(t *testing.T) {
	v := values{"user": "a'b", "domain": "d"}
	for _, tc := range []struct{ text, want string }{
		{"SELECT password FROM u WHERE name = '%u' AND d = '%d'", "SELECT password FROM u WHERE name = ? AND d = ?"},
		{"SELECT password FROM u WHERE name = %u", "SELECT password FROM u WHERE name = ?"},
		{"SELECT '%u%d'", "SELECT '??'"},
		{"SELECT 1", "SELECT 1"},
	} {
		tpl, err := Parse(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tpl.Bind(func(int) string { return "?" }); got != tc.want {
			t.Errorf("%s: %s", tc.text, got)
		}
	}
	tpl, _ := Parse("%u %Ud")
	if args, err := tpl.Args(v); err != nil || args[0] != "a'b" || args[1] != "D" {
		t.Error(args, err)
	}
}

func TestWalk(t *testing.T) {
	tpl, _ := Parse("a '%Lu' 100%% %d")
	var seen []string
	tpl.Walk(func(text string) { seen = append(seen, text) }, func(v Template) {
		value, err := v.Expand(values{"user": "A", "domain": "d"}, nil)
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, "<"+value+">")
	})
	if got := strings.Join(seen, "|"); got != "a '|<a>|' 100% |<d>" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/m/%d/%n", "%1.2Nu", "%{user}", "%%", "'%u'"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		tpl, err := Parse(text)
		if err != nil {
			return
		}
		_, _ = tpl.Expand(values{"user": "u@d"}, nil)
		_ = tpl.Bind(func(int) string { return "?" })
	})
}
