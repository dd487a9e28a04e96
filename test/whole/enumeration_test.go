package whole

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// failureDelay is authd's in the test below.
const failureDelay = 2 * time.Second

// door is a service, and the lines of a login of which the last ends it.
type door struct {
	port  int
	lines func(user, password string) []string
}

// try logs in and returns all that the server said after its greeting, and how
// long the last answer took.
func (d door) try(t *testing.T, s *suite.Suite, user, password string) (said string, took time.Duration) {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addr(d.port), trust(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(conn)
	read := func() string {
		line, err := r.ReadString('\n')
		for err == nil && len(line) > 3 && line[3] == '-' { // more of the same reply
			line, err = r.ReadString('\n')
		}
		if err != nil {
			t.Fatalf("port %d: %v", d.port, err)
		}
		return line
	}
	read()
	for _, line := range d.lines(user, password) {
		began := time.Now()
		fmt.Fprintf(conn, "%s\r\n", line)
		said += read()
		took = time.Since(began)
	}
	return said, took
}

// Whether a user exists is not told by the words of a refusal nor by its time,
// at no door: an answer comes when the same delay is over.
func TestUnknownUserIsAWrongPassword(t *testing.T) {
	s := start(t, suite.Options{Edit: map[string]func(string) string{"authd": func(c string) string {
		return c + fmt.Sprintf("\nlogin: {failure_delay: %s, penalty: false}\n", failureDelay)
	}}})
	alice := s.Accounts[0]
	for name, tc := range map[string]struct {
		door
		right, wrong string
	}{
		"imap": {door{993, func(u, p string) []string { return []string{"a LOGIN " + u + " " + p} }}, "a OK", "a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"},
		"pop3": {door{995, func(u, p string) []string { return []string{"USER " + u, "PASS " + p} }}, "+OK", "-ERR [AUTH] Authentication failed.\r\n"},
		"submission": {door{465, func(u, p string) []string {
			return []string{"EHLO x", "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+u+"\x00"+p))}
		}}, "235 ", "535 5.7.8 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if said, _ := tc.try(t, s, alice.Name, alice.Password); !strings.Contains(said, tc.right) {
				t.Fatalf("with the right password: %q", said)
			}
			known, first := tc.try(t, s, alice.Name, "wrong")
			unknown, second := tc.try(t, s, "nobody@"+suite.Domain, "wrong")
			foreign, third := tc.try(t, s, "nobody@elsewhere.test", "wrong")
			if known != unknown || known != foreign || !strings.Contains(known, tc.wrong) {
				t.Errorf("a wrong password is told %q, an unknown user %q, an unknown domain %q", known, unknown, foreign)
			}
			for _, took := range []time.Duration{first, second, third} {
				if took < failureDelay-100*time.Millisecond {
					t.Errorf("the refusals took %v, %v and %v, some less than the delay of %v", first, second, third, failureDelay)
					break
				}
			}
		})
	}
}
