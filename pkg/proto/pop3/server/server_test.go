package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// drop is a maildrop in memory.
type drop struct {
	msgs          []string
	seen, deleted []int
	broken        bool
}

func newDrop() *drop {
	return &drop{msgs: []string{
		"Subject: one\r\n\r\nfirst message\r\n", "Subject: two\r\n\r\nsecond messag\r\n",
		"Subject: three\r\n\r\nline\r\n.dot\r\nlast\r\n",
	}}
}

func (d *drop) Len() int { return len(d.msgs) }
func (d *drop) Size(_ context.Context, i int) (int64, error) {
	if d.broken {
		return 0, fail.New(fail.Temporary, "disk on fire")
	}
	return int64(len(d.msgs[i])), nil
}
func (d *drop) UIDL(i int) string { return UIDL(uint32(i+1), 0x6b044780) }
func (d *drop) Open(context.Context, int) (io.ReadCloser, error) {
	return nil, fail.New(fail.NotFound, "gone")
}

func (d *drop) Seen(_ context.Context, i int) error        { d.seen = append(d.seen, i); return nil }
func (d *drop) Delete(_ context.Context, list []int) error { d.deleted = list; return nil }

// reading is a drop whose messages can be opened.
type reading struct{ *drop }

func (d reading) Open(_ context.Context, i int) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(d.msgs[i])), nil
}

// Each file of testdata is a session; its last comment says what it left.
func TestTranscripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no transcripts")
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { replay(t, f) })
	}
}

func replay(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := newDrop()
	client, server := net.Pipe()
	_ = client.SetDeadline(time.Now().Add(5 * time.Second))
	ended := make(chan Stats, 1)
	go func() { ended <- Run(context.Background(), server, reading{d}, Options{}); server.Close() }()
	r := bufio.NewReader(client)
	want := ""
	for n, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "C:"):
			fmt.Fprintf(client, "%s\r\n", strings.TrimPrefix(strings.TrimPrefix(line, "C:"), " "))
		case strings.HasPrefix(line, "S:"):
			got, err := r.ReadString('\n')
			if exp := strings.TrimPrefix(line, "S: ") + "\r\n"; err != nil || got != exp {
				t.Fatalf("%s:%d: got %q (%v), want %q", file, n+1, got, err, exp)
			}
		case strings.HasPrefix(line, "# seen="):
			want = line[2:]
		}
	}
	client.Close()
	st := <-ended
	if got := fmt.Sprintf("seen=%v deleted=%v reason=%s", d.seen, d.deleted, st.Reason); got != want {
		t.Errorf("left behind %s, want %s", got, want)
	}
}

func TestTooManyFaults(t *testing.T) {
	client, server := net.Pipe()
	ended := make(chan Stats, 1)
	go func() { ended <- Run(context.Background(), server, newDrop(), Options{}); server.Close() }()
	go func() { _, _ = io.WriteString(client, strings.Repeat("X\r\n", 100)) }()
	out, _ := io.ReadAll(client)
	if st := <-ended; st.Reason != "Too many bad commands" || strings.Count(string(out), "Unknown command") != 20 {
		t.Errorf("%q\n%s", st.Reason, out)
	}
}

// A disk that fails is a temporary fault, and nothing of its cause is told.
func TestBrokenDrop(t *testing.T) {
	client, server := net.Pipe()
	d := newDrop()
	d.broken = true
	go func() { Run(context.Background(), server, d, Options{}); server.Close() }()
	go func() { _, _ = io.WriteString(client, "STAT\r\nLIST\r\nRETR 1\r\nQUIT\r\n") }()
	out, _ := io.ReadAll(client)
	if strings.Count(string(out), "-ERR [SYS/TEMP]") != 3 || strings.Contains(string(out), "fire") {
		t.Errorf("%s", out)
	}
}

func TestShutdownSaysSo(t *testing.T) {
	client, server := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan Stats, 1)
	go func() { ended <- Run(ctx, server, newDrop(), Options{}); server.Close() }()
	r := bufio.NewReader(client)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "-ERR [SYS/TEMP] Server shutting down") {
		t.Errorf("%q %v", line, err)
	}
	<-ended
}

func TestInactivity(t *testing.T) {
	client, server := net.Pipe()
	ended := make(chan Stats, 1)
	go func() {
		ended <- Run(context.Background(), server, newDrop(), Options{InactiveAfter: 20 * time.Millisecond})
		server.Close()
	}()
	out, _ := io.ReadAll(client)
	if st := <-ended; st.Reason != "Disconnected for inactivity" || !strings.Contains(string(out), "-ERR Disconnected for inactivity.") {
		t.Errorf("%q %q", st.Reason, out)
	}
}

// Whatever a client sends, the session ends when the client does.
func FuzzSession(f *testing.F) {
	f.Add("STAT\r\nRETR 1\r\nTOP 1 1\r\nDELE 1\r\nQUIT\r\n")
	f.Add("\x00\r\nRETR \xff\r\n\r\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		client, server := net.Pipe()
		ended := make(chan Stats, 1)
		d := newDrop()
		go func() { ended <- Run(context.Background(), server, reading{d}, Options{}); server.Close() }()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_ = client.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(client, in)
		client.Close()
		if st := <-ended; st.Reason != "Logged out" && len(d.deleted) > 0 {
			t.Fatalf("deleted without QUIT: %q", in)
		}
	})
}
