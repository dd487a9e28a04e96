package client

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// canned is a server that says what it has to say, whatever it is told, and
// closes its side.
type canned struct {
	in   *bytes.Reader
	step int // octets per read
	out  bytes.Buffer
}

func (c *canned) Read(p []byte) (int, error)       { return c.in.Read(p[:min(len(p), c.step)]) }
func (c *canned) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *canned) Close() error                     { return nil }
func (c *canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// A server that has said more than it was asked is not used again: its words
// would be taken for answers about the next message.
func TestUnaskedReply(t *testing.T) {
	for extra, want := range map[string]error{"": nil, "250 and once more\r\n": ErrClosed, "2": ErrClosed} {
		first := "220 mx\r\n250-mx\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n" + extra
		conn := &canned{in: bytes.NewReader([]byte(first)), step: len(first)}
		c, err := New(context.Background(), conn, Config{Name: "client.test"})
		if err != nil {
			t.Fatal(err)
		}
		env := envelope(t, "a@b.example", "c@d.example")
		if results, err := c.Send(context.Background(), env, strings.NewReader("x\r\n")); err != nil || !results[0].Sent() {
			t.Fatalf("%+v, %v", results, err)
		}
		conn.in, conn.step = bytes.NewReader([]byte("250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n")), 7
		said := conn.out.Len()
		results, err := c.Send(context.Background(), env, strings.NewReader("x\r\n"))
		if err != want || results[0].Sent() != (want == nil) || want != nil && (conn.out.Len() != said || c.Usable()) {
			t.Errorf("%q: %+v, %v", extra, results, err)
		}
	}
}

// finals counts the replies in a text that could be ends of replies with a
// code of a class: a reading that knows nothing of the client's.
func finals(text string, class byte) (n int) {
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if len(line) >= 3 && line[0] == class && (len(line) == 3 || line[3] != '-') {
			n++
		}
	}
	return n
}

// FuzzServer: a server says anything at all. What the client sends is lines,
// and a recipient counts as served only after the server has said enough for
// that and the whole message has been sent.
func FuzzServer(f *testing.F) {
	const greeting = "220 mx ESMTP\r\n250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-SIZE 100\r\n250 DSN\r\n"
	for _, s := range []string{
		greeting + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n250 ok\r\n250 ok\r\n221 bye\r\n",
		greeting + "250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n452 full\r\n",
		greeting + "250 ok\r\n550 no\r\n550 no\r\n354 go\r\n250 nothing\r\n",
		greeting + "421 4.3.2 away\r\n",
		greeting + "150 what\r\n350 what\r\n250 ok\r\n354 go\r\n150 what\r\n",
		"220 mx\r\n500 what\r\n250 mx\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n",
		"220-mx\r\n220 mx\r\n250 mx\r\n250 ok\r\n250 ok\r\n250 ok\r\n354-go\r\n354 on\r\n250 first\r\n450 second\r\n",
		"554 go away\r\n", "", "220 mx\n250-a\n551 b\n", "\xff\r\n",
		"220 mx\r\n250-mx\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 chunk\r\n250 ok\r\n",
		"220 mx\r\n250-mx\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n250 ok\r\n502 chunk?\r\n",
	} {
		for mode := range uint8(4) {
			f.Add(mode, s)
		}
	}
	const content = "Subject: x\r\n\r\n.dot\r\n..\r\nend\r\n"
	f.Fuzz(func(t *testing.T, mode uint8, says string) {
		conn := &canned{in: bytes.NewReader([]byte(says)), step: 7}
		env := envelope(t, "a@b.example", "c@d.example", "e@f.example")
		env.Chunks = mode&2 != 0
		env.Size = int64(len(content))
		lmtp := mode&1 != 0
		served := 0
		c, err := New(context.Background(), conn, Config{Name: "client.test", LMTP: lmtp})
		for round := 0; err == nil && round < 2; round++ {
			var results []Result
			if results, err = c.Send(context.Background(), env, strings.NewReader(content)); len(results) != len(env.To) {
				t.Fatalf("%d results", len(results))
			}
			any := false
			for _, r := range results {
				any = any || r.Sent()
				if r.Code != 0 && (r.Code < 100 || r.Code > 599) || r.Sent() && r.Code/100 != 2 {
					t.Fatalf("a result of code %d", r.Code)
				}
			}
			if any {
				served++
			}
		}
		if c != nil {
			_ = c.Quit(context.Background())
		}
		sent := conn.out.String()
		whole := strings.Count(sent, "\r\n"+strings.ReplaceAll("\r\n"+content, "\r\n.", "\r\n..")[2:]+".\r\n") + strings.Count(sent, " LAST\r\n"+content)
		// Greeting and EHLO; for each message MAIL, a recipient and the end.
		if served > whole || served > 0 && finals(says, '2') < 2+3*served {
			t.Fatalf("%d messages served, %d sent, for %q:\n%q", served, whole, says, sent)
		}
		checkLines(t, sent)
	})
}

// checkLines: all that is sent is lines, and what is no content is commands.
func checkLines(t *testing.T, sent string) {
	t.Helper()
	if sent != "" && !strings.HasSuffix(sent, "\r\n") {
		t.Fatalf("an unfinished line: %q", sent)
	}
	inside := false
	for line := range strings.SplitSeq(strings.TrimSuffix(sent, "\r\n"), "\r\n") {
		verb, _, _ := strings.Cut(line, " ")
		switch {
		case strings.ContainsAny(line, "\r\n"):
			t.Fatalf("a stray line end in %q", line)
		case line == ".", strings.HasPrefix(line, "RSET"), strings.HasPrefix(line, "QUIT"), strings.HasPrefix(line, "BDAT "):
			inside = strings.HasPrefix(line, "BDAT ")
		case inside || strings.HasPrefix(line, "Subject:"):
			inside = true
		case !strings.Contains(" EHLO LHLO HELO MAIL RCPT DATA  ", " "+verb+" "):
			t.Fatalf("%q is no command in %q", line, sent)
		}
	}
}
