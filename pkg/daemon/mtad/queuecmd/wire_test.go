package queuecmd

import (
	"encoding/json"
	"strings"
	"testing"
)

// What a daemon sends as text arrives as it was, whatever is in it, and what
// is no JSON string is an error and leaves nothing behind.
func TestAppendText(t *testing.T) {
	for _, text := range []string{
		"", "a", "\n", "one\ntwo\n\nthree", `a "quoted" word`, `C:\dir\name`, "\\\n\"", "tab\there", "bell\x07",
		"gr\u00fc\u00dfe\n", "\u2028", strings.Repeat("line \"x\"\n", 1000),
	} {
		raw, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := AppendText([]byte("before "), raw); err != nil || string(got) != "before "+text {
			t.Errorf("%s: %q, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"", `"`, `{}`, "1", `"a`, `a"`, `"a\"`, `"a"b"`, `"a"b\n"`, `"\x"`, `"a\n" "b"`} {
		if got, err := AppendText([]byte("before "), []byte(raw)); err == nil || string(got) != "before " {
			t.Errorf("%s: %q, %v", raw, got, err)
		}
	}
}
