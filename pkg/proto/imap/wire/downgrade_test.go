package wire

import (
	"bytes"
	"testing"
)

func TestDowngrade(t *testing.T) {
	for in, want := range map[string]string{
		`("a" NIL "{3}")`:                        `("a" NIL "{3}")`,
		"(\"x\" {7}\r\nGr\u00fc\u00dfe NIL)":     `("x" "=?utf-8?b?R3LDvMOfZQ==?=" NIL)`,
		"({2}\r\n\xfc! {2}\r\n\u00fc \"\\\"{\")": "({2}\r\n\xfc! \"=?utf-8?b?w7w=?=\" \"\\\"{\")",
		"({3}\r\na\rb {2}\r\n\u00fc)":            "({3}\r\na\rb \"=?utf-8?b?w7w=?=\")",
		"\u00fc {9}\r\nx":                        "\u00fc {9}\r\nx", // not what we write, but no fault either
		"\u00fc \"open \\":                       "\u00fc \"open \\",
	} {
		if got := Downgrade([]byte(in)); string(got) != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Whatever it is given, it ends, and gives back ASCII as it was.
func FuzzDowngrade(f *testing.F) {
	f.Add([]byte("(\"x\" {7}\r\nGr\u00fc\u00dfe NIL)"))
	f.Add([]byte("{-1}\r\n\u00fc"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if out := Downgrade(in); isASCII(in) && !bytes.Equal(in, out) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
