package header

import (
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestBytes(t *testing.T) {
	for _, tc := range []struct{ set, in, out string }{
		{"", "a\x00b", "a\x00b"},
		{`\0`, "a\x00b\x00", "ab"},
		{`\000x\377`, "xa\x00\xffb", "ab"},
		{`\08`, "a8\x00b", "ab"},
		{`\t\\`, `a\b` + "\tc", "abc"},
		{`ab`, "none", "none"},
	} {
		s, err := ParseBytes(tc.set)
		if err != nil {
			t.Fatal(err)
		}
		in := []byte(tc.in)
		if got := string(s.Without(in)); got != tc.out || string(in) != tc.in {
			t.Errorf("%q without %s: %q", tc.in, tc.set, got)
		}
		if s.In(in) != (tc.in != tc.out) {
			t.Errorf("%q with %s: %v", tc.in, tc.set, s.In(in))
		}
	}
	for _, bad := range []string{`\r`, "\n", `\015`, `\12x`, `\`, `\q`, `\400`} {
		if _, err := ParseBytes(bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestField(t *testing.T) {
	for text, want := range map[string]bool{"To: undisclosed-recipients:;": true, "To:": true, "": false, "To": false, "T o: x": false, "To: x\r\nY: z": false} {
		if Field(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
