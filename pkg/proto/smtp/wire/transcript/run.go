package transcript

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long one step may take; a passing test never waits for it.
const patience = 20 * time.Second

// Peer is the server of one transcript.
type Peer struct {
	Conn    net.Conn
	TLS     *tls.Config   // for T steps
	Records <-chan string // for H steps
}

// Dir runs each *.txt file of dir as a subtest. start makes the server that
// the options of the file ask for.
func Dir(t *testing.T, dir string, start func(t *testing.T, options map[string]string) Peer) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts in %s: %v", dir, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			script, err := Parse(string(text))
			if err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			Run(t, script, start(t, script.Options))
		})
	}
}

// Run plays a script.
func Run(t *testing.T, s Script, p Peer) {
	t.Helper()
	r := &runner{t: t, p: p}
	r.use(p.Conn)
	defer func() { r.conn.Close() }()
	for _, step := range s.Steps {
		if step.Kind != 'C' && step.Kind != 'R' {
			r.send()
		}
		_ = r.conn.SetDeadline(time.Now().Add(patience))
		r.step(step)
	}
	r.send()
	r.wait()
}

type runner struct {
	t    *testing.T
	p    Peer
	conn net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
	sent chan struct{} // closed when the last write is done
}

func (r *runner) use(conn net.Conn) {
	r.conn, r.in = conn, bufio.NewReaderSize(conn, 64<<10)
}

// send writes what was collected, beside the reading of replies.
func (r *runner) send() {
	if r.out.Len() == 0 {
		return
	}
	r.wait()
	b := bytes.Clone(r.out.Bytes())
	r.out.Reset()
	done, conn := make(chan struct{}), r.conn
	r.sent = done
	go func() {
		defer close(done)
		_, _ = conn.Write(b) // a server that closed shows in what is read
	}()
}

func (r *runner) wait() {
	if r.sent != nil {
		<-r.sent
	}
}

func (r *runner) step(s Step) {
	r.t.Helper()
	switch s.Kind {
	case 'C', 'R':
		for i := range s.N {
			b, err := octets(strings.ReplaceAll(s.Text, "%d", strconv.Itoa(i)))
			if err != nil {
				r.t.Fatalf("line %d: %v", s.Line, err)
			}
			r.out.Write(b)
			if s.Kind == 'C' {
				r.out.WriteString("\r\n")
			}
		}
	case 'S':
		for range s.N {
			r.expect(s)
		}
	case 'H':
		r.record(s)
	case 'T':
		r.wait()
		conn := tls.Client(r.conn, r.p.TLS)
		if err := conn.Handshake(); err != nil {
			r.t.Fatalf("line %d: TLS: %v", s.Line, err)
		}
		r.use(conn)
	case 'W':
		r.wait()
		r.conn.Close()
	case 'X':
		if rest, err := io.ReadAll(r.in); len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			r.t.Fatalf("line %d: wanted the connection closed, got %q %v", s.Line, rest[:min(200, len(rest))], err)
		}
	}
}

func (r *runner) expect(s Step) {
	r.t.Helper()
	line, err := r.in.ReadString('\n')
	text, whole := strings.CutSuffix(line, "\r\n")
	if err != nil || !whole || !Match(s.Text, text) {
		r.t.Fatalf("line %d: server said %q (%v), want %q", s.Line, line, err, s.Text)
	}
}

func (r *runner) record(s Step) {
	r.t.Helper()
	var seen []string
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case rec := <-r.p.Records:
			if Match(s.Text, rec) {
				return
			}
			seen = append(seen, rec)
		case <-timeout.C:
			r.t.Fatalf("line %d: no record %q; seen: %q", s.Line, s.Text, seen)
		}
	}
}
