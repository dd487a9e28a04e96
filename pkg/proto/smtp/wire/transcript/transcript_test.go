package transcript

import (
	"bytes"
	"strings"
	"testing"
)

func TestOctets(t *testing.T) {
	for in, want := range map[string]string{
		`a\r\n`: "a\r\n", `x{5}y`: "xxxxxy", `\x00{3}`: "\x00\x00\x00", `a\{3}`: "a{3}", `\\`: `\`, `{x}`: `{x}`, `a{b}`: `a{b}`,
	} {
		if got, err := octets(in); string(got) != want || err != nil {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for _, in := range []string{`\`, `\q`, `\x0`, `\xzz`} {
		if got, err := octets(in); err == nil {
			t.Errorf("%q accepted as %q", in, got)
		}
	}
	if b, _ := octets("x{1000000}"); !bytes.Equal(b, bytes.Repeat([]byte("x"), 1000000)) {
		t.Error("long repetition")
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"250 Ok", "250 Ok", true},
		{"250 Ok", "250 Ok ", false},
		{"250 *", "250 anything", true},
		{"*", "", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"a*", "b", false},
	} {
		if got := Match(c.pattern, c.text); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}

func TestParse(t *testing.T) {
	s, err := Parse("# hi\n@ mode lmtp\n\nS: 220 x\nC*3: NOOP\nX:\n")
	if err != nil || s.Options["mode"] != "lmtp" || len(s.Steps) != 3 || s.Steps[1].N != 3 || s.Steps[1].Text != "NOOP" || s.Steps[2].Kind != 'X' {
		t.Errorf("%+v %v", s, err)
	}
	for _, bad := range []string{"hello", "Q: x", "C*x: y", "C*0: y", "CC: x"} {
		if _, err := Parse(bad); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
