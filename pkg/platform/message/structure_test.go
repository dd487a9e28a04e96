package message

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func parse(t testing.TB, msg string) *Part {
	t.Helper()
	p, err := ParseStructure(strings.NewReader(msg), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if m, err := ParseStructure(inMemory(msg), DefaultLimits()); err != nil || !reflect.DeepEqual(m, p) {
		t.Errorf("in memory it is\n%+v, streamed\n%+v", m, p)
	}
	return p
}

// Each case is one rule of RFC 2045/2046 or one way in which mail breaks it.
// Structures were compared with Dovecot 2.3's for the same bytes.
var structures = []struct{ name, msg, want string }{
	{
		"no header at all", "",
		`("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0)`,
	},
	{
		"last line without end", "Subject: x\n\nhello\nworld",
		`("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 12 1)`,
	},
	{
		"the line end before a boundary is the boundary's",
		"Content-Type: multipart/mixed; boundary=a\n\npre\n--a\n\nfoo\n\n--a\n\nbar\n--a--\nepilogue\n",
		`(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 5 1)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0) "mixed")`,
	},
	{
		"stored with CRLF: the same sizes",
		"Content-Type: multipart/mixed; boundary=a\r\n\r\npre\r\n--a\r\n\r\nfoo\r\n\r\n--a\r\n\r\nbar\r\n--a--\r\n",
		`(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 5 1)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0) "mixed")`,
	},
	{
		"inner boundary begins with the outer one; outer ends the inner",
		"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=ab\n\n--ab\n\n1\n--ab\n\n2\n--a\n\n3\n--a--\n",
		`((("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) "alternative")("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) "mixed")`,
	},
	{
		"a boundary inside a part's header ends it",
		"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/html\n--a\n\nx\n--a--\n",
		`(("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 0 0)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) "mixed")`,
	},
	{
		"multipart without boundary", "Content-Type: multipart/mixed\n\n--a\nfoo\n",
		`(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")`,
	},
	{
		"digest parts are messages",
		"Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: d\n\nbody\n--a--\n",
		`(("message" "rfc822" NIL NIL NIL "7bit" 18 (NIL "d" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 0) 2) "digest")`,
	},
	{
		"embedded message whose header never ends",
		"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nSubject: x\n--a--\n",
		`(("message" "rfc822" NIL NIL NIL "7bit" 12 (NIL "x" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) 1) "mixed")`,
	},
	{
		"unusable content type counts as none", "Content-Type: text\nContent-Transfer-Encoding: 8bit; x=y\n\nx\n",
		`("text" "plain" ("charset" "us-ascii") NIL NIL "8bit" 3 1)`,
	},
	{
		"missing semicolon", "Content-Type: text/html charset=utf-8; name=x\n\n",
		`("text" "html" ("name" "x" "charset" "us-ascii") NIL NIL "7bit" 0 0)`,
	},
	{
		"RFC 2231 continuations", "Content-Type: a/b; t*0*=us-ascii'en'x%20; t*1*=y; t*2=\"z\"; n*0=ab; n*1=cd; f=my file.pdf\n\n",
		`("a" "b" ("t*" "us-ascii'en'x%20yz" "n" "abcd" "f" "my file.pdf") NIL NIL "7bit" 0)`,
	},
}

func TestBodyStructure(t *testing.T) {
	for _, c := range structures {
		t.Run(c.name, func(t *testing.T) {
			if got := string(AppendBodyStructure(nil, parse(t, c.msg), false)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestBodyStructureExtended(t *testing.T) {
	const msg = "Content-Type: multipart/mixed; boundary=\"x y\"\nContent-Language: en, de\n\n--x y\n" +
		"Content-Type: IMAGE/png; name=\"a \\\"b\"\nContent-Disposition: attachment; filename=\"f\xfc\"\nContent-MD5: q==\n" +
		"Content-ID: <i@d>\nContent-Description: d\nContent-Location: http://x/\nContent-Transfer-Encoding: BASE64\n\nAAAA\n--x y--\n"
	const want = `(("IMAGE" "png" ("name" "a \"b") "<i@d>" "d" "BASE64" 4 "q==" ("attachment" ("filename" {2}` + "\r\nf\xfc" +
		`)) NIL "http://x/") "mixed" ("boundary" "x y") NIL ("en" "de") NIL)`
	if got := string(AppendBodyStructure(nil, parse(t, msg), true)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// CVE-2020-12100: deep nesting and very many parts must cost little.
func TestStructureLimits(t *testing.T) {
	lim := DefaultLimits()
	var deep, many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	many.WriteString("Content-Type: multipart/mixed; boundary=b\n\n")
	for range 30_000 {
		many.WriteString("--b\n\n")
	}
	depth := 0
	for p := parse(t, deep.String()); p != nil; depth++ {
		if len(p.Children) == 0 {
			break
		}
		p = p.Children[0]
	}
	if depth != lim.Depth {
		t.Errorf("depth %d, the limit is %d", depth, lim.Depth)
	}
	n := 0
	for range parse(t, many.String()).Walk() {
		n++
	}
	if n != lim.Parts {
		t.Errorf("%d parts, the limit is %d", n, lim.Parts)
	}
}

// CVE-2024-23185: a huge header is cut, not refused; what follows is found.
func TestHugeHeaderIsCut(t *testing.T) {
	lim := DefaultLimits()
	lim.HeaderBytes = 1000
	msg := "Subject: kept\n" + strings.Repeat("X: "+strings.Repeat("y", 90)+"\n", 50) + "To: lost@x\n\nbody\n"
	p, err := ParseStructure(strings.NewReader(msg), lim)
	if err != nil || p.BodyVSize != 6 || !bytes.Contains(p.Envelope, []byte("kept")) || bytes.Contains(p.Envelope, []byte("lost")) {
		t.Fatalf("%v %+v %s", err, p, p.Envelope)
	}
}

// A line longer than any buffer is still one header field.
func TestLongHeaderLine(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		long := strings.Repeat("a", 100_000)
		p := parse(t, "Subject: "+long+end+"From: x@y"+end+end+strings.Repeat("b", 40_000)+end+"c"+end)
		if !bytes.Contains(p.Envelope, []byte("{100000}\r\n"+long+" ")) || !bytes.Contains(p.Envelope, []byte(`"x" "y"`)) {
			t.Errorf("envelope lost a field: %d bytes", len(p.Envelope))
		}
		if p.BodyVSize != 40_005 || p.BodyLines != 2 {
			t.Errorf("body %d bytes, %d lines", p.BodyVSize, p.BodyLines)
		}
	}
}

// genMessage makes messages of the pieces that matter to a MIME parser.
func genMessage(t *rapid.T) string {
	pieces := []string{
		"\n", "\n", "\r\n", "\r", "--a", "--b", "--ab", "--", "a", "text ", " ", "--a\n", "--a--\n", "--ab\n", "--b\r\n", "\n\n",
		"Content-Type: multipart/mixed; boundary=a\n", "Content-Type: multipart/digest; boundary=ab\r\n", "Content-Type: message/rfc822\n",
		"Content-Type: multipart/x; boundary=\"b\"\n\n", "Subject: x\n", "To: a@b, \"c\nd\" <e@f>\n", "\x00", "\xff", strings.Repeat("long", 5000),
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 60).Draw(t, "pieces"), "")
}

// checkTiling proves the promises of doc.go for one tree.
func checkTiling(msg []byte, p *Part, lo, hi int64) error {
	if p.HeaderStart < lo || p.BodyStart < p.HeaderStart || p.BodyEnd < p.BodyStart || p.BodyEnd > hi {
		return fmt.Errorf("part [%d %d %d] outside [%d %d]", p.HeaderStart, p.BodyStart, p.BodyEnd, lo, hi)
	}
	for _, r := range []struct{ a, b, v, l int64 }{
		{p.HeaderStart, p.BodyStart, p.HeaderVSize, p.HeaderLines}, {p.BodyStart, p.BodyEnd, p.BodyVSize, p.BodyLines},
	} {
		size, vsize, lines, err := Count(bytes.NewReader(msg[r.a:r.b]))
		if err != nil || size != r.b-r.a || vsize != r.v || lines != r.l {
			return fmt.Errorf("range [%d %d]: %d %d %d, part says %d %d", r.a, r.b, size, vsize, lines, r.v, r.l)
		}
	}
	at := p.BodyStart
	for _, c := range p.Children {
		if err := checkTiling(msg, c, at, p.BodyEnd); err != nil {
			return err
		}
		at = c.BodyEnd
	}
	if p.Message != nil {
		if p.Message.HeaderStart != p.BodyStart || p.Message.BodyEnd != p.BodyEnd {
			return fmt.Errorf("embedded message [%d %d] does not fill [%d %d]", p.Message.HeaderStart, p.Message.BodyEnd, p.BodyStart, p.BodyEnd)
		}
		return checkTiling(msg, p.Message, p.BodyStart, p.BodyEnd)
	}
	return nil
}

func TestStructureTilesTheMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg := genMessage(t)
		p, err := ParseStructure(iotestOneByOne(t, msg), DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if p.HeaderStart != 0 || p.BodyEnd != int64(len(msg)) {
			t.Fatalf("root is [%d %d] of %d", p.HeaderStart, p.BodyEnd, len(msg))
		}
		if err := checkTiling([]byte(msg), p, 0, int64(len(msg))); err != nil {
			t.Fatal(err)
		}
		if m, err := ParseStructure(inMemory(msg), DefaultLimits()); err != nil || !reflect.DeepEqual(m, p) {
			t.Fatalf("in memory it is\n%+v, streamed\n%+v", m, p)
		}
	})
}

func FuzzStructure(f *testing.F) {
	for _, c := range structures {
		f.Add([]byte(c.msg))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		p, err := ParseStructure(bytes.NewReader(msg), DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if err := checkTiling(msg, p, 0, int64(len(msg))); err != nil {
			t.Fatal(err)
		}
		checkWire(t, AppendBodyStructure(nil, p, true))
		checkWire(t, p.Envelope)
		p.FileName()
		if m, err := ParseStructure(inMemory(string(msg)), DefaultLimits()); err != nil || !reflect.DeepEqual(m, p) {
			t.Fatalf("in memory it is\n%+v, streamed\n%+v", m, p)
		}
	})
}
