package addr

import (
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, local, domain, out string }{
		{"joe@Example.ORG.", "joe", "example.org", "joe@example.org"},
		{"Joe.Bloggs+x@example.org", "Joe.Bloggs+x", "example.org", "Joe.Bloggs+x@example.org"},
		{"@relay.example,@b.example:joe@example.org", "joe", "example.org", "joe@example.org"},
		{`"joe"@example.org`, "joe", "example.org", "joe@example.org"},
		{`"a b\"c"@example.org`, `a b"c`, "example.org", `"a b\"c"@example.org`},
		{`"a@b"@example.org`, "a@b", "example.org", `"a@b"@example.org`},
		{"joe@[192.0.2.1]", "joe", "[192.0.2.1]", "joe@[192.0.2.1]"},
		{"joe@[ipv6:2001:DB8::1]", "joe", "[IPv6:2001:db8::1]", "joe@[IPv6:2001:db8::1]"},
		{"user@xn--bcher-kva.example", "user", "bücher.example", "user@bücher.example"},
		{"postmaster", "postmaster", "", "postmaster"},
		{"a..b.@example.org", "a..b.", "example.org", "a..b.@example.org"},
		{"user%other@example.org", "user%other", "example.org", "user%other@example.org"},
		{"", "", "", ""},
	} {
		a, err := Parse(c.in)
		if err != nil || a.Local != c.local || a.Domain != c.domain || a.String() != c.out {
			t.Errorf("Parse(%q) = %+v %v", c.in, a, err)
		}
	}
}

func TestParseRejects(t *testing.T) {
	for _, in := range []string{
		"@example.org", "joe@", "joe@-x.org", "joe@a..b", "joe@exa mple", "jo e@example.org", "joe@[1.2.3]",
		"joe@[2001:db8::1]", `"joe@example.org`, `"joe"x@example.org`, `""@example.org`, "a@b@c", "joe\r@example.org",
		"\"a\x00b\"@example.org", "joe\xff@example.org", "@a,@b", "joe@[", "@x:", "joe@192.0.2.1", "joe@12",
	} {
		if a, err := Parse(in); !fail.Is(err, fail.Invalid) {
			t.Errorf("Parse(%q) = %+v, %v; want an Invalid error", in, a, err)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ local, delims, user, detail string }{
		{"joe+list", "+", "joe", "list"},
		{"joe+a+b", "+", "joe", "a+b"},
		{"joe-a", "+-", "joe", "a"},
		{"+joe", "+", "+joe", ""},
		{"joe", "+", "joe", ""},
		{"joe+", "+", "joe", ""},
		{"joe+x", "", "joe+x", ""},
		{"joe-a+b", "+-", "joe", "a+b"},
		{"+joe+x", "+", "+joe+x", ""},
		{"owner-list", "+-", "owner-list", ""},
		{"Owner-list+x", "+-", "Owner-list+x", ""},
		{"list+x-Request", "+-", "list+x-Request", ""},
		{"-request", "-", "-request", ""},
		{"owner-list+x", "+", "owner-list", "x"},
		{"Mailer-Daemon", "-", "Mailer-Daemon", ""},
		{"double-bounce", "-", "double-bounce", ""},
		{"postmaster", "t", "postmaster", ""},
	} {
		u, d := Address{Local: c.local}.Split(c.delims)
		if u != c.user || d != c.detail {
			t.Errorf("Split(%q,%q) = %q,%q", c.local, c.delims, u, d)
		}
	}
}

// What String writes, Parse reads back as the same value.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a@b", `"a b"@c`, "@r:x@y", "x@[IPv6:::1]", "é@ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		b, err := Parse(a.String())
		if err != nil || a != b {
			t.Fatalf("%q -> %+v -> %q -> %+v %v", s, a, a.String(), b, err)
		}
	})
}
