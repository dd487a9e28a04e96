package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/pop3/wire"
)

// drop is a maildrop in memory.
type drop struct {
	msgs    []string
	seen    map[int]bool
	deleted []int
	gone    map[int]bool
	broken  bool // for every question of size, and at the end
}

func newDrop() *drop {
	return &drop{seen: map[int]bool{}, gone: map[int]bool{}, msgs: []string{
		"Subject: one\r\n\r\nfirst message\r\n", "Subject: two\r\n\r\nsecond messag\r\n",
		"Subject: three\r\n\r\nline\r\n.dot\r\nlast\r\n",
	}}
}

var errFire = fail.New(fail.Temporary, "disk on fire")

func (d *drop) Len() int { return len(d.msgs) }

func (d *drop) Size(_ context.Context, i int) (int64, error) {
	if d.broken {
		return 0, errFire
	}
	return int64(len(d.msgs[i])), nil
}

func (d *drop) Total(context.Context) (sum int64, err error) {
	if d.broken {
		return 0, errFire
	}
	for _, m := range d.msgs {
		sum += int64(len(m))
	}
	return sum, nil
}

func (d *drop) AppendUIDL(_ context.Context, dst []byte, i int) ([]byte, error) {
	f, err := ParseUIDL(DefaultUIDL)
	return f.Append(dst, Facts{UID: uint32(i + 1), Validity: 0x6b044780}), err
}

func (d *drop) Open(_ context.Context, i int) (io.ReadCloser, error) {
	if d.gone[i] {
		return nil, fail.New(fail.NotFound, "gone")
	}
	return io.NopCloser(strings.NewReader(strings.ReplaceAll(d.msgs[i], "\r\n", "\n"))), nil
}

func (d *drop) Seen(i int) bool { return d.seen[i] }

func (d *drop) Mark(_ context.Context, list []int, seen bool) error {
	if d.broken {
		return errFire
	}
	for _, i := range list {
		if d.seen[i] = seen; !seen {
			delete(d.seen, i)
		}
	}
	return nil
}

func (d *drop) Delete(_ context.Context, list []int) error {
	if d.broken {
		return errFire
	}
	d.deleted = list
	return nil
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

// setting reads the comments above a session.
func setting(lines []string) (o Options, d *drop) {
	d = newDrop()
	for _, line := range lines {
		what, _ := strings.CutPrefix(line, "# options: ")
		switch what {
		case "last":
			o.EnableLast = true
		case "noflags":
			o.NoFlagUpdates = true
		case "gone":
			d.gone[1] = true
		}
		if line == "# marked: 1" {
			d.seen[1] = true
		}
	}
	return o, d
}

func replay(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	o, d := setting(lines)
	client, server := net.Pipe()
	_ = client.SetDeadline(time.Now().Add(time.Minute))
	ended := make(chan Stats, 1)
	go func() { ended <- Run(context.Background(), server, d, o); server.Close() }()
	r := bufio.NewReader(client)
	want := ""
	for n, line := range lines {
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
	if got := fmt.Sprintf("seen=%v deleted=%v reason=%s", slices.Sorted(maps.Keys(d.seen)), d.deleted, st.Reason); got != want {
		t.Errorf("left behind %s, want %s", got, want)
	}
}

// The figures of the closing line are those of Dovecot 2.3.19 for the same
// session: what a client got for RETR, "+OK" line included, last line not.
func TestLogoutLine(t *testing.T) {
	d := newDrop()
	d.msgs = []string{
		"From: a@b\r\nSubject: m1\r\nX-UIDL: old-uidl-1\r\n\r\nhello 1\r\n.dot\r\nend",
		"From: a@b\r\nSubject: nobody\r\n",
	}
	client, server := net.Pipe()
	ended := make(chan Stats, 1)
	go func() {
		ended <- Run(context.Background(), server, d, Options{TrackUIDLs: true, Session: "abc"})
		server.Close()
	}()
	go func() {
		_, _ = io.WriteString(client, "TOP 1 0\r\nTOP 1 1\r\nTOP 2 0\r\nRETR 1\r\nRETR 2\r\nUIDL\r\nDELE 2\r\nQUIT\r\n")
	}()
	_, _ = io.ReadAll(client)
	st := <-ended
	for _, k := range []struct{ format, want string }{
		{DefaultLogout, "top=3/144, retr=2/125, del=1/2, size=92"},
		{"%{top_count}/%{top_bytes} %{deleted_bytes} %{session} 100%%", "3/144 28 abc 100%"},
		{"%u", "0/00000000 -> 1/702a2324"},
	} {
		f, err := ParseLogout(k.format)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Text(st); got != k.want {
			t.Errorf("%s: %q, want %q", k.format, got, k.want)
		}
	}
	for _, bad := range []string{"%", "%{x", "%{none}", "%y"} {
		if _, err := ParseLogout(bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// limits: twenty bad commands in a row are borne after the login.
func TestTooManyFaults(t *testing.T) {
	client, server := net.Pipe()
	ended := make(chan Stats, 1)
	go func() { ended <- Run(context.Background(), server, newDrop(), Options{}); server.Close() }()
	go func() { _, _ = io.WriteString(client, strings.Repeat("X\r\n", 100)) }()
	out, _ := io.ReadAll(client)
	if st := <-ended; st.Reason != "Too many bad commands." || strings.Count(string(out), "Unknown command") != 21 {
		t.Errorf("%q\n%s", st.Reason, out)
	}
}

// A disk that fails is a temporary fault, and nothing of its cause is told.
func TestBrokenDrop(t *testing.T) {
	client, server := net.Pipe()
	d := newDrop()
	d.broken = true
	told := 0
	go func() {
		Run(context.Background(), server, d, Options{Failed: func(error) { told++ }})
		server.Close()
	}()
	go func() { _, _ = io.WriteString(client, "STAT\r\nLIST\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n") }()
	out, _ := io.ReadAll(client)
	if told != 4 || strings.Count(string(out), "-ERR [SYS/TEMP] Internal error occurred.") != 4 || strings.Contains(string(out), "fire") {
		t.Errorf("%s", out)
	}
}

// A line beyond the cap ends the session.
func TestLineTooLong(t *testing.T) {
	client, server := net.Pipe()
	ended := make(chan Stats, 1)
	go func() { ended <- Run(context.Background(), server, newDrop(), Options{}); server.Close() }()
	go func() { _, _ = io.WriteString(client, strings.Repeat("X", wire.MaxLine+1)+"\r\n") }()
	out, _ := io.ReadAll(client)
	if st := <-ended; st.Reason != "Input line too long" || !strings.HasSuffix(string(out), "-ERR Input line too long.\r\n") {
		t.Errorf("%q %.200q", st.Reason, out)
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
		go func() { ended <- Run(context.Background(), server, d, Options{}); server.Close() }()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_ = client.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(client, in)
		client.Close()
		if st := <-ended; st.Reason != "Logged out" && len(d.deleted) > 0 {
			t.Fatalf("deleted without QUIT: %q", in)
		}
	})
}
