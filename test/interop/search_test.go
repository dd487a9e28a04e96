//go:build interop

package interop

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// SEARCH, SORT and THREAD over one corpus of odd messages, by our imapd and by
// Dovecot: what they find, and in which order, must be the same.
func TestSearchAgreesWithDovecot(t *testing.T) {
	s := start(t, nil)
	a := s.Accounts[0]
	ours := dialIMAP(t, s.Addr(993), s.Path("etc/tls/cert.pem"))
	ours.login(a)

	dir, err := os.MkdirTemp("", "search")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	run(t, "", "chmod", "755", dir)
	run(t, "", "install", "-d", "-o", "65534", "-g", "65534", "-m", "2770", dir+"/mail")
	d := serveMail(t, s.Accounts, dir+"/mail/%n", "maildir:~/Maildir")
	theirs := dialIMAP(t, fmt.Sprintf("127.0.0.1:%d", d.port), "")
	theirs.login(a)

	for _, c := range []*imapConn{ours, theirs} {
		c.must("CREATE Broken")
		c.append("INBOX", oddMail())
		c.append("Broken", brokenMail())
	}
	total := compare(t, ours, theirs, "INBOX", searchCommands(), knownInOdd())
	total += compare(t, ours, theirs, "Broken", brokenCommands(), knownInBroken())
	if total < 200 {
		t.Errorf("only %d commands were compared", total)
	}
	t.Logf("%d commands were compared", total)
}

// compare gives both servers the same commands. known says in which Dovecot's
// answer is another, and why.
func compare(t *testing.T, ours, theirs *imapConn, mailbox string, commands []string, known map[string]string) int {
	t.Helper()
	for _, c := range []*imapConn{ours, theirs} {
		c.must("SELECT " + mailbox)
	}
	for _, command := range commands {
		got, want := ours.answer(command), theirs.answer(command)
		reason, listed := known[command]
		switch {
		case got == want && listed:
			t.Errorf("%s: listed as different (%s), but is not", command, reason)
		case got != want && !listed:
			t.Errorf("%s: %s\nours:    %s\nDovecot: %s", mailbox, command, got, want)
		}
		delete(known, command)
	}
	for command := range known {
		t.Errorf("%s: listed, but not asked", command)
	}
	return len(commands)
}

// imapConn is a raw IMAP connection.
type imapConn struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	n    int
}

// dialIMAP connects, by TLS if there is a file with the certificate to trust.
func dialIMAP(t *testing.T, addr, cert string) *imapConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	if cert != "" {
		pem, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		conn = tls.Client(conn, &tls.Config{RootCAs: pool, InsecureSkipVerify: true}) //nolint:gosec // a test's own server
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &imapConn{t: t, conn: conn, r: bufio.NewReader(conn)}
	c.line() // greeting
	return c
}

func (c *imapConn) line() string {
	c.t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	l, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimRight(l, "\r\n")
}

func (c *imapConn) login(a suite.Account) { c.must("LOGIN " + a.Name + " " + a.Password) }

// send sends a command and returns the untagged lines and the tagged one,
// without its tag.
func (c *imapConn) send(command string) (untagged []string, tagged string) {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("t%d", c.n)
	if _, err := io.WriteString(c.conn, tag+" "+command+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	for {
		l := c.line()
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, strings.ReplaceAll(l, tag, "TAG"))
	}
}

func (c *imapConn) must(command string) {
	c.t.Helper()
	if _, tagged := c.send(command); !strings.HasPrefix(tagged, "OK") {
		c.t.Fatalf("%s: %s", command[:min(len(command), 80)], tagged)
	}
}

// answer is what a command comes to: its data and whether it went well.
func (c *imapConn) answer(command string) string {
	var out []string
	untagged, tagged := c.send(command)
	for _, l := range untagged {
		switch words := strings.Fields(l); words[1] {
		case "SEARCH", "SORT":
			out = append(out, strings.TrimPrefix(l, "* "))
		case "THREAD":
			if strings.Contains(command, "THREAD REFS") {
				l = threadsInAnyOrder(l)
			}
			out = append(out, strings.TrimPrefix(l, "* "))
		case "ESEARCH": // items in any order
			out = append(out, esearch(words[4:]))
		}
	}
	status, rest, _ := strings.Cut(tagged, " ")
	if status == "BAD" { // many in a row end a session
		c.must("NOOP")
	}
	if code, _, found := strings.Cut(rest, "]"); found && status == "NO" {
		status += " " + strings.Fields(code)[0]
	}
	return strings.Join(append(out, status), " ")
}

// threadsInAnyOrder sorts the threads of an answer. REFS is to order them by
// the message that arrived last in each (draft-ietf-morg-inthread section 4);
// Dovecot goes by the one that was sent last.
func threadsInAnyOrder(answer string) string {
	var all []string
	depth, from := 0, 0
	for i, c := range answer {
		switch c {
		case '(':
			if depth++; depth == 1 {
				from = i
			}
		case ')':
			if depth--; depth == 0 {
				all = append(all, answer[from:i+1])
			}
		}
	}
	slices.Sort(all)
	return "* THREAD " + strings.Join(all, "")
}

func esearch(words []string) string {
	var items []string
	for len(words) > 0 {
		n := min(2, len(words))
		if words[0] == "UID" {
			n = 1
		}
		items = append(items, strings.Join(words[:n], " "))
		words = words[n:]
	}
	slices.Sort(items)
	return "ESEARCH " + strings.Join(items, " ")
}

func (c *imapConn) append(mailbox string, mails []string) {
	c.t.Helper()
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, m := range mails {
		// Neither the order of arrival nor that of the zone.
		at := begin.Add(time.Duration(i*7919%101) * 7 * time.Hour).In(time.FixedZone("", (i%5-2)*3600))
		text := strings.ReplaceAll(m, "\n", "\r\n")
		flags := []string{"", `\Seen`, `\Flagged work`, `\Answered \Seen $Junk`, `\Deleted`, `\Draft Work`}[i%6]
		c.must(fmt.Sprintf("APPEND %s (%s) \"%s\" {%d+}\r\n%s", mailbox, flags, at.Format("_2-Jan-2006 15:04:05 -0700"), len(text), text))
	}
}
