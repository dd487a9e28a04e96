package account

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/addr"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{"alice", "alice@example.org", "j..doe@example.org", "jürgen@bücher.example", "a+b=c@x", "o'neil", "a@b@c", strings.Repeat("x", maxName)} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "a:b", "a b", "a\tb", "a\nb", "a\x00b", "a\u0085b", "#a", "a/b", `a\b`, "a%nb", ".", "..", ".a", "a@.", "a@..", "a@.b",
		"\xff", strings.Repeat("x", maxName+1),
	} {
		if CheckName(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestQualifyAndSplit(t *testing.T) {
	for _, tc := range []struct{ name, domain, want, local, dom string }{
		{"Alice", "", "alice", "alice", ""},
		{"Alice", "Example.org", "alice@example.org", "alice", "example.org"},
		{"Alice@X.org", "example.org", "alice@x.org", "alice", "x.org"},
		{"Ann@XN--Bcher-KVA.example.", "", "ann@bücher.example", "ann", "bücher.example"},
		{"a@not a domain", "", "a@not a domain", "a", "not a domain"},
		{"a@b@c", "", "a@b@c", "a@b", "c"},
		{"", "example.org", "", "", ""},
	} {
		got := Qualify(tc.name, tc.domain)
		local, dom := Split(got)
		if got != tc.want || local != tc.local || dom != tc.dom {
			t.Errorf("%q: %q %q %q", tc.name, got, local, dom)
		}
	}
}

// What is taken for canonical at a glance is so for the one who knows.
func TestPlainDomains(t *testing.T) {
	fast := 0
	for _, d := range []string{
		"", ".", "a", "a.", "example.org", "Example.org", "example.org.", "a..b", "-a.b", "a-.b", "a_b.example", "1.2.3.4", "[192.0.2.1]", "[ipv6:2001:DB8::1]",
		"xn--bcher-kva.example", "xn--a", "bücher.example", "a b", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 200) + "a",
	} {
		want, err := addr.Domain(d)
		if err != nil {
			want = strings.ToLower(d)
		}
		if got := Domain(d); got != want {
			t.Errorf("%q: %q, want %q", d, got, want)
		}
		if plain(d) {
			fast++
		}
	}
	if fast < 5 {
		t.Error("no domain is taken at a glance")
	}
}

func TestFieldLists(t *testing.T) {
	fs := Set(Set(Set(nil, Field{Key: "a", Value: "1"}), Field{Key: "b", Flag: true}), Field{Key: "a", Value: "2"})
	if f, ok := Get(fs, "a"); !ok || f.Value != "2" || len(fs) != 2 {
		t.Error(fs)
	}
	less := Remove(fs, "a")
	if _, ok := Get(less, "a"); ok || len(less) != 1 || len(fs) != 2 || len(Remove(less, "a")) != 1 {
		t.Error(fs, less)
	}
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		mask, name string
		want       bool
	}{
		{"*", "", true},
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*@example.org", "bob@example.org", true},
		{"*@example.org", "bob@example.com", false},
		{"a*b*c", "axxbyyc", true},
		{"a*b*c", "axxbyy", false},
		{"*a*", "bab", true},
		{"**", "x", true},
		{"?", "", false},
		{strings.Repeat("*a", 50) + "b", strings.Repeat("a", 10000), false},
	} {
		if got := Match(tc.mask, tc.name); got != tc.want {
			t.Errorf("%q %q: %v", tc.mask, tc.name, got)
		}
	}
}
