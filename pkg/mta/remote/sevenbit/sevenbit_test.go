package sevenbit

import (
	"bytes"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func convert(text string) (string, error) {
	b, err := io.ReadAll(NewReader(strings.NewReader(text)))
	return string(b), err
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestConversion(t *testing.T) {
	long := strings.Repeat("ü", 30)
	for name, tc := range map[string]struct{ in, want string }{
		"7bit":       {"Subject: x\n\nplain = \n", "Subject: x\n\nplain = \n"},
		"unlabelled": {"Subject: ü\n\nGrüße\n", "Subject: ü\n\nGrüße\n"},
		"single": {
			"Subject: ü\nContent-Transfer-Encoding: 8BIT\nX: y\n\nGrüße = \n\tend\t\n.\nFrom \n",
			"Subject: ü\nContent-Transfer-Encoding: quoted-printable\nX: y\n\nGr=C3=BC=C3=9Fe =3D=20\n\tend=09\n.\nFrom=20\n",
		},
		"binary":      {"Content-Transfer-Encoding: binary\n\na\x00b\x7f", "Content-Transfer-Encoding: quoted-printable\n\na=00b=7F"},
		"folded":      {"Content-Transfer-Encoding:\n\t8bit\nContent-Transfer-Encoding: 8bit\n\nü", "Content-Transfer-Encoding: quoted-printable\n\n=C3=BC"},
		"no body":     {"Content-Transfer-Encoding: 8bit\n", "Content-Transfer-Encoding: 8bit\n"},
		"base64":      {"Content-Transfer-Encoding: base64\n\nZ=\n", "Content-Transfer-Encoding: base64\n\nZ=\n"},
		"soft breaks": {"Content-Transfer-Encoding: 8bit\n\n" + long + "\n", "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("=C3=BC", 12) + "=C3=\n" + strings.Repeat("=BC=C3", 12) + "=BC=\n" + strings.Repeat("=C3=BC", 5) + "\n"},
		"multipart": {
			`Content-Type: multipart/mixed; boundary="b 1"
Content-Transfer-Encoding: 8bit

préambule
--b 1
Content-Type: multipart/alternative; boundary=b2

--b2
Content-Transfer-Encoding: 8bit

é
--b2
Content-Transfer-Encoding: quoted-printable

=C3=A9
--b2--
épilogue
--b 1
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inner
Content-Transfer-Encoding: 8bit

--b3 é
--b 1--
é
`, `Content-Type: multipart/mixed; boundary="b 1"
Content-Transfer-Encoding: 7bit

préambule
--b 1
Content-Type: multipart/alternative; boundary=b2

--b2
Content-Transfer-Encoding: quoted-printable

=C3=A9
--b2
Content-Transfer-Encoding: quoted-printable

=C3=A9
--b2--
épilogue
--b 1
Content-Type: message/rfc822
Content-Transfer-Encoding: 7bit

Subject: inner
Content-Transfer-Encoding: quoted-printable

--b3 =C3=A9
--b 1--
é
`,
		},
		"digest": {
			"Content-Type: multipart/digest; boundary=d\n\n--d\n\nContent-Transfer-Encoding: 8bit\n\né\n--d--\n",
			"Content-Type: multipart/digest; boundary=d\n\n--d\n\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9\n--d--\n",
		},
		"boundary in a header": {
			"Content-Type: multipart/mixed; boundary=d\n\n--d\nContent-Transfer-Encoding: 8bit\n--d\n\né\n--d--\n",
			"Content-Type: multipart/mixed; boundary=d\n\n--d\nContent-Transfer-Encoding: 8bit\n--d\n\né\n--d--\n",
		},
		"partial, 7-bit": {
			"Content-Type: message/partial; id=x\nContent-Transfer-Encoding: 8bit\n\nabc\n",
			"Content-Type: message/partial; id=x\nContent-Transfer-Encoding: 7bit\n\nabc\n",
		},
	} {
		got, err := convert(crlf(tc.in))
		if err != nil || got != crlf(tc.want) {
			t.Errorf("%s: %v\n%q\nwant\n%q", name, err, got, crlf(tc.want))
		}
		if name == "no body" || name == "binary" {
			continue
		}
		if got, _ := convert(tc.in); strings.ReplaceAll(got, "\r\n", "\n") != tc.want {
			t.Errorf("%s, LF: %q", name, got)
		}
		b, err := io.ReadAll(NewReader(iotest.OneByteReader(strings.NewReader(crlf(tc.in)))))
		if err != nil || string(b) != crlf(tc.want) {
			t.Errorf("%s, byte by byte: %q, %v", name, b, err)
		}
	}
}

func TestCannotBeConverted(t *testing.T) {
	deep := ""
	for i := range maxDepth + 1 {
		deep += "Content-Type: multipart/mixed; boundary=b" + strings.Repeat("x", i) + "\n\n--b" + strings.Repeat("x", i) + "\n"
	}
	for name, in := range map[string]string{
		"partial": "Content-Type: message/partial; id=x\nContent-Transfer-Encoding: 8bit\n\né\n",
		"deep":    deep + "\n",
		"nested":  strings.Repeat("Content-Type: message/rfc822\n\n", maxDepth+1),
		"header":  "X: " + strings.Repeat("x", maxHeader) + "\n\n",
	} {
		if _, err := convert(crlf(in)); !fail.Is(err, fail.Permanent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("damaged")
	if _, err := io.ReadAll(NewReader(iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// Whatever a body holds, its lines come out as another decoder reads them, and
// nothing else than 7-bit lines of at most 76 columns is sent.
func FuzzQuoted(f *testing.F) {
	f.Add([]byte("Grüße \t\r\n=\r\n"), 3)
	f.Add(bytes.Repeat([]byte{0xff, ' '}, 100), 7)
	f.Fuzz(func(t *testing.T, body []byte, size int) {
		head := "Content-Transfer-Encoding: 8bit\r\n\r\n"
		in := io.MultiReader(strings.NewReader(head), bytes.NewReader(body))
		out, err := io.ReadAll(NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		text, ok := bytes.CutPrefix(out, []byte("Content-Transfer-Encoding: quoted-printable\r\n\r\n"))
		if !ok {
			t.Fatalf("%q", out)
		}
		for _, line := range bytes.Split(text, []byte("\r\n")) {
			if len(line) > maxColumn || bytes.HasSuffix(line, []byte(" ")) || bytes.ContainsFunc(line, func(r rune) bool { return r >= 0x7f || r < ' ' && r != '\t' }) {
				t.Fatalf("line %q", line)
			}
		}
		decoded, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(text)))
		want := bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		if err != nil || !bytes.Equal(decoded, want) {
			t.Fatalf("%q became %q, %v", want, decoded, err)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add("Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8bit\n\n--b\nContent-Transfer-Encoding: 8bit\n\né\n--b--\n")
	f.Fuzz(func(t *testing.T, text string) {
		whole, err := convert(text)
		if len(whole) > 5*len(text)+100 {
			t.Fatalf("%d bytes became %d", len(text), len(whole))
		}
		pieces, err2 := io.ReadAll(NewReader(iotest.HalfReader(strings.NewReader(text))))
		if whole != string(pieces) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q in pieces: %q and %q", text, whole, pieces)
		}
	})
}

// A host without SMTPUTF8 gets the parts of RFC 6533 encoded, and all else of a
// notification as it is.
func TestGlobalParts(t *testing.T) {
	in := `Content-Type: multipart/report; report-type=delivery-status; boundary=b
Content-Transfer-Encoding: 8bit

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

<böb@example.net>
--b
Content-Type: message/global-delivery-status
Content-Transfer-Encoding: 8bit

Final-Recipient: utf-8; böb@example.net
--b
Content-Type: message/%s
Content-Transfer-Encoding: 8bit

Subject: ü
Content-Transfer-Encoding: 8bit

ü
--b--
`
	for kind, want := range map[string]string{
		"global":         "Content-Transfer-Encoding: quoted-printable\n\nSubject: =C3=BC\nContent-Transfer-Encoding: 8bit\n\n=C3=BC\n",
		"global-headers": "Content-Transfer-Encoding: quoted-printable\n\nSubject: =C3=BC\nContent-Transfer-Encoding: 8bit\n\n=C3=BC\n",
		"rfc822":         "Content-Transfer-Encoding: 8bit\n\nSubject: ü\nContent-Transfer-Encoding: 8bit\n\nü\n",
	} {
		b, err := io.ReadAll(NewGlobalReader(strings.NewReader(crlf(strings.Replace(in, "%s", kind, 1)))))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(string(b), "\r\n", "\n")
		head := "Content-Type: multipart/report; report-type=delivery-status; boundary=b\nContent-Transfer-Encoding: 8bit\n\n--b\n" +
			"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n<böb@example.net>\n--b\n" +
			"Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: quoted-printable\n\nFinal-Recipient: utf-8; b=C3=B6b@example.net\n--b\n"
		if got != head+"Content-Type: message/"+kind+"\n"+want+"--b--\n" {
			t.Errorf("%s: %s", kind, got)
		}
	}
}
