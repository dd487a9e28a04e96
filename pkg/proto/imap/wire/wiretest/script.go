package wiretest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience bounds the wait for a line that never comes.
const patience = 30 * time.Second

// Script plays transcripts.
type Script struct {
	// Dial opens connection n (1, 2, …) when a transcript first uses it.
	Dial func(n int) net.Conn
	// Event is called for "! words".
	Event func(words []string) error
	// Upgrade is called for "TLS": the client side of a handshake.
	Upgrade func(net.Conn) (net.Conn, error)

	peers map[int]*peer
}

type peer struct {
	conn net.Conn
	r    *bufio.Reader
	back *string // a line that was read and is still to come
}

// Dir plays every transcript that matches pattern as a subtest; start makes
// the Script for each.
func Dir(t *testing.T, pattern string, start func(t *testing.T, name string) *Script) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no transcripts (%v)", pattern, err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".txt")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			start(t, name).Play(t, f, string(text))
		})
	}
}

// Play plays one transcript; name is for messages.
func (s *Script) Play(t *testing.T, name, text string) {
	t.Helper()
	s.peers = map[int]*peer{}
	defer func() {
		for _, p := range s.peers {
			_ = p.conn.Close()
		}
	}()
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		n := 1
		if strings.HasPrefix(lines[i], "S") {
			n = unordered(lines[i:])
		}
		if err := s.step(lines[i : i+n]); err != nil {
			t.Fatalf("%s:%d: %v", name, i+1, err)
		}
		i += n - 1
	}
}

// unordered counts the neighbouring lines of one connection that may come in
// any order.
func unordered(lines []string) int {
	head, _, _ := strings.Cut(lines[0], " ")
	if !strings.HasSuffix(head, "*") {
		return 1
	}
	n := 1
	for n < len(lines) && strings.HasPrefix(lines[n], head+" ") {
		n++
	}
	return n
}

func (s *Script) step(lines []string) error {
	line := lines[0]
	if strings.TrimSpace(line) == "" || line[0] == '#' {
		return nil
	}
	if rest, ok := strings.CutPrefix(line, "! "); ok {
		return s.Event(strings.Fields(rest))
	}
	head, rest, _ := strings.Cut(line, " ")
	verb := strings.Trim(head, "0123456789:*~?")
	p, err := s.peer(strings.TrimLeft(strings.Trim(head, ":*~?"), "ACDEFLOST"))
	if err != nil {
		return err
	}
	switch {
	case verb == "C" && strings.HasSuffix(head, "~"):
		return p.send(unescape(rest))
	case verb == "C":
		return p.send(rest+"\r\n", nil)
	case verb == "S" && strings.HasSuffix(head, "*"):
		return p.expectAll(lines)
	case verb == "S" && strings.HasSuffix(head, "?"):
		return p.skip(rest)
	case verb == "S":
		return p.expect(rest)
	case verb == "EOF":
		if l, err := p.line(); err == nil {
			return fmt.Errorf("got %q, want the end of the connection", l)
		}
		return nil
	case verb == "TLS":
		conn, err := s.Upgrade(p.conn)
		if err == nil {
			p.conn, p.r = conn, bufio.NewReader(conn)
		}
		return err
	}
	if verb == "DEFLATE" {
		p.conn = Deflated(p.conn)
		p.r = bufio.NewReader(p.conn)
		return nil
	}
	return fmt.Errorf("no such step: %q", line)
}

func (s *Script) peer(number string) (*peer, error) {
	n := 1
	if number != "" {
		var err error
		if n, err = strconv.Atoi(number); err != nil {
			return nil, err
		}
	}
	if s.peers[n] == nil {
		conn := s.Dial(n)
		s.peers[n] = &peer{conn: conn, r: bufio.NewReader(conn)}
	}
	return s.peers[n], nil
}

func unescape(s string) (string, error) {
	return strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
}

// send writes without waiting for the peer to read: a transcript may pipeline
// more than the socket takes.
func (p *peer) send(s string, err error) error {
	if err != nil {
		return err
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err = io.WriteString(p.conn, s)
	return err
}

func (p *peer) line() (string, error) {
	if l := p.back; l != nil {
		p.back = nil
		return *l, nil
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	l, err := p.r.ReadString('\n')
	return strings.TrimSuffix(l, "\r\n"), err
}

func (p *peer) expect(want string) error {
	got, err := p.line()
	if err != nil {
		return fmt.Errorf("%w, want %q", err, want)
	}
	if !Match(got, want) {
		return fmt.Errorf("got  %q\nwant %q", got, want)
	}
	return nil
}

// skip reads lines like want, up to the first other one, which must come.
func (p *peer) skip(want string) error {
	for {
		got, err := p.line()
		if err != nil {
			return fmt.Errorf("%w, want a line other than %q", err, want)
		}
		if !Match(got, want) {
			p.back = &got
			return nil
		}
	}
}

func (p *peer) expectAll(lines []string) error {
	left := make([]string, 0, len(lines))
	for _, l := range lines {
		_, want, _ := strings.Cut(l, " ")
		left = append(left, want)
	}
	for len(left) > 0 {
		got, err := p.line()
		if err != nil {
			return fmt.Errorf("%w, want one of %q", err, left)
		}
		i := 0
		for i < len(left) && !Match(got, left[i]) {
			i++
		}
		if i == len(left) {
			return fmt.Errorf("got  %q\nwant one of %q", got, left)
		}
		left = append(left[:i], left[i+1:]...)
	}
	return nil
}

// Match reports whether line is want, where <any> stands for any text.
func Match(line, want string) bool {
	pieces := strings.Split(want, "<any>")
	if len(pieces) == 1 {
		return line == want
	}
	first, last := pieces[0], pieces[len(pieces)-1]
	if !strings.HasPrefix(line, first) || !strings.HasSuffix(line[len(first):], last) {
		return false
	}
	line = line[len(first) : len(line)-len(last)]
	for _, p := range pieces[1 : len(pieces)-1] {
		i := strings.Index(line, p)
		if i < 0 {
			return false
		}
		line = line[i+len(p):]
	}
	return true
}
