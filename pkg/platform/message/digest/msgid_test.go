package digest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// idsOf are the ids of a References field as text.
func idsOf(value string) []string {
	return collectIDs(value, func(id string) string { return id })
}

func TestIDs(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "",
		"<a@b>":                       "a@b",
		" <a@b>\r\n\t<c@d> (x) <e@f>": "a@b c@d e@f",
		"<a@b><c@d>":                  "a@b c@d",
		`<"01KF8JCEOCBS0045PS"@xxx.yyy.com> <01KF8JCEOCBS0045PS@xxx.yyy.com>`: "01KF8JCEOCBS0045PS@xxx.yyy.com 01KF8JCEOCBS0045PS@xxx.yyy.com",
		`<"a\"b c"@d>`:                    `a"b c@d`,
		"<a b@c .d>":                      "ab@c.d",
		"<no-domain> <a@b>":               "a@b",
		"<@> <a@> <@b>":                   "a@ @b",
		"a@b":                             "",
		"<a@b":                            "",
		"<<a@b>>":                         "a@b",
		"<x <a@b>":                        "a@b",
		"Your message of today <a@b> x@y": "a@b",
		`<"open <a@b>`:                    "",
		"<A@b> <a@b>":                     "A@b a@b",
		"<>":                              "",
		"<" + strings.Repeat("x", 1000) + "@b> <a@b>": "a@b",
	} {
		if got := strings.Join(idsOf(in), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if first, _, _ := strings.Cut(want, " "); !strings.Contains(want, `"`) && first != "" && messageID(in) != hash(first) {
			t.Errorf("%q: first is not %q", in, first)
		}
	}
}

func TestReferencesAreCapped(t *testing.T) {
	for _, n := range []int{99, 100, 101, 102, 199, 200, 5000} {
		var all strings.Builder
		var want []string
		for i := range n {
			fmt.Fprintf(&all, "<%d@x> ", i)
			if i == 0 || i > n-maxReferences {
				want = append(want, fmt.Sprintf("%d@x", i))
			}
		}
		if got := idsOf(all.String()); !slices.Equal(got, want) {
			t.Errorf("%d: %d, from %v to %v", n, len(got), got[:2], got[len(got)-2:])
		}
	}
}

// affordable bounds what linear work on hostile input may take, race detector
// and a busy machine included. Quadratic work would take many minutes.
const affordable = 30 * time.Second

func TestReferencesAreLinear(t *testing.T) {
	const n = 500_000
	for _, s := range []string{"<", "<a@b>", `<"`, `<\"`, `<"\"`, "<a ", "<@", `<"a"`} {
		begin := time.Now()
		idsOf(strings.Repeat(s, n))
		if took := time.Since(begin); took > affordable {
			t.Errorf("%s: %v", s, took)
		}
	}
}

func FuzzReferences(f *testing.F) {
	f.Add(`<a@b> <"c\"d"@e> (<x@y>) <<f@g>`)
	f.Fuzz(func(t *testing.T, s string) {
		ids := idsOf(s)
		if len(ids) > maxReferences {
			t.Fatal(len(ids))
		}
		for _, id := range ids {
			if len(id) < 2 || len(id) > maxMessageID || !strings.Contains(id, "@") {
				t.Fatalf("%q of %q", id, s)
			}
		}
		if len(ids) > 0 && messageID(s) != hash(ids[0]) {
			t.Fatalf("%q: first is not %q", s, ids[0])
		}
	})
}
