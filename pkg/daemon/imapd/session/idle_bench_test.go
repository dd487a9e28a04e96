package session

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/handover"
)

// BenchmarkIdle is what a session in IDLE takes, with a user and an opened
// mailbox of its own: memory that is in use, the client's end of the connection
// in the same process included, and descriptors of the session role. It takes
// as long as the store needs to see that nothing happens.
func BenchmarkIdle(b *testing.B) {
	const users, messages = 200, 2000
	w := newWorld(b, func(c *Config) { c.Limits.PerUser = users })
	first := w.maildir("user0")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(first, sub), 0o770); err != nil {
			b.Fatal(err)
		}
	}
	for i := range messages {
		name := fmt.Sprintf("%d.M%dP1.test,S=6,W=8:2,S", 1700000000, i)
		if err := os.WriteFile(filepath.Join(first, "cur", name), []byte("A: b\n\n"), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for i := 1; i < users; i++ {
		if err := os.Symlink(filepath.Dir(first), filepath.Join(w.auth.home, fmt.Sprint("user", i))); err != nil {
			b.Fatal(err)
		}
	}
	idle := func(user string) net.Conn {
		conn := w.dial(handover.IMAP, user)
		dialog(b, conn, "a1 SELECT INBOX\r\na2 IDLE\r\n", "+ ")
		return conn
	}
	conns := []net.Conn{idle("user0")}
	before, files := inUse(), descriptors(b)
	for i := 1; i < users; i++ {
		conns = append(conns, idle(fmt.Sprint("user", i)))
	}
	time.Sleep(17 * time.Second)
	after := inUse()
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/users, "heap-B/session")
	b.ReportMetric(float64(int64(after.StackInuse)-int64(before.StackInuse))/users, "stack-B/session")
	b.ReportMetric(float64(descriptors(b)-files-(users-1))/users, "descriptors/session")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(conns)
}

func inUse() (m runtime.MemStats) {
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	return m
}

// descriptors counts the open files of the process.
func descriptors(t testing.TB) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
