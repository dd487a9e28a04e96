package authserver

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/wiretest"
)

// FuzzServe sends arbitrary bytes to each type of listener, after a handshake
// or instead of one: the server neither panics nor hangs.
func FuzzServe(f *testing.F) {
	f.Add(uint8(0), true, []byte("AUTH\t1\tPLAIN\tservice=smtp\tresp=AGFsaWNlAHB3\nCONT\t1\tAAAA\nCANCEL\t1\n"))
	f.Add(uint8(1), true, []byte("AUTH\t1\tLOGIN\tservice=imap\nCONT\t1\tYWxpY2U=\n"))
	f.Add(uint8(2), true, []byte("USER\t1\talice\tservice=lmtp\nLIST\t2\n"))
	f.Add(uint8(3), true, []byte("REQUEST\t1\t2\t3\tff\tsession_pid=1\nCACHE-FLUSH\t1\n"))
	f.Add(uint8(4), false, []byte("VERSION\t1\n\n\x01\n"))
	f.Fuzz(func(t *testing.T, kind uint8, greet bool, in []byte) {
		w := &world{released: make(chan struct{})}
		close(w.released)
		srv := New(Config{Auth: w, Directory: w})
		client, server := wiretest.Pair(t)
		done := make(chan struct{})
		go func() {
			_ = srv.Serve(t.Context(), server, Kind(kind%6), Peer{PID: 900})
			close(done)
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		if greet {
			hello := "VERSION\t1\t2\n"
			if Kind(kind%6) <= Login {
				hello += "CPID\t7\n"
			}
			_, _ = client.Write([]byte(hello))
		}
		_, _ = client.Write(in)
		_ = client.Close()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Fatal("the server does not end with its connection")
		}
	})
}

// FuzzRequest checks the AUTH line's parser: no panic, and never a request
// without id, mechanism handling or service.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("1\tPLAIN\tservice=smtp\trip=::ffff:192.0.2.1\trport=99999\tresp=AA=="))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if dovecotauth.Check(raw) != nil {
			return
		}
		r, err := parseRequest(bytes.Clone(raw))
		if err == nil && (r.ID == 0 || r.Service == "") {
			t.Fatalf("%q gave %+v", raw, r)
		}
	})
}
