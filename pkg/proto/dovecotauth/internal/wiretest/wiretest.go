package wiretest

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Step is one line of a transcript.
type Step struct {
	Line int
	Word string // "C", "S" or another word
	Text string
}

// Files lists the transcripts that match pattern.
func Files(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts match %s: %v", pattern, err)
	}
	return files
}

// Read parses a transcript. Empty lines and lines with # are comments.
func Read(t testing.TB, file string) []Step {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []Step
	for i, raw := range strings.Split(string(data), "\n") {
		if raw == "" || strings.HasPrefix(raw, "#") {
			continue
		}
		word, text, ok := strings.Cut(raw, ":")
		if !ok {
			t.Fatalf("%s:%d: no word before a colon", file, i+1)
		}
		steps = append(steps, Step{i + 1, word, strings.TrimPrefix(text, " ")})
	}
	return steps
}

// Player plays one side of a transcript on a connection.
type Player struct {
	T     testing.TB
	File  string
	Conn  net.Conn
	names map[string]string
	r     *bufio.Reader
}

// NewPlayer plays on c; a step that takes more than ten seconds fails the test.
func NewPlayer(t testing.TB, file string, c net.Conn) *Player {
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &Player{T: t, File: file, Conn: c, names: map[string]string{}, r: bufio.NewReader(c)}
}

// Send writes the step's text and LF.
func (p *Player) Send(s Step) {
	p.T.Helper()
	if _, err := p.Conn.Write([]byte(p.fill(p.unquote(s)) + "\n")); err != nil {
		p.T.Errorf("%s:%d: sending: %v", p.File, s.Line, err)
	}
}

// Expect reads a line and compares it with the step; false after a failure.
func (p *Player) Expect(s Step) bool {
	p.T.Helper()
	got, err := p.r.ReadString('\n')
	if s.Text == "EOF" {
		if err == nil || got != "" {
			p.T.Errorf("%s:%d: want a closed connection, got %q", p.File, s.Line, got)
		}
		return err != nil
	}
	if err != nil {
		p.T.Errorf("%s:%d: want %q, got %v", p.File, s.Line, s.Text, err)
		return false
	}
	if !p.match(p.unquote(s), strings.TrimSuffix(got, "\n")) {
		p.T.Errorf("%s:%d: want %q, got %q", p.File, s.Line, s.Text, got)
		return false
	}
	return true
}

func (p *Player) unquote(s Step) string {
	p.T.Helper()
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(s.Text, `"`, `\"`) + `"`)
	if err != nil {
		p.T.Fatalf("%s:%d: %v", p.File, s.Line, err)
	}
	return out
}

var placeholder = regexp.MustCompile(`<[a-z-]+>`)

func (p *Player) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string { return p.names[name] })
}

// match compares and learns the values of new placeholders.
func (p *Player) match(want, got string) bool {
	var names []string
	expr := placeholder.ReplaceAllStringFunc(regexp.QuoteMeta(want), func(name string) string {
		if v, ok := p.names[name]; ok {
			return regexp.QuoteMeta(v)
		}
		names = append(names, name)
		return `([0-9a-f]+)`
	})
	m := regexp.MustCompile(`^(?s:` + expr + `)$`).FindStringSubmatch(got)
	if m == nil {
		return false
	}
	for i, name := range names {
		p.names[name] = m[i+1]
	}
	return true
}

// Share lets p use and learn the placeholders of another connection.
func (p *Player) Share(q *Player) { p.names = q.names }

// Set gives a placeholder its value beforehand.
func (p *Player) Set(name, value string) { p.names[name] = value }

// Get returns what a placeholder stands for.
func (p *Player) Get(name string) string { return p.names[name] }

// Pair returns two connected Unix sockets; unlike net.Pipe they buffer.
func Pair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	a, err = net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}
