package whole

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postcote/postcote/test/suite"
)

// One message from the Internet to a mailbox to a client.
func TestWalk(t *testing.T) {
	s := start(t, suite.Options{})
	alice := s.Accounts[0]
	c := login(t, s, alice)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := send(s.Addr(25), "x@elsewhere.test", "Alice+detail@DEMO.test", letter(alice.Name, "walk")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "delivery", func() bool { return subjects(s, "alice")["walk"] == 1 })
	// A session that is open sees it too.
	eventually(t, "the open session sees the message", func() bool {
		if err := c.Noop().Wait(); err != nil {
			t.Fatal(err)
		}
		mbox := c.Mailbox()
		return mbox != nil && mbox.NumMessages == 1
	})
	text := fetchText(t, c)
	for _, want := range []string{
		"Return-Path: <x@elsewhere.test>\r\n", "Delivered-To: ", "Received: from ", "by mail.demo.test", "Subject: walk\r\n", "\r\n\r\nbody of walk\r\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	checkPOP3(t, s, alice, text)
}

func fetchText(t *testing.T, c *imapclient.Client) string {
	t.Helper()
	section := &imap.FetchItemBodySection{}
	msgs, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{UID: true, Flags: true, Envelope: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil || len(msgs) != 1 {
		t.Fatalf("%d messages, %v", len(msgs), err)
	}
	if msgs[0].Envelope.Subject != "walk" || msgs[0].UID != 1 {
		t.Errorf("envelope %+v uid %d", msgs[0].Envelope, msgs[0].UID)
	}
	return string(msgs[0].FindBodySection(section))
}

// POP3 shows the same bytes.
func checkPOP3(t *testing.T, s *suite.Suite, a suite.Account, want string) {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addr(995), trust(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(conn)
	ask := func(cmd string) string {
		if cmd != "" {
			fmt.Fprintf(conn, "%s\r\n", cmd)
		}
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "+OK") {
			t.Fatalf("POP3 %s: %q %v", cmd, line, err)
		}
		return line
	}
	ask("")
	ask("USER " + a.Name)
	ask("PASS " + a.Password)
	if got := ask("LIST 1"); !strings.HasPrefix(got, fmt.Sprintf("+OK 1 %d", len(want))) {
		t.Errorf("LIST 1: %q, want %d octets", got, len(want))
	}
	ask("RETR 1")
	body := make([]byte, len(want))
	if _, err := io.ReadFull(r, body); err != nil || string(body) != want {
		t.Errorf("RETR differs from FETCH: %v\n%s", err, body)
	}
}

// IDLE hears of a delivery without asking.
func TestIdlePush(t *testing.T) {
	s := start(t, suite.Options{})
	news := make(chan uint32, 8)
	c, err := imapclient.DialTLS(s.Addr(993), &imapclient.Options{
		TLSConfig: trust(t, s),
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				news <- *d.NumMessages
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(s.Accounts[0].Name, s.Accounts[0].Password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	if err := send(s.Addr(25), "x@elsewhere.test", s.Accounts[0].Name, letter(s.Accounts[0].Name, "push")); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-news:
		if n != 1 {
			t.Errorf("EXISTS %d", n)
		}
	case <-time.After(patience):
		t.Error("IDLE heard nothing")
	}
	_ = idle.Close()
}

// Mail from a user to a user, and mail to nobody: refused at RCPT, no bounce.
func TestSubmission(t *testing.T) {
	s := start(t, suite.Options{})
	alice, bob := s.Accounts[0], s.Accounts[1]
	if err := submit(t, s, alice, bob.Name, letter(bob.Name, "from-alice")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bob has it", func() bool { return subjects(s, "bob")["from-alice"] == 1 })
	if err := submit(t, s, alice, "nobody@demo.test", letter(bob.Name, "x")); err == nil || !strings.Contains(err.Error(), "5.1.1") && !strings.Contains(err.Error(), "User unknown") {
		t.Errorf("unknown recipient: %v", err)
	}
	wrong := suite.Account{Name: alice.Name, Password: "wrong"}
	if err := submit(t, s, wrong, bob.Name, letter(bob.Name, "x")); err == nil {
		t.Error("a wrong password was accepted")
	}
}
