package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// fake is a server that says what a test wants: reply holds, by verb ("." is
// the end of data, "220" the greeting, "354" the reply to DATA, "*" the rest),
// what it answers. It keeps a log of what it heard.
type fake struct {
	reply map[string]string
	rcpt  func(line string) string // reply to RCPT, if not nil
	bdat  func(line string) string // reply to BDAT, if not nil

	mu     sync.Mutex
	log    []string
	chunks []byte // that came by BDAT
	done   chan struct{}
}

// Faults in place of a reply; hang also as the last line of one.
const (
	stall = "(stall)"
	hang  = "(hang up)"
)

// start serves one connection and returns the client's end.
func (f *fake) start(t testing.TB) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	quit := make(chan struct{})
	f.done = done
	go func() {
		defer close(done)
		defer server.Close()
		f.serve(server, quit)
	}()
	t.Cleanup(func() {
		close(quit)
		client.Close()
		server.Close()
		<-done
	})
	return client
}

func (f *fake) serve(conn net.Conn, quit chan struct{}) {
	in := bufio.NewReader(conn)
	say := func(verb, normal string) bool {
		text, ok := f.reply[verb]
		if !ok {
			text = normal
		}
		switch text {
		case stall:
			<-quit
			return false
		case hang:
			return false
		case "":
			return true
		}
		text, ends := strings.CutSuffix(text, "\n"+hang)
		_, err := io.WriteString(conn, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n")
		return err == nil && !ends
	}
	if !say("220", "220 fake") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		f.note(line)
		verb := strings.ToUpper(strings.Fields(line + " .")[0])
		normal := map[string]string{"EHLO": "250-fake\n250-PIPELINING\n250-SIZE 1000000\n250-8BITMIME\n250 DSN", "LHLO": "250-fake\n250 PIPELINING", "DATA": "354 go", "QUIT": "221 bye"}[verb]
		if normal == "" {
			normal = "250 ok"
		}
		if verb == "RCPT" && f.rcpt != nil {
			normal = f.rcpt(line)
		}
		if verb == "BDAT" && f.bdat != nil {
			normal = f.bdat(line)
		}
		if verb == "BDAT" && !f.chunk(in, line) || !say(verb, normal) {
			return
		}
		if text := f.reply[verb]; verb == "DATA" && (text == "" || strings.HasPrefix(text, "354")) {
			if !f.content(in) || !say(".", "250 taken") {
				return
			}
		}
		if verb == "QUIT" {
			return
		}
	}
}

// chunk reads what a BDAT line announces; a server that knows no BDAT takes it
// for commands.
func (f *fake) chunk(in *bufio.Reader, line string) bool {
	if strings.HasPrefix(f.reply["BDAT"], "500") {
		return true
	}
	var size int
	if _, err := fmt.Sscanf(line, "BDAT %d", &size); err != nil {
		return false
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(in, b); err != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chunks = append(f.chunks, b...)
	return true
}

// taken returns what came by BDAT since the last call.
func (f *fake) taken() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := string(f.chunks)
	f.chunks = nil
	return got
}

func (f *fake) content(in *bufio.Reader) bool {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			f.note("content without end: " + b.String())
			return false
		}
		if line == ".\r\n" {
			f.note("content: " + b.String())
			return true
		}
		b.WriteString(line)
	}
}

func (f *fake) note(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, s)
}

// heardAll is what was said until the client had hung up.
func (f *fake) heardAll() string {
	<-f.done
	return f.heard()
}

func (f *fake) heard() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.log, "\n")
}

// quick limits the wait for the reply to one command, for a server that stalls
// there. What a server answers has the time of the defaults.
func quick(at string) Timeouts {
	const d = 50 * time.Millisecond
	switch at {
	case "220":
		return Timeouts{Greeting: d}
	case "EHLO":
		return Timeouts{Hello: d}
	case "AUTH":
		return Timeouts{Auth: d}
	case "MAIL":
		return Timeouts{Mail: d}
	case "RCPT":
		return Timeouts{Rcpt: d}
	case "DATA":
		return Timeouts{Data: d}
	case ".", "BDAT":
		return Timeouts{Done: d}
	}
	return Timeouts{Reset: d}
}

func address(t testing.TB, s string) addr.Address {
	t.Helper()
	a, err := addr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func envelope(t testing.TB, from string, to ...string) Envelope {
	t.Helper()
	env := Envelope{From: address(t, from)}
	for _, r := range to {
		env.To = append(env.To, Recipient{To: address(t, r)})
	}
	return env
}

func open(t testing.TB, f *fake, cfg Config) *Conn {
	t.Helper()
	cfg.Name = "client.test"
	c, err := New(context.Background(), f.start(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func siteError(t testing.TB, err error, stage Stage) *SiteError {
	t.Helper()
	var site *SiteError
	if !errors.As(err, &site) {
		t.Fatalf("%v is no SiteError", err)
	}
	if site.Stage != stage {
		t.Errorf("failed at %q, want %q (%v)", site.Stage, stage, err)
	}
	return site
}

var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	cert, key, err := tlsx.SelfSigned([]string{"mx.test"}, time.Now(), time.Hour)
	if err != nil {
		panic(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pair, pool
})

func trust() *tls.Config {
	_, pool := certificate()
	return &tls.Config{RootCAs: pool, ServerName: "mx.test"}
}
