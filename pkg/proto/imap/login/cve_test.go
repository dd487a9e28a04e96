package login

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// The holes that others had in IMAP before login, by name. Whatever a stranger
// sends is answered or ends the connection, costs little, and disturbs nobody
// else: a login on another connection goes through meanwhile.
func TestCVE(t *testing.T) {
	for _, c := range []struct {
		name, input string
		want        []string // in the answers
		ends        bool     // the connection is closed
	}{
		{
			"CVE-2026-27857 CVE-2026-42006 parentheses without end", "a1 ID " + strings.Repeat("(", 100_000) + "\r\n",
			[]string{"BAD "},
			false,
		},
		{"CVE-2019-11500 NUL", "a1 LOGIN \"al\x00ice\" x\r\na2 LOGIN {3+}\r\na\x00b x\r\n", []string{"a1 BAD ", "a2 BAD "}, false},
		{
			"CVE-2017-15132 CVE-2019-11494 exchanges that break off", "a1 AUTHENTICATE PLAIN\r\n*\r\na2 AUTHENTICATE LOGIN\r\nYWxpY2U=\r\n*\r\na3 LOGIN alice secret\r\n",
			[]string{"a1 BAD ", "a2 BAD ", "LOGIN a3 PLAIN alice@example.org"},
			false,
		},
		{
			"CVE-2019-11499 CVE-2020-12673 CVE-2025-59028 garbage in exchanges", "a1 AUTHENTICATE PLAIN !!!!\r\na2 AUTHENTICATE PLAIN AA==\r\na3 LOGIN alice secret\r\n",
			[]string{"a1 BAD ", "a2 BAD ", "LOGIN a3 PLAIN alice@example.org"},
			false,
		},
		{
			"CVE-2020-12674 an answer of no bytes", "a1 AUTHENTICATE SCRAM-SHA-256 =\r\na2 LOGIN alice secret\r\n",
			[]string{"a1 NO ", "LOGIN a2 PLAIN alice@example.org"},
			false,
		},
		{
			"CVE-2019-10691 CVE-2020-7046 user names that are no UTF-8", "a1 LOGIN \"\xff\xfe\xc3\" secret\r\na2 LOGIN {3+}\r\n\xed\xa0\x80 secret\r\na3 LOGIN alice secret\r\n",
			[]string{"a1 NO ", "a2 NO ", "LOGIN a3 PLAIN alice@example.org"},
			false,
		},
		{"CVE-2026-27858 a literal without end", "a1 LOGIN {4000000000+}\r\nxxxx", []string{"* BYE "}, true},
		{"CVE-2026-27858 many literals", "a1 LOGIN {5000+}\r\n" + strings.Repeat("x", 5000) + " {5000+}\r\n" + strings.Repeat("y", 5000) + "\r\n", []string{"a1 BAD "}, false},
		{"a line without end", "a1 LOGIN " + strings.Repeat("x", 1<<20), []string{"* BYE "}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := Options{Auth: asker{}, Greeting: "ready", Secured: true}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			conn := serve(ctx, t, opt)
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			go func() {
				_, _ = io.WriteString(conn, c.input)
				if !c.ends {
					_, _ = io.WriteString(conn, "z LOGOUT\r\n")
				}
			}()
			out, _ := io.ReadAll(conn)
			for _, w := range c.want {
				if !strings.Contains(string(out), w) {
					t.Errorf("no %q in %q", w, out)
				}
			}
			other := serve(ctx, t, opt)
			defer other.Close()
			_ = other.SetDeadline(time.Now().Add(30 * time.Second))
			_, _ = io.WriteString(other, "b LOGIN alice secret\r\n")
			if got, _ := io.ReadAll(other); !strings.Contains(string(got), "LOGIN b PLAIN alice@example.org") {
				t.Errorf("the other connection: %q", got)
			}
		})
	}
}
