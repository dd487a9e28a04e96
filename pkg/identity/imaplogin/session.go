package imaplogin

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Caps on what a server may send.
const (
	maxLine  = 8192
	maxLines = 1000
)

// session is one connection.
type session struct {
	conn net.Conn
	r    *bufio.Reader
	tags int
}

func newSession(conn net.Conn) *session {
	return &session{conn: conn, r: bufio.NewReaderSize(conn, maxLine)}
}

func (s *session) line() (string, error) {
	b, err := s.r.ReadSlice('\n')
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "reading a reply")
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// greeting takes "* OK"; PREAUTH would prove nothing about a password.
func (s *session) greeting() error {
	l, err := s.line()
	if err == nil && !hasWord(l, "* OK") {
		err = fail.New(fail.Unavailable, "greeting is %.80q", l)
	}
	return err
}

// startTLS encrypts. Nothing that came before the handshake is used after it.
func (s *session) startTLS(config *tls.Config) (*session, error) {
	status, text, err := s.command("STARTTLS")
	if err != nil {
		return nil, err
	}
	if status != "OK" {
		return nil, fail.New(fail.Unavailable, "STARTTLS: %s %.80s", status, text)
	}
	if s.r.Buffered() > 0 {
		return nil, fail.New(fail.Unavailable, "server sent data between STARTTLS and the handshake")
	}
	return newSession(tls.Client(s.conn, config)), nil
}

// login reports whether the password is right.
func (s *session) login(user, password string) (bool, error) {
	status, text, err := s.command("LOGIN", user, password)
	if err != nil {
		return false, err
	}
	_, _ = io.WriteString(s.conn, "z LOGOUT\r\n")
	switch {
	case status == "OK":
		return true, nil
	case status == "NO" && !serverState(text):
		return false, nil
	}
	return false, fail.New(fail.Unavailable, "LOGIN: %s %.80s", status, text)
}

// serverState tells a NO that says nothing about the password: response codes
// of RFC 5530 section 3, and LIMIT.
func serverState(text string) bool {
	code, _, ok := strings.Cut(strings.TrimPrefix(text, "["), "]")
	if !ok || !strings.HasPrefix(text, "[") {
		return false
	}
	code, _, _ = strings.Cut(strings.ToUpper(code), " ")
	switch code {
	case "UNAVAILABLE", "PRIVACYREQUIRED", "CONTACTADMIN", "LIMIT", "INUSE", "SERVERBUG", "CLIENTBUG":
		return true
	}
	return false
}

// command sends a command, its arguments as literals, and returns the tagged
// reply.
func (s *session) command(name string, args ...string) (status, text string, err error) {
	s.tags++
	tag := fmt.Sprintf("a%d", s.tags)
	out := tag + " " + name
	for _, arg := range args {
		if _, err := fmt.Fprintf(s.conn, "%s {%d}\r\n", out, len(arg)); err != nil {
			return "", "", fail.Wrap(fail.Unavailable, err, "sending %s", name)
		}
		status, text, err := s.reply(tag)
		if err != nil || status != "+" {
			return status, text, err
		}
		out = arg
	}
	if _, err := io.WriteString(s.conn, out+"\r\n"); err != nil {
		return "", "", fail.Wrap(fail.Unavailable, err, "sending %s", name)
	}
	if status, text, err = s.reply(tag); status == "+" {
		err = fail.New(fail.Unavailable, "server wants to continue %s", name)
	}
	return status, text, err
}

// reply skips untagged lines up to the tagged one or "+".
func (s *session) reply(tag string) (status, text string, err error) {
	for range maxLines {
		l, err := s.line()
		switch {
		case err != nil:
			return "", "", err
		case hasWord(l, "+"):
			return "+", "", nil
		case hasWord(l, "* BYE"):
			return "", "", fail.New(fail.Unavailable, "server says %.80q", l)
		}
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			status, text, _ = strings.Cut(rest, " ")
			return strings.ToUpper(status), text, nil
		}
	}
	return "", "", fail.New(fail.Unavailable, "more than %d lines and no reply", maxLines)
}

// hasWord reports whether l begins with word, in any case, and a word ends there.
func hasWord(l, word string) bool {
	return len(l) >= len(word) && strings.EqualFold(l[:len(word)], word) && (len(l) == len(word) || l[len(word)] == ' ')
}
