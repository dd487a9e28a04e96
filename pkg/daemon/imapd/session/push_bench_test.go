package session

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/handover"
	"github.com/postcote/postcote/pkg/proto/hint"
)

// BenchmarkPush is how long it takes from the hint of a delivery until a client
// that waits hears of it: in IDLE, by NOTIFY, and by NOTIFY of a mailbox that
// it has not selected.
func BenchmarkPush(b *testing.B) {
	for _, c := range []struct{ name, folder, prepare, want string }{
		{"idle", "INBOX", "IDLE", " EXISTS"},
		{"notify", "INBOX", "NOTIFY SET (selected (MessageNew (UID) MessageExpunge))", " FETCH "},
		{"elsewhere", ".Lists", "NOTIFY SET (personal (MessageNew MessageExpunge))", "STATUS Lists "},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, nil)
			conn := w.dial(handover.IMAP, "alice")
			dialog(b, conn, "a1 CREATE Lists\r\na2 SELECT INBOX\r\n", "a2 OK")
			answer := "+ "
			if c.prepare != "IDLE" {
				answer = "a3 OK"
			}
			dialog(b, conn, "a3 "+c.prepare+"\r\n", answer)
			s := hint.NewSender(func(context.Context) (net.Conn, error) { return w.connect("events"), nil }, 1, time.Now)
			defer s.Close()
			dir := w.maildir("alice")
			name := c.folder
			if name != "INBOX" {
				dir, name = filepath.Join(dir, name), name[1:]
			}
			took := make([]time.Duration, 0, b.N)
			for i := range b.N {
				file := fmt.Sprintf("%d.M%dP1.test,S=6,W=8", 1700000000, i)
				if err := os.WriteFile(filepath.Join(dir, "tmp", file), []byte("A: b\n\n"), 0o600); err != nil {
					b.Fatal(err)
				}
				if err := os.Rename(filepath.Join(dir, "tmp", file), filepath.Join(dir, "new", file)); err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				if err := s.Send(context.Background(), hint.Hint{User: "alice", Mailbox: name, File: file, Size: 6}); err != nil {
					b.Fatal(err)
				}
				hear(b, conn, c.want)
				took = append(took, time.Since(began))
				time.Sleep(2 * time.Millisecond) // as deliveries come: one by one
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// hear reads until something is said.
func hear(t testing.TB, conn net.Conn, want string) {
	var buf [4096]byte
	said := ""
	for {
		n, err := conn.Read(buf[:])
		if err != nil {
			t.Fatalf("%v before %q: %q", err, want, said)
		}
		if said += string(buf[:n]); strings.Contains(said, want) && strings.HasSuffix(said, "\r\n") {
			return
		}
	}
}
