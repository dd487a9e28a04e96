package cf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

func read(t *testing.T, in string) (*File, *[]string) {
	t.Helper()
	var problems []string
	f, err := Read("f", strings.NewReader(in), func(p text.Problem) { problems = append(problems, p.String()) })
	if err != nil {
		t.Fatal(err)
	}
	return f, &problems
}

func TestFile(t *testing.T) {
	f, problems := read(t, "# c\nuser=joe\nquery = SELECT a\n  FROM b WHERE c = '%s'\nuser = ann\nhosts = a, b\n c\nunknown = x\nn = 5\nbig = 11\nflag = YES\nold = 1\n")
	if got := f.Text("query", ""); got != "SELECT a  FROM b WHERE c = '%s'" {
		t.Errorf("%q", got)
	}
	if got := fmt.Sprint(f.Text("user", ""), f.List("hosts"), f.Number("n", 1, 0, 10), f.Number("none", 7, 0, 10), f.Bool("flag", false), f.Bool("none", true)); got != "ann[a b c] 5 7 true true" {
		t.Error(got)
	}
	f.Ignore("too old", "old", "none")
	f.Number("big", 0, 0, 10)
	if err := f.Err(); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "f, line 10: big") {
		t.Error(err)
	}
	if got := strings.Join(*problems, "|"); got != `f, line 5: user is set twice: this one counts|f, line 12: old: too old|f, line 8: there is no setting "unknown": it is ignored` {
		t.Error(got)
	}
	for _, bad := range []string{"password geheim", "= x", "a b = c", strings.Repeat("a = b\n", maxSettings+1)} {
		if _, err := Read("f", strings.NewReader(bad), nil); !fail.Is(err, fail.Invalid) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%.20s: %v", bad, err)
		}
	}
}

// Each query with what becomes of it for a key, "-" when nothing is asked.
func TestExpand(t *testing.T) {
	const full, bare, part, empty = "user@mail.example.com", "user", "@example.com", "user@"
	for _, tc := range []struct{ template, key, want string }{
		{"<%s>", full, "<user@mail.example.com>"},
		{"<%u|%d>", full, "<user|mail.example.com>"},
		{"<%U|%D|%S>", full, "<user|mail.example.com|user@mail.example.com>"},
		{"%u", "a@b@c.example", "a@b"},
		{"%1.%2.%3", full, "com.example.mail"},
		{"%4", full, "-"},
		{"%1", bare, "-"},
		{"%1", "example.com", "-"},
		{"%u", bare, "user"},
		{"%d", bare, "-"},
		{"%u", part, "-"},
		{"%d", part, "example.com"},
		{"%u", empty, "user"},
		{"%d", empty, "-"},
		{"%s", "", "-"},
		{"100%%", bare, "100%"},
		{"'%s'", "o'hara", "'o''hara'"},
	} {
		template, err := ParseTemplate(tc.template)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := template.Expand(Split(tc.key), func(s string) string { return strings.ReplaceAll(s, "'", "''") })
		if !ok {
			got = "-"
		}
		if got != tc.want {
			t.Errorf("%s of %s: %s, want %s", tc.template, tc.key, got, tc.want)
		}
	}
	for _, bad := range []string{"%", "%x", "a%", "%0", strings.Repeat("x", maxTemplate+1)} {
		if _, err := ParseTemplate(bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%.20s: %v", bad, err)
		}
	}
}

// Values of rows become one, in a format.
func TestResult(t *testing.T) {
	const key = "joe@in.example"
	for _, tc := range []struct{ settings, values, want string }{
		{"", "a b", "a,b"},
		{"", "", "not found"},
		{"result_format = smtp:[%s]", "h1", "smtp:[h1]"},
		{"result_format = %u at %d", "a@b plain c@d", "a at b,c at d"},
		{"result_format = %s/%U/%D/%2", "x", "x/joe/in.example/in"},
		{"result_filter = %u", "a@b", "a"},
		{"expansion_limit = 2", "a b", "a,b"},
		{"expansion_limit = 2", "a b c", "invalid"},
	} {
		f, _ := read(t, tc.settings)
		c := f.Common(lookup.Options{})
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		r := c.NewResult(Split(key))
		var err error
		for _, v := range strings.Fields(tc.values) {
			if err == nil {
				err = r.Add(v)
			}
		}
		got := ""
		if err == nil {
			got, err = r.Text()
		}
		if err != nil {
			got = fail.KindOf(err).String()
		}
		if got != tc.want {
			t.Errorf("%s of %s: %s, want %s", tc.settings, tc.values, got, tc.want)
		}
	}
}

func TestDomains(t *testing.T) {
	for _, tc := range []struct{ list, key, want string }{
		{"", "anything", "true"},
		{"a.example b.example", "joe@B.example", "true"},
		{"a.example", "joe@c.example", "false"},
		{"a.example", "joe@sub.a.example", "false"},
		{"a.example", "joe", "false"},
		{"a.example", "a.example", "false"},
		{"a.example", "@a.example", "false"},
		{"a.example", "joe@", "false"},
		{"!a.example static:all", "joe@a.example", "false"},
		{"!a.example static:all", "joe@b.example", "true"},
		{"inline:{a.example=x}", "joe@a.example", "true"},
		{"inline:{a.example=x}", "joe@b.example", "false"},
		{"a.example fail:x", "joe@a.example", "true"},
		{"a.example fail:x", "joe@b.example", "unavailable"},
	} {
		f, _ := read(t, "domain = "+tc.list)
		c := f.Common(lookup.Options{})
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		yes, err := c.Domains.Allow(t.Context(), Split(tc.key))
		got := fmt.Sprint(yes)
		if err != nil {
			got = fail.KindOf(err).String()
		}
		if got != tc.want {
			t.Errorf("%s in %s: %s", tc.key, tc.list, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("user = a\nquery = SELECT '%u' || \"%d\"\n more\nresult_format = %s %1\ndomain = a !b inline:{c=d}\n", "a@b.c")
	f.Fuzz(func(t *testing.T, in, key string) {
		file, err := Read("f", strings.NewReader(in), nil)
		if err != nil {
			return
		}
		c := file.Common(lookup.Options{})
		q, err := ParseTemplate(file.Text("query", ""))
		if err != nil || file.Err() != nil {
			return
		}
		if text, ok := q.Expand(Split(key), func(string) string { return "" }); ok && key != "" && len(text) > len(in) {
			t.Fatal("values are not escaped")
		}
		r := c.NewResult(Split(key))
		_ = r.Add(key)
		if text, err := r.Text(); err == nil && text == "" {
			t.Fatal("empty")
		}
	})
}
