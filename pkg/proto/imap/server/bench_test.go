package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// serving starts a session on a and returns the client's end of it, with
// INBOX selected.
func serving(b *testing.B, a *fakeAccount) (net.Conn, *bufio.Reader) {
	ours, theirs := tcp(b)
	done := make(chan Summary, 1)
	go func() { done <- New(Config{}).Serve(context.Background(), ours, Start{Account: a}) }()
	b.Cleanup(func() {
		_ = theirs.Close()
		<-done
		_ = ours.Close()
	})
	r := bufio.NewReaderSize(theirs, 64<<10)
	ask(b, theirs, r, "s SELECT INBOX\r\n", 1)
	return theirs, r
}

// ask sends commands in one piece and reads until n tagged lines have come.
func ask(b *testing.B, conn net.Conn, r *bufio.Reader, commands string, n int) {
	if _, err := io.WriteString(conn, commands); err != nil {
		b.Fatal(err)
	}
	for n > 0 {
		line, err := r.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if line[0] == 's' {
			n--
		}
	}
}

// One command, its answer, the next: what nearly every client does.
func BenchmarkRoundTrip(b *testing.B) {
	for _, c := range []string{"NOOP", "UID FETCH 1 FLAGS", "UID FETCH 1 BODY.PEEK[]", "STATUS INBOX (MESSAGES)"} {
		b.Run(strings.ReplaceAll(c, " ", "_"), func(b *testing.B) {
			a := newFakeAccount()
			a.boxes["INBOX"].deliver(simple, a.now, Row{})
			conn, r := serving(b, a)
			b.ReportAllocs()
			for b.Loop() {
				ask(b, conn, r, "s "+c+"\r\n", 1)
			}
		})
	}
}

// Many quick commands in one packet.
func BenchmarkPipelined(b *testing.B) {
	a := newFakeAccount()
	a.fill("INBOX", 100)
	conn, r := serving(b, a)
	commands := strings.Repeat("s UID FETCH 1 FLAGS\r\n", 100)
	b.ReportAllocs()
	for b.Loop() {
		ask(b, conn, r, commands, 100)
	}
}

// What a session costs while it waits, the connection's own structures and
// the fake mailbox included. The client has used a slow command before.
func BenchmarkIdleSession(b *testing.B) {
	const n = 1000
	srv := New(Config{})
	a := newFakeAccount()
	a.boxes["INBOX"].deliver(simple, a.now, Row{})
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	for b.Loop() {
		before, goroutines := memory(), runtime.NumGoroutine()
		conns := make([]net.Conn, n)
		done := make(chan Summary, n)
		for i := range conns {
			var ours net.Conn
			ours, conns[i] = tcp(b)
			go func() {
				done <- srv.Serve(context.Background(), ours, Start{Account: a})
				_ = ours.Close()
			}()
			r := bufio.NewReaderSize(conns[i], 1<<10)
			ask(b, conns[i], r, "s SELECT INBOX\r\n", 1)
			ask(b, conns[i], r, "s UID FETCH 1 BODY.PEEK[]\r\n", 1)
		}
		b.ReportMetric(float64(memory()-before)/n, "B/session")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/n, "goroutines/session")
		for _, c := range conns {
			_ = c.Close()
			<-done
		}
	}
}
