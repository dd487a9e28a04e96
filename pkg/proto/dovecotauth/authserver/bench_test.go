package authserver

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// known lets everybody in at once: what is measured is the protocol alone.
type known struct{ world }

func (known) Begin(r Request) (Exchange, error) { return grantAll{}, nil }

type grantAll struct{}

func (grantAll) Next(context.Context, []byte) (Step, error) {
	return Step{Done: true, User: "alice@example.org"}, nil
}
func (grantAll) Immediate() bool { return true }

// BenchmarkAuth is one AUTH line to its OK, window requests in flight on each of
// two connections.
func BenchmarkAuth(b *testing.B) {
	for _, window := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) { benchmarkAuth(b, window) })
	}
}

func benchmarkAuth(b *testing.B, window int) {
	srv := New(Config{Auth: &known{}, Directory: &world{}})
	lines := strings.Repeat("AUTH\t1\tPLAIN\tservice=imap\tsecured\tsession=abcdefgh\tlip=192.0.2.2\trip=192.0.2.1\tlport=143\trport=40000\tresp=AGFsaWNlQGV4YW1wbGUub3JnAHBhc3N3b3Jk\n", window)
	var wg sync.WaitGroup
	b.ReportAllocs()
	for range 2 {
		client, r, _ := shake(b, srv, Client)
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer client.Close()
			for range (b.N/2 + window - 1) / window {
				_, _ = io.WriteString(client, lines)
				for range window {
					if _, err := r.Raw(); err != nil {
						b.Error(err)
						return
					}
				}
			}
		}()
	}
	wg.Wait()
}

// BenchmarkIdleConnections is what a connection costs that has been used once
// and is silent: Postfix keeps one for each of its processes.
func BenchmarkIdleConnections(b *testing.B) {
	const count = 4000
	srv := New(Config{Auth: &known{}, Directory: &world{}})
	for b.Loop() {
		before := inUse()
		clients := make([]int, count)
		var serving sync.WaitGroup
		for i := range clients {
			server, client := rawPair(b)
			clients[i] = client
			serving.Add(1)
			go func() {
				defer serving.Done()
				_ = srv.Serve(b.Context(), server, Client, Peer{})
			}()
			use(b, client)
		}
		b.ReportMetric(float64(inUse()-before)/count, "B/connection")
		for _, fd := range clients {
			_ = unix.Close(fd)
		}
		serving.Wait()
	}
}

// use logs in once over a bare descriptor, so that the client's side costs
// nothing that counts.
func use(b *testing.B, fd int) {
	b.Helper()
	_, err := unix.Write(fd, []byte("VERSION\t1\t2\nCPID\t7\nAUTH\t1\tPLAIN\tservice=imap\tresp=AGEAYg==\n"))
	var got []byte
	buf := make([]byte, 1024)
	for err == nil && !strings.Contains(string(got), "OK\t1") {
		var n int
		n, err = unix.Read(fd, buf)
		got = append(got, buf[:max(n, 0)]...)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func rawPair(b *testing.B) (server net.Conn, client int) {
	b.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "server")
	defer f.Close()
	if server, err = net.FileConn(f); err != nil {
		b.Fatal(err)
	}
	return server, fds[1]
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// BenchmarkParseRequest is the parsing alone.
func BenchmarkParseRequest(b *testing.B) {
	line := []byte("1\tPLAIN\tservice=imap\tsecured\tsession=abcdefgh\tlip=192.0.2.2\trip=192.0.2.1\tlport=143\trport=40000\tresp=AGFsaWNlQGV4YW1wbGUub3JnAHBhc3N3b3Jk")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseRequest(line); err != nil { // no escapes in it: it stays as it is
			b.Fatal(err)
		}
	}
}
