package server

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// affordable bounds what a hostile message or command may cost here, race
// detector and a busy machine included; what it guards against took minutes,
// or all the memory there was.
const affordable = 30 * time.Second

// The holes that others had in IMAP after login, by name: the input must
// cost little, be answered, and leave the session usable. The ones before
// login are in package login, those of MIME in package message.
func TestCVE(t *testing.T) {
	const select1 = "a1 SELECT INBOX\r\n"
	for _, c := range []struct {
		name, message, commands string
		want                    []string // in the answers
	}{
		{
			"CVE-2026-27857 CVE-2026-42006 parentheses without end", "Subject: x\r\n\r\n",
			"a2 SEARCH " + strings.Repeat("(", 30_000) + "\r\na3 LIST " + strings.Repeat("(", 30_000) + "\r\na4 FETCH 1 " + strings.Repeat("(", 100) + "\r\na5 ID " + strings.Repeat("(", 100) + "\r\n",
			[]string{"\r\na2 BAD ", "\r\na3 BAD ", "\r\na4 BAD ", "\r\na5 BAD "},
		},
		{
			"CVE-2026-27857 NOT without end", "Subject: x\r\n\r\n",
			"a2 SEARCH " + strings.Repeat("NOT ", 10_000) + "ALL\r\na3 SEARCH " + strings.Repeat("OR ALL ", 5_000) + "ALL ALL\r\n",
			[]string{"\r\na2 BAD ", "\r\na3 BAD "},
		},
		{
			"CVE-2019-11500 NUL in strings", "Subject: x\r\n\r\n",
			"a2 STATUS \"IN\x00BOX\" (MESSAGES)\r\na3 SEARCH SUBJECT {3+}\r\na\x00b\r\na4 LIST \"\" \"\\\x00\"\r\n",
			[]string{"\r\na2 BAD ", "\r\na3 BAD ", "\r\na4 BAD "},
		},
		{
			"CVE-2017-14461 CVE-2019-19722 CVE-2024-23184 addresses without end",
			"To: " + strings.Repeat("a@example.org, ", 100_000) + "b@example.org\r\nCc: " + strings.Repeat("g:", 50_000) + "\r\nFrom: \"" + strings.Repeat("\\", 100_001) + "\r\n\r\n",
			"a2 FETCH 1 ENVELOPE\r\na3 SEARCH TO nobody FROM nobody\r\n",
			[]string{"* 1 FETCH (ENVELOPE (", "\r\na2 OK ", "\r\na3 OK "},
		},
		{
			"CVE-2024-23185 a header without end", "X-Long: " + strings.Repeat("y", 12<<20) + "\r\n" + strings.Repeat("X-Many: z\r\n", 100_000) + "\r\nbody\r\n",
			"a2 FETCH 1 (ENVELOPE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\na3 SEARCH HEADER X-Many q\r\n",
			[]string{"* 1 FETCH (", "\r\na2 OK ", "\r\na3 OK "},
		},
		{
			"CVE-2020-12100 CVE-2020-25275 parts within parts", nested(2000),
			"a2 FETCH 1 BODYSTRUCTURE\r\na3 FETCH 1 BODY.PEEK[" + strings.Repeat("1.", 99) + "1]\r\na4 FETCH 1 BODY.PEEK[" + strings.Repeat("1.", 2000) + "1]\r\na5 SEARCH BODY nothing\r\n",
			[]string{"* 1 FETCH (BODYSTRUCTURE (", "\r\na2 OK ", "\r\na3 ", "\r\na4 BAD ", "\r\na5 OK "},
		},
		{
			"CVE-2026-27859 parameters without end", "MIME-Version: 1.0\r\nContent-Type: text/plain" + parameters(50_000) + "\r\n\r\nx\r\n",
			"a2 FETCH 1 BODYSTRUCTURE\r\n",
			[]string{"* 1 FETCH (BODYSTRUCTURE (", "\r\na2 OK "},
		},
		{
			"CVE-2020-7957 a body that breaks off", "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<html><b<",
			"a2 FETCH 1 (BODYSTRUCTURE BODY.PEEK[1]<3.100> BODY.PEEK[TEXT])\r\n",
			[]string{"\r\na2 OK "},
		},
		{
			"CVE-2020-7957 a preview of nothing", "MIME-Version: 1.0\r\nContent-Type: text/html; charset=\"\r\n\r\n<!--" + strings.Repeat("<", 100_000) + "&#x110000;&#",
			"a2 FETCH 1 PREVIEW\r\na3 FETCH 1 (PREVIEW (LAZY))\r\n",
			[]string{"* 1 FETCH (PREVIEW ", "\r\na2 OK ", "\r\na3 OK "},
		},
		{
			"CVE-2025-59028 CVE-2020-10957 commands that break off", "Subject: x\r\n\r\n",
			"a2 NOOP \r\na3\r\na4 \r\na5 UID\r\na6 NOOP \"\"@x\r\n",
			[]string{"\r\na2 OK ", "a3 BAD ", "\r\na4 BAD ", "\r\na5 BAD ", "\r\na6 BAD "},
		},
		{
			"path traversal in names", "Subject: x\r\n\r\n",
			"a2 CREATE ../../x\r\na3 CREATE x/../../y\r\na4 STATUS ~root (MESSAGES)\r\na5 LIST \"../\" *\r\n",
			[]string{"\r\na2 NO ", "\r\na3 NO ", "\r\na4 NO ", "\r\na5 OK "},
		},
		{
			"CVE-2019-10691 CVE-2020-7046 names that are no UTF-8", "Subject: x\r\n\r\n",
			"a2 CREATE \"\xff\xfe\"\r\na3 STATUS {2+}\r\n\xc3\x28 (MESSAGES)\r\na4 LIST \"\" \"&AAA\"\r\na5 CREATE \"&2ADYAA-\"\r\n",
			[]string{"\r\na2 NO ", "\r\na3 NO ", "\r\na4 NO ", "\r\na5 NO "},
		},
		{
			"sets without end", "Subject: x\r\n\r\n",
			"a2 FETCH " + strings.Repeat("1,", 32_000) + "1 FLAGS\r\na3 UID FETCH 1:4294967295 FLAGS\r\na4 UID SEARCH UID " + strings.Repeat("1:*,", 15_000) + "1\r\n",
			[]string{"\r\na2 ", "\r\na3 OK ", "\r\na4 OK "},
		},
		{
			"patterns that explode", "Subject: x\r\n\r\n",
			"a2 LIST \"\" \"" + strings.Repeat("*a", 500) + "\"\r\na3 LIST \"\" (" + strings.Repeat("\"*%*%*\" ", 64) + "\"x\")\r\n",
			[]string{"\r\na2 OK ", "\r\na3 BAD "},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newFakeAccount()
			a.boxes["INBOX"].deliver(c.message, a.now, Row{})
			began := time.Now()
			out, sum := talk(t, New(Config{}), Start{Tag: "a0", Account: a}, select1+c.commands+"z NOOP\r\n", nil)
			if took := time.Since(began); took > affordable {
				t.Errorf("it took %v", took)
			}
			if f, isFault := sum.Err.(*Fault); isFault {
				t.Fatalf("%v\n%s", f.Value, f.Stack)
			}
			for _, w := range append(c.want, "\r\nz OK ") {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in %.2000q", w, out)
				}
			}
		})
	}
}

// nested is a message of parts n deep.
func nested(n int) string {
	var b bytes.Buffer
	b.WriteString("MIME-Version: 1.0\r\n")
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\nx\r\n")
	return b.String()
}

// parameters are n continuations of one parameter (RFC 2231).
func parameters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ";\r\n name*%d*=%%41", i)
	}
	return b.String()
}
