package netx

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/tlsx"
)

func streamPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	local, remote, err := SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	peer, err := StreamConn(remote)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = local.Close(), peer.Close() })
	return local, peer
}

func TestWaitReadable(t *testing.T) {
	a, b := streamPair(t)
	for range 3 { // also after it has waited before
		got := make(chan error)
		go func() { got <- WaitReadable(a) }()
		_, _ = b.Write([]byte("x"))
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		if err := WaitReadable(a); err != nil {
			t.Fatalf("waiting consumed something: %v", err)
		}
		if n, err := a.Read(make([]byte, 10)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	_ = a.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := WaitReadable(a); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	_ = a.SetReadDeadline(time.Time{})
	go func() { _ = b.Close() }()
	if err := WaitReadable(a); err != nil {
		t.Fatalf("the end of file is readable: %v", err)
	}
	if n, err := a.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatal(n, err)
	}

	a, _ = streamPair(t)
	got := make(chan error)
	go func() { got <- WaitReadable(a) }()
	_ = a.Close()
	if err := <-got; !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

// TestLazyUnderTLS: a reader that waits only when nothing can be decrypted
// must never miss bytes, however records and segments fall.
func TestLazyUnderTLS(t *testing.T) {
	cert, key, err := tlsx.SelfSigned([]string{"localhost"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	a, b := streamPair(t)
	lazy, err := NewLazy(a)
	if err != nil {
		t.Fatal(err)
	}
	server := tls.Server(lazy, &tls.Config{Certificates: []tls.Certificate{pair}})
	client := tls.Client(b, &tls.Config{InsecureSkipVerify: true})
	const total = 300_000
	sent, begin := make(chan error, 1), make(chan struct{})
	go func() {
		if err := client.HandshakeContext(context.Background()); err != nil {
			sent <- err
			return
		}
		<-begin
		left := total
		for size := 1; left > 0; size = size*7%20011 + 1 { // records of all sizes, whole and cut
			n := min(size, left)
			if _, err := client.Write(make([]byte, n)); err != nil {
				sent <- err
				return
			}
			left -= n
		}
		sent <- client.CloseWrite()
	}()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	lazy.SetLazy(true)
	got, waits := 0, 0
	buf := make([]byte, 777)
	for {
		n, err := server.Read(buf)
		got += n
		if errors.Is(err, ErrWouldBlock) {
			if waits++; waits == 1 {
				close(begin) // the first wait is certain, nothing was sent yet
			}
			if err := lazy.Wait(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if got != total || waits == 0 {
		t.Fatalf("%d of %d bytes, %d waits", got, total, waits)
	}
}

func TestLazyPlain(t *testing.T) {
	a, b := streamPair(t)
	lazy, err := NewLazy(Unread(a, []byte("first")))
	if err != nil {
		t.Fatal(err)
	}
	lazy.SetLazy(true)
	buf := make([]byte, 10)
	if n, err := lazy.Read(buf); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := lazy.Read(buf); !errors.Is(err, ErrWouldBlock) || !ErrWouldBlock.Timeout() {
		t.Fatal(err)
	}
	_, _ = b.Write([]byte("x"))
	if n, err := lazy.Read(buf); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	lazy.SetLazy(false)
	go func() { _, _ = b.Write([]byte("yy")) }()
	if n, err := lazy.Read(buf); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	_ = CloseWrite(lazy)
	if _, err := b.Read(buf); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}
