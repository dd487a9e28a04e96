package login

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
)

// The holes that others had at the door, by name, against the whole login role.
// What the protocols' engines meet is in packages imap/login and pop3/login.
func TestCVE(t *testing.T) {
	w := newWorld(t, options{})
	t.Run("CVE-2017-15130 names by SNI", w.manyNames)
	t.Run("CVE-2016-8652 CVE-2017-2669 names to be expanded", w.namesAsTheyAre)
	for door, lines := range map[string][3]string{
		"imap": {"a STARTTLS\r\nb LOGIN alice secret\r\n", "c NOOP\r\n", "c OK"},
		"pop3": {"STLS\r\nUSER alice\r\nPASS secret\r\n", "PASS secret\r\n", "-ERR No username given."},
	} {
		t.Run("CVE-2021-33515 commands before TLS "+door, func(t *testing.T) { w.injected(t, door, lines) })
	}
	for door, tries := range map[string][2]string{
		"imap": {"a LOGIN alice wrong", "a LOGIN nobody wrong"},
		"pop3": {"USER alice\r\nPASS wrong", "USER nobody\r\nPASS wrong"},
	} {
		t.Run("enumeration of users "+door, func(t *testing.T) {
			if known, unknown := w.said(t, door, tries[0]), w.said(t, door, tries[1]); known != unknown || !strings.Contains(known, "Authentication failed.") {
				t.Errorf("a known user is told %q, an unknown one %q", known, unknown)
			}
		})
	}
}

// manyNames: whatever a stranger asks for by SNI, nothing is made or kept for
// the name, and the connection is like any other.
func (w *world) manyNames(t *testing.T) {
	for i := range 50 {
		name := fmt.Sprintf("%s.n%d.example.org", strings.Repeat("x", 50), i)
		conn, err := net.Dial("tcp", w.doors["imaps"].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if greeting, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(greeting, "* OK ") {
			t.Errorf("%s: %q, %v", name, greeting, err)
		}
		if got := c.ConnectionState().PeerCertificates[0].DNSNames; len(got) != 1 || got[0] != "localhost" {
			t.Errorf("%s got the certificate of %q", name, got)
		}
		_ = c.Close()
	}
	// tlsx has the proof that its table does not grow.
}

// namesAsTheyAre: what looks like a variable is passed on as it is.
func (w *world) namesAsTheyAre(t *testing.T) {
	const name = "%{user}%u%{%{%Lu}}$USER"
	before := len(w.authd.requests())
	if got := w.said(t, "imap", fmt.Sprintf("a LOGIN %q wrong", name)); !strings.Contains(got, "Authentication failed.") {
		t.Error(got)
	}
	seen := w.authd.requests()[before:]
	if len(seen) != 1 || !strings.Contains(string(seen[0].Initial), "\x00"+name+"\x00") {
		t.Errorf("authd was asked %+v", seen)
	}
}

// injected sends commands in the clear behind the one that begins TLS: they are
// never run, neither before nor after the handshake.
func (w *world) injected(t *testing.T, door string, lines [3]string) {
	conn := w.dial(door)
	r := bufio.NewReader(conn)
	_, _ = r.ReadString('\n')
	fmt.Fprint(conn, lines[0])
	if answer, _ := r.ReadString('\n'); !strings.Contains(answer, "OK Begin TLS") {
		t.Fatal(answer)
	}
	if r.Buffered() > 0 {
		t.Fatal("there is an answer behind the one to the command that begins TLS")
	}
	before := len(w.authd.requests())
	c, err := shake(conn)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, lines[1])
	if answer, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(answer, lines[2]) {
		t.Errorf("%q, %v", answer, err)
	}
	if n := len(w.authd.requests()) - before; n != 0 {
		t.Errorf("authd was asked %d times", n)
	}
}

// said is the last line of the answer to what a new client says.
func (w *world) said(t *testing.T, door, text string) string {
	t.Helper()
	conn := w.dial(door)
	defer conn.Close()
	r := bufio.NewReader(conn)
	fmt.Fprintf(conn, "%s\r\n", text)
	last := ""
	for range 2 + strings.Count(text, "\n") { // the greeting, and an answer to each line
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		last = line
	}
	return last
}
