package authserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/wiretest"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// shake serves a connection of kind up to the end of both greetings. ended gets
// what Serve returned.
func shake(t testing.TB, srv *Server, kind Kind) (client net.Conn, r *dovecotauth.Reader, ended chan error) {
	client, server := wiretest.Pair(t)
	_ = client.SetDeadline(time.Now().Add(20 * time.Second))
	ended = make(chan error, 1)
	go func() { ended <- srv.Serve(t.Context(), server, kind, Peer{}) }()
	_, _ = client.Write([]byte("VERSION\t1\t2\nCPID\t7\n"))
	r = dovecotauth.NewReader(client)
	for l := (dovecotauth.Line{}); l.Verb != "DONE"; {
		var err error
		if l, err = r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	return client, r, ended
}

// Dovecot's limits: a line of 16384 bytes, a SASL response of 8192.
func TestLineAndResponseLimits(t *testing.T) {
	w := &world{}
	srv := New(Config{Auth: w, Directory: w})
	client, r, ended := shake(t, srv, Client)
	padded := func(size int) string {
		head, tail := "AUTH\t1\tPLAIN\tservice=imap\tx=", "\tresp=AGFsaWNlAHB3"
		return head + strings.Repeat("y", size-len(head)-len(tail)) + tail + "\n"
	}
	response := func(id string, size int) string {
		return "AUTH\t" + id + "\tPLAIN\tservice=imap\tresp=" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("z"), size)) + "\n"
	}
	for _, tc := range []struct{ line, want string }{
		{padded(dovecotauth.MaxLine), "OK"},
		{response("2", sasl.MaxResponse), "FAIL\t2"},
		{response("3", sasl.MaxResponse+1), "FAIL\t3\tcode=invalid_base64"},
		{"AUTH\t4\tPLAIN\tservice=imap\tresp=AGFsaWNlAHB3\n", "OK"},
	} {
		_, _ = io.WriteString(client, tc.line)
		l, err := r.Next()
		if got := strings.Join(append([]string{l.Verb}, l.Params...), "\t"); err != nil || !strings.HasPrefix(got, tc.want) {
			t.Errorf("%.40q…: %q %v, want %q", tc.line, got, err, tc.want)
		}
	}
	_, _ = io.WriteString(client, padded(dovecotauth.MaxLine+1))
	if err := <-ended; !errors.Is(err, dovecotauth.ErrLineTooLong) {
		t.Error(err)
	}
}

// What one connection may have running is bounded, and too much is an outage.
func TestRequestLimit(t *testing.T) {
	w := &world{}
	srv := New(Config{Auth: w, Directory: w, MaxRequests: 2})
	client, r, _ := shake(t, srv, Client)
	_, _ = io.WriteString(client, "AUTH\t1\tLOGIN\tservice=imap\nAUTH\t2\tLOGIN\tservice=imap\nAUTH\t3\tLOGIN\tservice=imap\n")
	verbs := map[string]string{}
	for range 3 {
		l, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		verbs[l.Param(0)] = l.Verb + " " + l.Fields(1).Get("code")
	}
	if verbs["1"] != "CONT " || verbs["2"] != "CONT " || verbs["3"] != "FAIL temp_fail" {
		t.Error(verbs)
	}
}

// A login that nobody redeems does not pile up without end.
func TestLoginLimit(t *testing.T) {
	w := &world{immediate: true}
	srv := New(Config{Auth: w, Directory: w, MaxLogins: 1})
	client, r, _ := shake(t, srv, Login)
	_, _ = io.WriteString(client, "AUTH\t1\tPLAIN\tservice=imap\tresp=AGFsaWNlAHB3\nAUTH\t2\tPLAIN\tservice=imap\tresp=AGFsaWNlAHB3\n")
	for _, want := range []string{"OK", "FAIL"} {
		if l, err := r.Next(); err != nil || l.Verb != want {
			t.Fatal(l, err)
		}
	}
}

// A peer that reads no replies loses its connection when the write deadline is
// over, and its memory with it.
func TestPeerThatDoesNotRead(t *testing.T) {
	for _, immediate := range []bool{false, true} {
		w := &world{immediate: immediate}
		srv := New(Config{Auth: w, Directory: w, WriteTimeout: 200 * time.Millisecond})
		client, _, ended := shake(t, srv, Client)
		go func() {
			for id := 1; ; id++ {
				if _, err := fmt.Fprintf(client, "AUTH\t%d\tPLAIN\tservice=imap\tresp=AGFsaWNlAHB3\n", id); err != nil {
					return
				}
			}
		}()
		if err := <-ended; err == nil {
			t.Error("it was served to the end")
		}
		_ = client.Close()
	}
}

// An outage closes the connections of Postfix and Exim, whoever runs the step,
// and nobody else's.
func TestOutageByMinorVersion(t *testing.T) {
	const request = "AUTH\t1\tPLAIN\tservice=smtp\tresp=AGVyaW4AcHc=\n" // \0erin\0pw
	for _, immediate := range []bool{false, true} {
		var reported []error
		w := &world{immediate: immediate}
		srv := New(Config{Auth: w, Directory: w, Report: func(err error) { reported = append(reported, err) }})
		for minor, want := range map[string]string{"0": "", "1": "temp_fail", "2": "temp_fail", "4": "temp_fail", "x": ""} {
			client, server := wiretest.Pair(t)
			ended := make(chan error, 1)
			go func() { ended <- srv.Serve(t.Context(), server, Client, Peer{}) }()
			_, _ = io.WriteString(client, "VERSION\t1\t"+minor+"\nCPID\t7\n"+request)
			r := dovecotauth.NewReader(client)
			var last dovecotauth.Line
			var err error
			for err == nil && last.Verb != "FAIL" {
				last, err = r.Next()
			}
			if got := last.Fields(1).Get("code"); got != want {
				t.Errorf("minor %s: %q, want %q", minor, got, want)
			}
			_ = client.Close()
			if err := <-ended; (want == "") != errors.Is(err, ErrOutage) {
				t.Errorf("minor %s: %v", minor, err)
			}
		}
		if len(reported) != 5 || !fail.Is(reported[0], fail.Unavailable) {
			t.Errorf("reported: %v", reported)
		}
	}
}

// A step that runs where its line was read and then waits lets the next lines
// be read; when it ends, nothing is left of it.
func TestWaitingStepFreesTheReader(t *testing.T) {
	w := &world{immediate: true, released: make(chan struct{})}
	srv := New(Config{Auth: w, Directory: w})
	client, r, ended := shake(t, srv, Client)
	for range 3 { // three readers give way one after the other
		for _, lines := range []string{"AUTH\t1\tPLAIN\tservice=imap\tresp=AHNsb2FuAHB3\n", "CANCEL\t1\n"} {
			_, _ = io.WriteString(client, lines+"AUTH\t2\tPLAIN\tservice=imap\tresp=AGFsaWNlAHB3\n")
			if l, err := r.Next(); err != nil || l.Verb != "OK" || l.Param(0) != "2" {
				t.Fatal(l, err)
			}
		}
	}
	_, _ = io.WriteString(client, "AUTH\t3\tPLAIN\tservice=imap\tresp=AHNsb2FuAHB3\n")
	close(w.released)
	if l, err := r.Next(); err != nil || l.Verb != "OK" || l.Param(0) != "3" {
		t.Fatal(l, err)
	}
	_ = client.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// Of a connection whose peer is silent there is one goroutine, which has run no
// request; nothing of what was said gets lost, and the stop reaches it.
func TestSilence(t *testing.T) {
	w := &world{immediate: true}
	srv := New(Config{Auth: w, Directory: w})
	srv.silenceAfter = time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	client, server := wiretest.Pair(t)
	_ = client.SetDeadline(time.Now().Add(20 * time.Second))
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, server, Client, Peer{}) }()
	r := dovecotauth.NewReader(client)
	const request = "AUTH\t1\tPLAIN\tservice=imap\tresp=AGFsaWNlAHB3\n"
	for _, said := range []string{"VERSION\t1\t2\nCPID\t7\n" + request, request[:9], request[9:] + request[:20], request[20:]} {
		_, _ = io.WriteString(client, said)
		for strings.HasSuffix(said, "\n") || strings.Contains(said, "\nAUTH") {
			l, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if l.Verb == "OK" {
				break
			}
		}
		waitFor(t, func() bool {
			all := make([]byte, 1<<20)
			stacks := string(all[:runtime.Stack(all, true)])
			return strings.Contains(stacks, ".(*clientConn).silence(") && !strings.Contains(stacks, ".(*clientConn).read(")
		})
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// waitFor polls for what other goroutines will have done soon.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

// The context of a step behaves like any other.
func TestStepContext(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	c := &clientConn{conn: &conn{s: New(Config{}), ctx: parent}, active: map[uint32]*exchange{}}
	step := func() (*exchange, *stepContext) {
		x := &exchange{c: c}
		x.step = &stepContext{x: x}
		return x, x.step
	}
	x, s := step()
	if s.Value(key{}) != "v" || s.Err() != nil {
		t.Error(s.Value(key{}), s.Err())
	}
	child, stop := context.WithCancel(s) // materializes
	defer stop()
	if _, ok := s.Deadline(); !ok || s.Value(key{}) != "v" {
		t.Error("no deadline")
	}
	c.remove(x)
	<-child.Done()
	if !errors.Is(s.Err(), context.Canceled) {
		t.Error(s.Err())
	}
	x, s = step()
	c.remove(x)
	if !errors.Is(s.Err(), context.Canceled) {
		t.Errorf("never asked before: %v", s.Err())
	}
	<-s.Done()
	_, s = step()
	cancel()
	<-s.Done()
	if !errors.Is(s.Err(), context.Canceled) {
		t.Error(s.Err())
	}
	Waiting(t.Context()) // outside of a step: nothing
}
