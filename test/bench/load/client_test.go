package load

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// scripted serves one connection from lines: "C: x" must come from the client
// next, "S: x" is sent, "S+ n" sends n bytes of a literal, "C+ n" takes n bytes.
// The test fails when the client says anything else.
func scripted(t *testing.T, script string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
		done <- play(nc, script)
	}()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.Close()
	})
	return l.Addr().String()
}

func play(nc net.Conn, script string) error {
	r := bufio.NewReader(nc)
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		what, rest, _ := strings.Cut(line, " ")
		var n int64
		switch what {
		case "C:":
			got, err := r.ReadString('\n')
			if err != nil || got != rest+"\r\n" {
				return fmt.Errorf("client said %q (%v), the script has %q", got, err, rest)
			}
		case "S:":
			if _, err := io.WriteString(nc, rest+"\r\n"); err != nil {
				return err
			}
		case "S+":
			_, _ = fmt.Sscan(rest, &n)
			if _, err := io.WriteString(nc, strings.Repeat("x", int(n))); err != nil {
				return err
			}
		case "C+":
			_, _ = fmt.Sscan(rest, &n)
			if _, err := io.CopyN(io.Discard, r, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestIMAP(t *testing.T) {
	address := scripted(t, `
		S: * OK ready
		C: a1 LOGIN u secret
		S: a1 OK in
		C: a2 SELECT INBOX
		S: * 17 EXISTS
		S: * OK [UIDVALIDITY 3] so
		S: a2 OK [READ-WRITE] selected
		C: a3 FETCH 1:2 (UID BODY.PEEK[])
		S: * 1 FETCH (UID 4 BODY[] {70000}
		S+ 70000
		S:  FLAGS ())
		S: * 2 FETCH (UID 5 BODY[] {0}
		S: )
		S: a3 OK fetched
		C: a4 SEARCH UNSEEN
		S: * SEARCH 2 3 5
		S: a4 OK searched
		C: a5 APPEND INBOX {5}
		S: + go on
		C+ 5
		C:
		S: * 18 EXISTS
		S: a5 OK appended
		C: a6 NOOP
		S: a6 NO not now
		C: a7 IDLE
		S: + idling
		S: * 19 EXISTS
		C: a8 LOGOUT
		S: * BYE
		S: a8 OK bye
	`)
	c, err := LoginIMAP(address, Options{Buffer: 1 << 10}, "u", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Command("SELECT INBOX"); err != nil || c.Exists != 17 {
		t.Errorf("%d messages, %v", c.Exists, err)
	}
	if err := c.Command("FETCH 1:2 (UID BODY.PEEK[])"); err != nil || c.Untagged != 2 || c.Bytes < 70000 {
		t.Errorf("%d answers, %d bytes, %v", c.Untagged, c.Bytes, err)
	}
	if err := c.Command("SEARCH UNSEEN"); err != nil || c.Hits != 3 {
		t.Errorf("%d hits, %v", c.Hits, err)
	}
	if err := c.Append("INBOX", []byte("12345")); err != nil || c.Exists != 18 {
		t.Errorf("%d messages, %v", c.Exists, err)
	}
	if err := c.Command("NOOP"); err == nil || !strings.Contains(err.Error(), "not now") {
		t.Errorf("a refusal gave %v", err)
	}
	if err := c.Idle(); err != nil {
		t.Error(err)
	}
	if err := c.Pushed(); err != nil {
		t.Error(err)
	}
	if err := c.Logout(); err != nil {
		t.Error(err)
	}
}

func TestIMAPGreetingRefused(t *testing.T) {
	if _, err := DialIMAP(scripted(t, "S: * BYE too many"), Options{}); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
}

func TestPOP3(t *testing.T) {
	address := scripted(t, `
		S: +OK ready
		C: USER u
		S: +OK
		C: PASS secret
		S: +OK
		C: UIDL
		S: +OK
		S: 1 a
		S: 2 b
		S: 3 c
		S: .
		C: RETR 1
		C: RETR 2
		S: +OK
		S: one
		S: ..
		S: .
		C: RETR 3
		S: +OK
		S: .
		S: +OK
		S: three
		S: .
		C: DELE 9
		S: -ERR no such message
		C: QUIT
		S: +OK
	`)
	c, err := LoginPOP3(address, Options{}, "u", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.List("UIDL"); err != nil || n != 3 {
		t.Errorf("%d lines, %v", n, err)
	}
	if err := c.Retrieve(3, 2); err != nil {
		t.Error(err)
	}
	if err := c.Command("DELE 9"); err == nil || !strings.Contains(err.Error(), "no such message") {
		t.Errorf("a refusal gave %v", err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}

func TestLMTP(t *testing.T) {
	address := scripted(t, `
		S: 220 ready
		C: LHLO load.test
		S: 250-here
		S: 250 PIPELINING
		C: MAIL FROM:<a@x>
		C: RCPT TO:<b@x>
		C: RCPT TO:<c@x>
		C: DATA
		S: 250 ok
		S: 250 ok
		S: 250 ok
		S: 354 go on
		C: hello
		C: ..
		C: .
		S: 250 b
		S: 250 c
		C: MAIL FROM:<a@x>
		C: RCPT TO:<nobody@x>
		C: DATA
		S: 250 ok
		S: 550 nobody here
	`)
	c, err := DialSMTP(address, true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := Stuffed([]byte("hello\r\n.\r\n"))
	if err := c.Send("a@x", []string{"b@x", "c@x"}, body); err != nil {
		t.Error(err)
	}
	if err := c.Send("a@x", []string{"nobody@x"}, body); err == nil || !strings.Contains(err.Error(), "nobody here") {
		t.Errorf("a refusal gave %v", err)
	}
}

// Client and sink agree on where messages end.
func TestSink(t *testing.T) {
	s, err := NewSink(false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := DialSMTP(s.Address(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one line\r\n", ".\r\n", "..\r\n.\r\n", strings.Repeat("long ", 10000) + "\r\n.\r\n", string(Message(3))} {
		if err := c.Send("a@x", []string{"b@x", "c@x"}, Stuffed([]byte(text))); err != nil {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	if got := s.Received(); got != 10 {
		t.Errorf("%d messages", got)
	}
}

// A silent sink takes the connection and says nothing; closing it hangs up.
func TestSilentSink(t *testing.T) {
	s, err := NewSink(true)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		_, err := DialSMTP(s.Address(), true)
		failed <- err
	}()
	select {
	case err := <-failed:
		t.Fatalf("an answer: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.Close()
	if err := <-failed; err == nil {
		t.Error("no error after the end")
	}
}
