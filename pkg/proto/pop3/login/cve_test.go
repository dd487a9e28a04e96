package login

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// The holes that others had before login, by name, in POP3: whatever a stranger
// sends is answered or ends the connection, lets nobody in, and does not keep
// the right password from being taken afterwards. The ones of IMAP are in
// package imap/login.
func TestCVE(t *testing.T) {
	const right = "USER alice\r\nPASS correct horse\r\n"
	for _, c := range []struct {
		name, input string
		errors      int  // answers that say no
		ends        bool // the connection is closed before the right password
	}{
		{"CVE-2017-15132 CVE-2019-11494 exchanges that break off", "AUTH PLAIN\r\n*\r\nAUTH SCRAM-SHA-256\r\n*\r\n", 2, false},
		{"CVE-2019-11499 CVE-2020-12673 CVE-2025-59028 garbage in exchanges", "AUTH PLAIN !!!!\r\nAUTH PLAIN AA==\r\n", 2, false},
		{"CVE-2020-12674 an answer of no bytes", "AUTH SCRAM-SHA-256 =\r\n", 1, false},
		{"CVE-2019-10691 CVE-2020-7046 user names that are no UTF-8", "USER \xff\xfe\xc3\r\nPASS correct horse\r\nUSER \xed\xa0\x80\r\nPASS x\r\n", 2, false},
		{"CVE-2019-11500 NUL", "USER al\x00ice\r\nPASS correct\x00 horse\r\n", 2, false},
		{"CVE-2016-8652 CVE-2017-2669 a name to be expanded", "USER %{user}%u%{%{%{" + strings.Repeat("%u", 1000) + "\r\nPASS x\r\n", 1, false},
		{"CVE-2026-27858 a line without end", "USER " + strings.Repeat("x", 1<<20), 0, true},
		{"CVE-2026-27858 an answer without end", "AUTH PLAIN\r\n" + strings.Repeat("A", 1<<20), 0, true},
		{"APOP without a name", "APOP\r\nAPOP  \r\n", 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := net.Pipe()
			_ = client.SetDeadline(time.Now().Add(30 * time.Second))
			ended := make(chan Outcome, 1)
			go func() {
				ended <- New(server, Options{Auth: auth{}, Greeting: "x", Secured: true, Challenge: challenge}).Run(context.Background())
				server.Close()
			}()
			go func() { _, _ = io.WriteString(client, c.input+right) }()
			out, _ := io.ReadAll(client)
			o := <-ended
			if c.ends != (o.Success == nil) || o.Success != nil && o.User != "alice" {
				t.Errorf("%+v after %.300q", o, out)
			}
			if got := strings.Count(string(out), "-ERR"); got < c.errors {
				t.Errorf("%d refusals, want %d: %.300q", got, c.errors, out)
			}
		})
	}
}
