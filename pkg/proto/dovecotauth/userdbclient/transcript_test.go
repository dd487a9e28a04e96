package userdbclient

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/wiretest"
)

// TestTranscripts plays testdata/*.txt with the file as the server. "do:" lines
// are calls (user NAME, behalf
// NAME, pass NAME, flush NAME…, redeem, list MASK), "want:" lines what they returned.
func TestTranscripts(t *testing.T) {
	for _, file := range wiretest.Files(t, "testdata/*.txt") {
		t.Run(filepath.Base(file), func(t *testing.T) { play(t, file) })
	}
}

func play(t *testing.T, file string) {
	conns := make(chan net.Conn, 1)
	c := New(Config{Patience: time.Nanosecond, Dial: func(context.Context) (net.Conn, error) {
		a, b := wiretest.Pair(t)
		conns <- b
		return a, nil
	}})
	defer c.Close()
	results := make(chan string, 1)
	var p *wiretest.Player
	for _, s := range wiretest.Read(t, file) {
		switch s.Word {
		case "do":
			go func() { results <- do(t, c, s.Text) }()
		case "want":
			if got := <-results; got != s.Text {
				t.Fatalf("%s:%d: want %q, got %q", file, s.Line, s.Text, got)
			}
		case "accept":
			p = wiretest.NewPlayer(t, file, <-conns)
		case "C":
			if !p.Expect(s) {
				return
			}
		case "S":
			if s.Text == "EOF" {
				_ = p.Conn.Close()
				continue
			}
			p.Send(s)
		default:
			t.Fatalf("%s:%d: what is %q?", file, s.Line, s.Word)
		}
	}
}

func do(t *testing.T, c *Client, call string) string {
	verb, arg, _ := strings.Cut(call, " ")
	var r UserRecord
	var err error
	switch verb {
	case "user":
		r, err = c.User(t.Context(), arg, "lmtp")
	case "behalf":
		r, err = c.Lookup(t.Context(), Query{
			User: arg, Service: "lmtp", Session: "s1", LocalName: "mx", Forward: dovecotauth.Fields{{Key: "a", Value: "1"}},
			LocalAddr: netip.MustParseAddrPort("192.0.2.2:24"), RemoteAddr: netip.MustParseAddrPort("[::ffff:192.0.2.1]:0"),
		})
	case "pass":
		r, err = c.Pass(t.Context(), Query{User: arg, Service: "imap"})
		if err == nil {
			return strings.Join(r.Fields.Params(), " ")
		}
	case "flush":
		n, err := c.Flush(t.Context(), strings.Fields(arg)...)
		if err != nil {
			return fail.KindOf(err).String()
		}
		return fmt.Sprint(n)
	case "redeem":
		r, err = c.Redeem(t.Context(), 77, 5, "c00c1e", 900)
	case "list":
		var names []string
		for name, err := range c.List(t.Context(), arg) {
			if err != nil {
				names = append(names, fail.KindOf(err).String())
				break
			}
			names = append(names, name)
		}
		return strings.Join(names, " ")
	}
	if err != nil {
		return fail.KindOf(err).String()
	}
	return fmt.Sprintf("%s uid %d gid %d home %q mail %q class %q quota %q", r.User, r.UID, r.GID, r.Home, r.Mail, r.Class, r.Quota)
}

// An arbitrary server makes a client neither hang nor invent a user.
func FuzzReplies(f *testing.F) {
	f.Add([]byte("USER\t1\talice\tuid=1\tgid=2\thome=/h\n"))
	f.Add([]byte("NOTFOUND\t1\n"))
	f.Add([]byte("FAIL\t1\tcode=temp_fail\treason=x\n"))
	f.Add([]byte("LIST\t1\ta\nLIST\t1\tb\nDONE\t1\tfail\n"))
	f.Fuzz(func(t *testing.T, replies []byte) {
		dial := func(context.Context) (net.Conn, error) {
			a, b := wiretest.Pair(t)
			_, _ = b.Write([]byte("VERSION\t1\t1\nSPID\t1\n"))
			go func() {
				r := dovecotauth.NewReader(b)
				for range 2 { // VERSION, then the request
					if _, err := r.Next(); err != nil {
						return
					}
				}
				_, _ = b.Write(replies)
				_ = b.Close()
			}()
			return a, nil
		}
		c := New(Config{Patience: time.Nanosecond, Dial: dial})
		defer c.Close()
		if r, err := c.User(t.Context(), "alice", "lmtp"); err == nil && r.User == "" {
			t.Fatalf("a record of nobody: %+v", r)
		}
		for range c.List(t.Context(), "*") {
			continue
		}
	})
}

// Dovecot hangs up on lines over 1024 bytes: what is only good to know stays
// out then, and a name that is too long is nobody's.
func TestLongRequests(t *testing.T) {
	a, b := wiretest.Pair(t)
	c := New(Config{Dial: func(context.Context) (net.Conn, error) { return a, nil }})
	defer c.Close()
	p := wiretest.NewPlayer(t, "long", b)
	p.Send(wiretest.Step{Text: `VERSION\t1\t1\nSPID\t1`})
	long := strings.Repeat("x", 1024)
	if _, err := c.User(t.Context(), long, "lmtp"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	go func() {
		p.Expect(wiretest.Step{Text: `VERSION\t1\t1`})
		p.Expect(wiretest.Step{Text: `USER\t1\tbob\tservice=lmtp`})
		p.Send(wiretest.Step{Text: `NOTFOUND\t1`})
	}()
	if _, err := c.Lookup(t.Context(), Query{User: "bob", Service: "lmtp", Session: long}); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

// A server that hangs is an outage after the request timeout, is not asked
// again for this request, and is left for a new connection at the next one.
func TestHangingServer(t *testing.T) {
	dials := make(chan net.Conn, 8)
	c := New(Config{RequestTimeout: 20 * time.Millisecond, Dial: func(context.Context) (net.Conn, error) {
		a, b := wiretest.Pair(t)
		_, _ = b.Write([]byte("VERSION\t1\t1\nSPID\t1\n"))
		dials <- b
		return a, nil
	}})
	defer c.Close()
	for n := 1; n <= 2; n++ {
		if _, err := c.User(t.Context(), "alice", "lmtp"); !fail.Is(err, fail.Unavailable) {
			t.Fatal(err)
		}
		if len(dials) != n {
			t.Errorf("%d connections after %d requests", len(dials), n)
		}
	}
}
