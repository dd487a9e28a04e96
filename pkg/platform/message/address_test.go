package message

import (
	"fmt"
	"strings"
	"testing"
)

func show(as []Address) string {
	var b strings.Builder
	for _, a := range as {
		switch a.Kind {
		case GroupStart:
			fmt.Fprintf(&b, "{%s ", a.Mailbox)
		case GroupEnd:
			b.WriteString("}")
		default:
			fmt.Fprintf(&b, "[%s|%s|%s|%s]", a.Name, a.Route, a.Mailbox, a.Host)
		}
	}
	return b.String()
}

func TestParseAddresses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a@b", "[||a|b]"},
		{"John Q. Public <j@p>", "[John Q. Public||j|p]"},
		{`"Q, S" <q@x>, y@z`, "[Q, S||q|x][||y|z]"},
		{"foo@bar (John (nested) Doe)", "[John (nested) Doe||foo|bar]"},
		{"<@a,@b:joe@c>", "[|@a,@b|joe|c]"},
		{"joe.blogs @ x . y", "[||joe.blogs|x.y]"},
		{`"quoted local"@x`, "[||quoted local|x]"},
		{"x@[1.2.3.4]", "[||x|[1.2.3.4]]"},
		{"=?utf-8?q?x=2C?= <e@w>", "[=?utf-8?q?x=2C?=||e|w]"},
		{"g: a@b; c@d", "{g [||a|b]}[||c|d]"},
		{"g:;", "{g }"},
		{"unclosed: a@b", "{unclosed [||a|b]}"},
		{"joe", "[||joe|]"},
		{"joe@", "[||joe|]"},
		{"@x", "[|||x]"},
		{"<>", "[|||]"},
		{",, a@b ,,", "[||a|b]"},
		{"a@b>", "[||a|b]"},
		{`"unclosed <a@b>, c@d`, "[||unclosed <a@b>, c@d|]"},
		{"<a@b", "[||a|b]"},
		{"x <a@b> trailing, c@d", "[x||a|b][||c|d]"},
		{"(only a comment)", ""},
		{"", ""},
	} {
		if got := show(ParseAddresses(c.in, 100)); got != c.want {
			t.Errorf("%q: got %s, want %s", c.in, got, c.want)
		}
	}
}

// CVE-2024-23184: many addresses must cost linear time, and are capped.
func TestManyAddresses(t *testing.T) {
	for _, unit := range []string{"a@b,", "(", "<", "@", ":", "\"", "a:;", "<@a,", "a ", "[", "\\"} {
		if n := len(ParseAddresses(strings.Repeat(unit, 500_000), 20_000)); n > 20_000 {
			t.Errorf("%q: %d addresses", unit, n)
		}
	}
}

func FuzzAddresses(f *testing.F) {
	f.Add(`g: "a\"b" <@x,@y:z@w>, (c(d)) e@[f];, h`)
	f.Fuzz(func(t *testing.T, s string) {
		open := false
		for _, a := range ParseAddresses(s, 1000) {
			switch a.Kind {
			case GroupStart:
				if open {
					t.Fatal("groups cannot nest")
				}
				open = true
			case GroupEnd:
				open = false
			}
			checkWire(t, appendAddress(nil, a))
		}
	})
}
