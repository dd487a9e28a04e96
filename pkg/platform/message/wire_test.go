package message

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// iotestOneByOne is a reader that returns s in pieces of drawn sizes.
func iotestOneByOne(t *rapid.T, s string) io.Reader {
	if rapid.Bool().Draw(t, "small reads") {
		return iotest.OneByteReader(strings.NewReader(s))
	}
	return strings.NewReader(s)
}

// checkWire reads b with the grammar of IMAP (RFC 3501 section 9): balanced
// lists of NIL, numbers, quoted strings without CR, LF, NUL or 8-bit bytes,
// and literals of the announced length.
func checkWire(t *testing.T, b []byte) {
	t.Helper()
	depth := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
				if i >= len(b) || b[i] == 0 || b[i] >= 0x7f || b[i] == '\r' || b[i] == '\n' {
					t.Fatalf("bad quoted string at %d of %q", i, b)
				}
			}
		case c == '{':
			end := bytes.Index(b[i:], []byte("}\r\n"))
			if end < 0 {
				t.Fatalf("bad literal at %d of %q", i, b)
			}
			n, err := strconv.Atoi(string(b[i+1 : i+end]))
			if err != nil || i+end+3+n > len(b) || bytes.IndexByte(b[i+end+3:i+end+3+n], 0) >= 0 {
				t.Fatalf("bad literal at %d of %q", i, b)
			}
			i += end + 2 + n
		case c == ' ' || c >= '0' && c <= '9' || c == 'N' || c == 'I' || c == 'L':
		default:
			t.Fatalf("stray byte %q at %d of %q", c, i, b)
		}
		if depth < 0 {
			t.Fatalf("unbalanced %q", b)
		}
	}
	if depth != 0 {
		t.Fatalf("unbalanced %q", b)
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":       `""`,
		"abc":    `"abc"`,
		`a"b\c`:  `"a\"b\\c"`,
		"a\tb":   "\"a\tb\"",
		"a\nb":   "{3}\r\na\nb",
		"\xfc":   "{1}\r\n\xfc",
		"a\x00b": "{5}\r\na\uFFFDb",
	} {
		if got := string(AppendString(nil, in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := string(AppendNString(nil, "")); got != "NIL" {
		t.Errorf("empty nstring is %q", got)
	}
	if got := AppendString(nil, strings.Repeat("x", 1001)); got[0] != '{' {
		t.Error("a long string must be a literal")
	}
}

var envelopes = []struct{ name, header, want string }{
	{
		"all there",
		"Date: Mon, 1 Jan 2024 00:00:00 +0000\nSubject: =?utf-8?q?h=C3=A9?=\n more\nFrom: Joe <joe@example.org>\nSender: s@x\nReply-To: r@x\n" +
			"To: a@b, \"Q. S\" <q@x.y>\nCc: c@d\nBcc: e@f\nIn-Reply-To: <1@x>\nMessage-ID: <2@x>\n\n",
		`("Mon, 1 Jan 2024 00:00:00 +0000" "=?utf-8?q?h=C3=A9?= more" (("Joe" NIL "joe" "example.org")) ((NIL NIL "s" "x")) ((NIL NIL "r" "x")) ` +
			`((NIL NIL "a" "b")("Q. S" NIL "q" "x.y")) ((NIL NIL "c" "d")) ((NIL NIL "e" "f")) "<1@x>" "<2@x>")`,
	},
	{
		"sender and reply-to default to from, also when empty", "From: a@b\nSender: \n\n",
		`(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)`,
	},
	{
		"fields given twice: addresses are joined", "To: a@b\nSubject: one\nTo: c@d\nSubject: two\n\n",
		`(NIL "one" NIL NIL NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL)`,
	},
	{
		"groups", "To: undisclosed-recipients:;\nCc: g h: a@b, X <c@d>;, e@f\n\n",
		`(NIL NIL NIL NIL NIL ((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)) ` +
			`((NIL NIL "g h" NIL)(NIL NIL "a" "b")("X" NIL "c" "d")(NIL NIL NIL NIL)(NIL NIL "e" "f")) NIL NIL NIL)`,
	},
	{
		"8-bit is a literal", "Subject: \xe4\n\n", "(NIL {1}\r\n\xe4 NIL NIL NIL NIL NIL NIL NIL NIL)",
	},
}

func TestEnvelope(t *testing.T) {
	for _, c := range envelopes {
		t.Run(c.name, func(t *testing.T) {
			h := ParseHeader([]byte(c.header), DefaultLimits())
			if got := string(appendEnvelope(nil, h, DefaultLimits(), new([]Address))); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
