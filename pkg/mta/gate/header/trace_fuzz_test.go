package header

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// FuzzTrace: whatever a client says of itself, the trace is one field, whose
// parentheses fit together.
func FuzzTrace(f *testing.F) {
	f.Add("client.example", "unknown", "joe@ours.example", "CN", "Issuer", "joe@ours.example", uint8(0))
	f.Add("a)\r\nX: y", "b(", "c\\", "\"d", "e)", `"a) b"@ours.example`, uint8(1))
	f.Add("[IPv6:::1]", "ü", "\x00", "\x7f", "\xff", "<>", uint8(2))
	f.Add(strings.Repeat("x", 2000), "", strings.Repeat("(", 300), "", "", "", uint8(3))
	f.Fuzz(func(t *testing.T, helo, name, user, subject, issuer, rcpt string, how uint8) {
		to, err := addr.Parse(rcpt)
		if err != nil {
			to = addr.Address{}
		}
		trace := Trace{
			Helo: helo, Name: name, Peer: netip.MustParseAddr("192.0.2.1"), By: "mx.ours.example", With: "ESMTPSA", QID: "4dj7nd4q3nzN3",
			For: to, Date: time.Unix(1_800_000_000, 0).UTC(), Local: how&1 != 0, Hide: how&2 != 0, User: user,
		}
		if how&4 == 0 {
			trace.TLS, trace.Cert = "TLSv1.3 with cipher X (256/256 bits)", Cert(subject, issuer, true)
		}
		text := string(trace.Append(nil))
		if !strings.HasPrefix(text, "Received: ") || !strings.HasSuffix(text, "\r\n") {
			t.Fatalf("%q is no field", text)
		}
		for i, line := range strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n") {
			if i > 0 && !strings.HasPrefix(line, "\t") || strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("line %q in %q", line, text)
			}
		}
		if !balanced(text) {
			t.Fatalf("parentheses of %q", text)
		}
		e := NewEditor(Rules{})
		_, _ = e.Write([]byte(text + "\r\nbody\r\n"))
		if found := e.Finish(); found.Hops != 1 || found.Skip != int64(len(text)+2) {
			t.Fatalf("%q reads as %d hops, %d of %d octets", text, found.Hops, found.Skip, len(text)+2)
		}
	})
}

// balanced reports whether comments begin and end, outside of quoted strings.
func balanced(s string) bool {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0 && !quoted
}
