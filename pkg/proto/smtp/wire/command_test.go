package wire

import (
	"fmt"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct{ in, verb, args string }{
		{"QUIT", "QUIT", ""},
		{"QUIT  ", "QUIT", ""},
		{"", "", ""},
		{"  ", "", ""},
		{"MAIL FROM:<a> SIZE=1 ", "MAIL", "FROM:<a> SIZE=1"},
		{"EHLO\tx y", "EHLO", "x y"},
	} {
		verb, args := Split([]byte(c.in))
		if string(verb) != c.verb || string(args) != c.args {
			t.Errorf("%q: %q %q", c.in, verb, args)
		}
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"TO:<a@b>", "a@b||true"},
		{"to:<a@b> NOTIFY=NEVER", "a@b|NOTIFY=NEVER|true"},
		{"TO: <a@b>  X=1  Y ", "a@b|X=1  Y|true"},
		{"TO:<>", "||true"},
		{"TO:a@b X=1", "a@b|X=1|false"},
		{`TO:<"a> b\""@c> X`, `"a> b\""@c|X|true`},
		{`TO:"a b"@c X`, `"a b"@c|X|false`},
		{"TO:<@r:a@b>", "@r:a@b||true"},
		{"TO", "error"},
		{"TO:", "error"},
		{"TO:<a@b", "error"},
		{"TO:<a@b>X", "error"},
		{`TO:<"a@b>`, "error"},
		{"FROM:<a>", "error"},
		{"", "error"},
		{"TO <a>", "error"},
		{`TO:<"a\`, "error"},
	} {
		path, params, br, err := Path([]byte(c.in), "TO:")
		got := fmt.Sprintf("%s|%s|%v", path, params, br)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}

func TestParam(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"SIZE=1 BODY=7BIT", "SIZE|1|true|BODY=7BIT"},
		{"SMTPUTF8", "SMTPUTF8||false|"},
		{"A=", "A||true|"},
		{"AUTH=<>", "AUTH|<>|true|"},
		{"ENVID=a=b", "ENVID|a=b|true|"},
		{"X-Y=1", "X-Y|1|true|"},
		{"X=a=b", "error"},
		{"=1", "error"},
		{"-X=1", "error"},
		{"X_Y=1", "error"},
		{"X=\x01", "error"},
		{"é=1", "error"},
	} {
		k, v, has, rest, err := Param([]byte(c.in))
		got := fmt.Sprintf("%s|%s|%v|%s", k, v, has, rest)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}

func TestDigits(t *testing.T) {
	if n, ok := Digits([]byte("123456789012345678")); !ok || n != 123456789012345678 {
		t.Error(n, ok)
	}
	for _, s := range []string{"", "-1", "+1", "1 ", "1234567890123456789", "0x1"} {
		if n, ok := Digits([]byte(s)); ok {
			t.Errorf("%q gives %d", s, n)
		}
	}
}

func TestXtext(t *testing.T) {
	for _, c := range []struct{ plain, x string }{
		{"QQ314159", "QQ314159"}, {"a+b=c d", "a+2Bb+3Dc+20d"}, {"ü", "+C3+BC"}, {"", ""},
	} {
		if got := string(AppendXtext(nil, c.plain)); got != c.x {
			t.Errorf("%q -> %q", c.plain, got)
		}
		if got, err := ParseXtext(c.x); got != c.plain || err != nil {
			t.Errorf("%q -> %q %v", c.x, got, err)
		}
	}
	for _, s := range []string{"+", "+2", "+2g", "+0D", "+00", "+7F", "a b", "+2b", "+-1", "x\x01", "\x7f"} {
		if got, err := ParseXtext(s); err == nil {
			t.Errorf("%q accepted as %q", s, got)
		}
	}
}

func TestUnitext(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a@b", "a@b"}, {`b\x{FC}cher@x`, "bücher@x"}, {`\x{5C}`, `\`}, {"ü", "ü"}, {`\x{10FFFF}`, "\U0010FFFF"},
	} {
		if got, err := ParseUnitext(c.in); got != c.want || err != nil {
			t.Errorf("%q -> %q %v", c.in, got, err)
		}
		if got, err := ParseUnitext(string(AppendUnitext(nil, c.want))); got != c.want || err != nil {
			t.Errorf("%q does not survive: %q %v", c.want, got, err)
		}
	}
	for _, s := range []string{`\`, `\x`, `\x{`, `\x{}`, `\x{D800}`, `\x{110000}`, `\x{0A}`, "\xff", `\y{20}`} {
		if got, err := ParseUnitext(s); err == nil {
			t.Errorf("%q accepted as %q", s, got)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"TO:<a@b> X=1 Y=2", `TO:<"a\"b"@c>`, "TO: a@b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		_, params, _, err := Path(in, "TO:")
		for err == nil && len(params) > 0 {
			before := len(params)
			_, _, _, params, err = Param(params)
			if len(params) >= before {
				t.Fatal("no progress")
			}
		}
		if s, err := ParseXtext(string(in)); err == nil {
			if back, err := ParseXtext(string(AppendXtext(nil, s))); back != s || err != nil {
				t.Fatalf("%q -> %q %v", s, back, err)
			}
		}
		_, _ = ParseUnitext(string(in))
	})
}
