//go:build interop

package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/test/suite"
)

// peer is another MTA: mail for remote.test stays in its box, all other mail
// it passes on to mtad.
type peer struct {
	addr string
	box  string // a Maildir
	log  string
}

// text is what the peer has logged so far.
func (p *peer) text() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

// has waits for a message with the mark in the peer's box.
func (p *peer) has(t *testing.T, mark string) string {
	t.Helper()
	var found string
	eventually(t, "the peer has "+mark, func() bool {
		for _, m := range messages(p.box) {
			if strings.Contains(m, mark) {
				found = m
			}
		}
		return found != ""
	})
	return found
}

// door is an address that leads to mtad once the suite has started: a peer must
// know where mtad listens, and mtad where the peer does.
type door struct {
	net.Listener
	to atomic.Pointer[string]
}

func newDoor(t *testing.T) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.pass(c)
		}
	}()
	return d
}

func (d *door) pass(c net.Conn) {
	defer c.Close()
	to := d.to.Load()
	if to == nil {
		return
	}
	m, err := net.Dial("tcp", *to)
	if err != nil {
		return
	}
	defer m.Close()
	go func() {
		_, _ = io.Copy(m, c)
		_ = m.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(c, m)
}

// leadsTo opens the door.
func (d *door) leadsTo(addr string) { d.to.Store(&addr) }

// keyPair leaves a certificate for a name in dir.
func keyPair(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	c, k, err := tlsx.SelfSigned([]string{name, "localhost", "127.0.0.1"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir+"/cert.pem", string(c), 0o644), write(t, dir+"/key.pem", string(k), 0o644)
}

// smtpSays hands a message to an SMTP server: EHLO, the lines, each of which
// must be answered with success, and the message.
func smtpSays(t *testing.T, addr, message string, lines ...string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	reply := func(after, want string) {
		for {
			line, err := r.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, want) {
				t.Fatalf("after %q: %q, %v", after, line, err)
			}
			if len(line) > 3 && line[3] == ' ' {
				return
			}
		}
	}
	say := func(line, want string) {
		if _, err := c.Write([]byte(line + "\r\n")); err != nil {
			t.Fatal(err)
		}
		reply(line[:min(len(line), 100)], want)
	}
	reply("connecting", "220")
	for _, line := range append([]string{"EHLO interop.test"}, lines...) {
		say(line, "2")
	}
	say("DATA", "354")
	say(strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:]+".", "250")
	say("QUIT", "221")
}

// trying is a body that whatever is done to lines and octets on the way would
// change, and that takes several blocks of any program.
func trying() string {
	var b strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&b, "line %d\r\n.\r\n..\r\n. dot and blank \r\nFrom here\r\n\r\nüñí\u20ac \xff\x80\t\r\n", i)
	}
	b.WriteString(strings.Repeat("x", 990) + "\r\nlast line\r\n")
	return b.String()
}

// whole demands that the trying body of a stored message is as it was sent.
func whole(t *testing.T, stored string) {
	t.Helper()
	_, got, _ := strings.Cut(strings.ReplaceAll(stored, "\r\n", "\n"), "\n\n")
	if want := strings.ReplaceAll(trying(), "\r\n", "\n"); strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Errorf("the body (%d octets, sent %d) differs at %d: %q, sent %q", len(got), len(want), i, got[max(0, i-20):min(len(got), i+40)], want[max(0, i-20):min(len(want), i+40)])
	}
}

// reports are the delivery reports in an account's INBOX that hold a text.
func reports(s *suite.Suite, local, mark string) []string {
	var all []string
	for _, m := range messages(filepath.Join(s.Home(local), "Maildir")) {
		if strings.Contains(m, "multipart/report") && strings.Contains(m, mark) {
			all = append(all, m)
		}
	}
	return all
}

// holds demands each of some texts.
func holds(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text[:min(len(text), 4000)])
		}
	}
}

// relays makes mtad send all mail for others to a port, with TLS as told.
func relays(port int, tls string) map[string]func(string) string {
	return map[string]func(string) string{"mtad": func(c string) string {
		return c + fmt.Sprintf("\nrelayhost: \"[127.0.0.1]:%d\"\nremote: {tls: %s}\n", port, tls)
	}}
}
