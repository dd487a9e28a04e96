package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"
)

// serving starts a session on a and returns the client's end of it, with
// INBOX selected.
func serving(b *testing.B, a Account) (net.Conn, *bufio.Reader) {
	ours, theirs := tcp(b)
	done := make(chan Summary, 1)
	go func() { done <- New(Config{}).Serve(context.Background(), ours, Start{Account: a}) }()
	b.Cleanup(func() {
		_ = theirs.Close()
		<-done
		_ = ours.Close()
	})
	r := bufio.NewReaderSize(theirs, 4<<20) // a SORT answer is one line
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

// keyedAccount has the keys of every message at hand, as a mailbox with a warm
// cache has.
type keyedAccount struct {
	*fakeAccount
	keys []Keys // by UID, from 1
}

type keyedBox struct {
	Mailbox
	keys []Keys
}

func (a keyedAccount) Open(ctx context.Context, name string) (Mailbox, error) {
	mb, err := a.fakeAccount.Open(ctx, name)
	return keyedBox{mb, a.keys}, err
}

func (b keyedBox) EachKeys(_ context.Context, uids imap.UIDSet, fn func(uid uint32, k *Keys) bool) error {
	for _, g := range uids {
		for u := uint32(g.Start); u <= uint32(g.Stop); u++ {
			if !fn(u, &b.keys[u-1]) {
				return nil
			}
		}
	}
	return nil
}

// Sorting and threading of a mailbox whose keys are at hand.
func BenchmarkSortAndThread(b *testing.B) {
	const n = 100_000
	a := keyedAccount{newFakeAccount(), make([]Keys, n)}
	a.fill("INBOX", n)
	for i := range a.keys {
		k := &a.keys[i]
		k.Sent = a.now.Add(time.Duration(i*7919%n) * time.Minute)
		k.Subject = fmt.Sprintf("SUBJECT OF THREAD %d", i*104729%n/4)
		k.From = fmt.Sprintf("SENDER%d", i*31%1000)
		k.MessageID, k.Reply = uint64(i+1), i%4 > 0
		for r := i &^ 3; r < i; r++ {
			k.References = append(k.References, uint64(r+1))
		}
	}
	for _, c := range []string{
		"SORT (ARRIVAL) UTF-8 ALL", "SORT (DATE) UTF-8 ALL", "SORT (SUBJECT DATE) UTF-8 ALL", "SORT (FROM REVERSE SIZE) UTF-8 ALL",
		"UID SORT RETURN (COUNT) (DATE) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "THREAD REFS UTF-8 ALL", "THREAD ORDEREDSUBJECT UTF-8 ALL",
	} {
		b.Run(strings.ReplaceAll(c, " ", "_"), func(b *testing.B) {
			conn, r := serving(b, a)
			b.ReportAllocs()
			for b.Loop() {
				ask(b, conn, r, "s "+c+"\r\n", 1)
			}
		})
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
