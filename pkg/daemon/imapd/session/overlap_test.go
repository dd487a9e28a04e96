package session

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/handover"
)

// dialog sends commands and reads up to the line that begins with last.
func dialog(t testing.TB, conn net.Conn, commands, last string) string {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, commands); err != nil {
		t.Fatal(err)
	}
	return readTo(t, bufio.NewReader(conn), last)
}

func readTo(t testing.TB, r *bufio.Reader, last string) string {
	t.Helper()
	var all strings.Builder
	for {
		line, err := r.ReadString('\n')
		if all.WriteString(line); err != nil {
			t.Fatalf("%v before %q: %.2000s", err, last, all.String())
		}
		if strings.HasPrefix(line, last) {
			return all.String()
		}
	}
}

// A client that does not read what it has asked for holds no lock: other
// sessions of the same mailbox change it and look at it meanwhile.
func TestSlowReaderHoldsNobody(t *testing.T) {
	w := newWorld(t, nil)
	for _, subject := range []string{"one", "two", "three"} {
		if err := w.deliver("alice", subject, false); err != nil {
			t.Fatal(err)
		}
	}
	text := "Subject: large\n\n" + strings.Repeat(strings.Repeat("x", 75)+"\n", 30_000)
	if err := os.WriteFile(filepath.Join(w.maildir("alice"), "new", "1800000000.M1P1.test"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	slow, quick := w.dial(handover.IMAP, "alice"), w.dial(handover.IMAP, "alice")
	dialog(t, slow, "a1 SELECT INBOX\r\n", "a1 OK")
	if _, err := io.WriteString(slow, "a2 UID FETCH 1:* (UID BODY.PEEK[])\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Read(make([]byte, 1)); err != nil { // it has begun, and goes no further
		t.Fatal(err)
	}
	out := dialog(t, quick, "b1 SELECT INBOX\r\nb2 STORE 1 +FLAGS (\\Deleted)\r\nb3 EXPUNGE\r\nb4 COPY 1 INBOX\r\n"+
		"b5 APPEND INBOX {5+}\r\nA: b\n\r\nb6 FETCH 1:* (FLAGS ENVELOPE)\r\nb7 UID SEARCH BODY Hello\r\nb8 UNSELECT\r\n", "b8 ")
	for i := 1; i <= 8; i++ {
		if !strings.Contains(out, fmt.Sprintf("\r\nb%d OK ", i)) {
			t.Errorf("b%d failed: %s", i, out)
		}
	}
	rest := readTo(t, bufio.NewReaderSize(slow, 1<<20), "a2 ")
	if n := strings.Count(rest, " FETCH (UID"); n < 3 || !strings.HasSuffix(rest, "a2 OK Fetch completed.\r\n") {
		t.Errorf("%d messages, %q", n, rest[len(rest)-100:])
	}
	if !strings.Contains(rest, "* 1 EXPUNGE\r\n* 5 EXISTS\r\n") {
		t.Error("what happened meanwhile was not told")
	}
}

// Commands that overlap stand on one handle of the store.
func TestPipelineOnTheStore(t *testing.T) {
	const n = 150
	w := newWorld(t, nil)
	for range n {
		if err := w.deliver("alice", "x", false); err != nil {
			t.Fatal(err)
		}
	}
	conn := w.dial(handover.IMAP, "alice")
	dialog(t, conn, "a1 SELECT INBOX\r\na2 CREATE Copies\r\n", "a2 OK")
	var in strings.Builder
	for range 3 {
		in.WriteString("x UID FETCH 1:* (UID BODYSTRUCTURE BODY.PEEK[TEXT])\r\nx UID SEARCH RETURN (COUNT) BODY Hello\r\n" +
			"x UID SEARCH RETURN (COUNT) SUBJECT x\r\nx NOOP\r\nx STATUS Copies (MESSAGES)\r\nx UID STORE 1:* +FLAGS (k)\r\n" +
			"x UID COPY 1:10 Copies\r\nx LIST \"\" *\r\nx UID FETCH 1:* (FLAGS ENVELOPE)\r\nx FETCH 1:* (UID INTERNALDATE RFC822.SIZE)\r\n")
	}
	in.WriteString("z UNSELECT\r\n")
	out := dialog(t, conn, in.String(), "z OK")
	for what, want := range map[string]int{
		"x OK": 30, " FETCH (UID": 12 * n, " FETCH (FLAGS (": 0, "COUNT 150": 6, " EXPUNGE": 0, "COPYUID": 3,
		"k) ENVELOPE": 3 * n, "k))": 3 * n,
	} {
		if got := strings.Count(out, what); got != want {
			t.Errorf("%q: %d times, want %d", what, got, want)
		}
	}
}
