package authclient

import (
	"context"
	"errors"
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
// are calls, "want:" lines what they returned:
//
// "binding: DATA", at the beginning, is the channel binding of all requests.
//
//	do: start PLAIN alice-initial-response   (or - for none, = for an empty one)
//	do: next response
//	do: cancel
//	want: ok alice | challenge text | denied user code reason | unavailable | invalid
func TestTranscripts(t *testing.T) {
	for _, file := range wiretest.Files(t, "testdata/*.txt") {
		t.Run(filepath.Base(file), func(t *testing.T) { play(t, file) })
	}
}

type script struct {
	t       *testing.T
	client  *Client
	x       *Exchange
	results chan string
	binding string // of type tls-exporter; empty: the client can bind nothing
}

func play(t *testing.T, file string) {
	conns := make(chan net.Conn, 1)
	sc := &script{t: t, results: make(chan string, 1)}
	steps := wiretest.Read(t, file)
	if steps[0].Word == "binding" {
		sc.binding, steps = steps[0].Text, steps[1:]
	}
	sc.client = New(Config{PID: 77, ChannelBinding: sc.binding != "", Patience: time.Nanosecond, Dial: func(context.Context) (net.Conn, error) {
		a, b := wiretest.Pair(t)
		conns <- b
		return a, nil
	}})
	defer sc.client.Close()
	var p *wiretest.Player
	for _, s := range steps {
		switch s.Word {
		case "do":
			go sc.do(s.Text)
		case "want":
			if got := <-sc.results; got != s.Text {
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

func (sc *script) do(call string) {
	verb, rest, _ := strings.Cut(call, " ")
	ctx := sc.t.Context()
	var step Step
	var err error
	switch verb {
	case "start":
		mech, ir, _ := strings.Cut(rest, " ")
		r := Request{
			Mech: mech, Service: "imap", Session: "s/1", Secured: true,
			LocalAddr: netip.MustParseAddrPort("192.0.2.2:143"), RemoteAddr: netip.MustParseAddrPort("[::ffff:192.0.2.1]:40000"),
		}
		if sc.binding != "" {
			r.FinalOK, r.Binding = true, sc.bind
		}
		switch ir {
		case "-":
		case "=":
			r.Initial = []byte{}
		default:
			r.Initial = []byte(strings.ReplaceAll(ir, `\0`, "\x00"))
		}
		sc.x, step, err = sc.client.Start(ctx, r)
	case "next":
		step, err = sc.x.Next(ctx, []byte(rest))
	case "cancel":
		sc.x.Cancel()
		return
	}
	sc.results <- describe(step, err)
}

func (sc *script) bind(kind string) ([]byte, error) {
	if kind != "tls-exporter" {
		return nil, errors.New("no such binding")
	}
	return []byte(sc.binding), nil
}

func describe(step Step, err error) string {
	switch {
	case fail.Is(err, fail.Denied):
		f := AsFailure(err)
		return strings.TrimSpace(fmt.Sprintf("denied %s %s %s", f.User, f.Code, f.Reason))
	case err != nil:
		return fail.KindOf(err).String()
	case step.Done:
		r := step.Result
		text := fmt.Sprintf("ok %s by pid %d request %d cookie %s", r.User, r.PID, r.RequestID, r.Cookie)
		if r.Final != nil {
			text += " final " + string(r.Final)
		}
		if reason, no := r.Forbidden(); no {
			text += " forbidden " + reason
		}
		return text
	}
	return "challenge " + string(step.Challenge)
}

// A server that hangs costs the caller its deadline, and a CANCEL.
func TestCallerDeadline(t *testing.T) {
	a, b := wiretest.Pair(t)
	c := New(Config{Dial: func(context.Context) (net.Conn, error) { return a, nil }})
	defer c.Close()
	p := wiretest.NewPlayer(t, "deadline", b)
	p.Send(wiretest.Step{Text: `VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nDONE`})
	if m, err := c.Mechanisms(t.Context()); err != nil || len(m) != 1 || !m[0].Plaintext {
		t.Fatalf("%v %v", m, err)
	}
	p.Expect(wiretest.Step{Text: `VERSION\t1\t2`})
	p.Expect(wiretest.Step{Text: `CPID\t<pid>`})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		p.Expect(wiretest.Step{Text: `AUTH\t1\tPLAIN\tservice=smtp\tnologin`})
		cancel()
	}()
	_, _, err := c.Start(ctx, Request{Mech: "PLAIN", Service: "smtp", NoLogin: true})
	if !fail.Is(err, fail.Unavailable) {
		t.Fatal(err)
	}
	p.Expect(wiretest.Step{Text: `CANCEL\t1`})
}

func TestRequestLine(t *testing.T) {
	for _, tc := range []struct {
		r    Request
		want string
	}{
		{
			Request{Mech: "PLAIN", Service: "smtp", NoLogin: true, Initial: []byte{}},
			"AUTH\t9\tPLAIN\tservice=smtp\tnologin\tresp=\n",
		},
		{
			Request{
				Mech: "LOGIN", Service: "imap", TLSProtocol: "TLSv1.3", TLSCipher: "X", LocalName: "mx\texample",
				RemoteAddr: netip.MustParseAddrPort("[fe80::1%eth0]:7"), ClientID: "name mutt", NoPenalty: true,
			},
			"AUTH\t9\tLOGIN\tservice=imap\tsecured=tls\tno-penalty\trip=fe80::1\trport=7\tlocal_name=mx\x01texample\tclient_id=name mutt\ttls_protocol=TLSv1.3\ttls_cipher=X\n",
		},
		{
			Request{
				Mech: "SCRAM-SHA-256", Service: "imap", Secured: true, TLSProtocol: "TLSv1.3", TLSCipher: "X", TLSCipherBits: 128, TLSPFS: "X25519",
				ClientCert: true, CertUser: "bob", Session: "s", Debug: true, FinalOK: true,
				LocalAddr: netip.MustParseAddrPort("192.0.2.2:993"), RemoteAddr: netip.MustParseAddrPort("192.0.2.1:4000"),
				RealLocalAddr: netip.MustParseAddrPort("10.0.0.2:1993"), RealRemoteAddr: netip.MustParseAddrPort("10.0.0.1:5000"),
				Forward: dovecotauth.Fields{{Key: "a", Value: "1"}, {Key: "b", Value: "x\ty"}},
			},
			"AUTH\t9\tSCRAM-SHA-256\tservice=imap\tfinal-resp-ok\tsecured=tls\tvalid-client-cert\tdebug\tsession=s\tcert_username=bob" +
				"\tlip=192.0.2.2\trip=192.0.2.1\tlport=993\trport=4000\treal_lip=10.0.0.2\treal_rip=10.0.0.1\treal_lport=1993\treal_rport=5000" +
				"\tforward_fields=a=1\x01tb=x\x011ty\ttls_protocol=TLSv1.3\ttls_cipher=X\ttls_cipher_bits=128\ttls_pfs=X25519\n",
		},
		{
			Request{Mech: "EXTERNAL", Service: "imap", CertUser: "bob"}, // without a certificate
			"AUTH\t9\tEXTERNAL\tservice=imap\n",
		},
	} {
		if got := string(appendAuth(nil, 9, tc.r.params())); got != tc.want {
			t.Errorf("got %q", got)
		}
	}
	c := New(Config{Dial: func(context.Context) (net.Conn, error) { panic("must not dial") }})
	for _, r := range []Request{
		{Service: "smtp"},
		{Mech: "PLAIN"},
		{Mech: "PL AIN", Service: "smtp"},
		{Mech: "PLAIN", Service: "smtp", Initial: make([]byte, 13000)},
	} {
		if _, _, err := c.Start(t.Context(), r); !fail.Is(err, fail.Invalid) {
			t.Errorf("%v: %v", r.Mech, err)
		}
	}
}

// FuzzReplies lets an arbitrary server answer one request: the client returns.
func FuzzReplies(f *testing.F) {
	f.Add([]byte("OK\t1\tuser=alice\t\n"))
	f.Add([]byte("CONT\t1\tAAAA\nFAIL\t1\ttemp\n"))
	f.Add([]byte("CONT\t1\t#\tchannel_binding=tls-exporter\nCONT\t1\tAAAA\tchannel_binding=\nOK\t1\tuser=a\tresp=AAAA\n"))
	f.Add([]byte("FAIL\t1\tuser=\x01\x01\tcode=temp_fail\n\n\x00\n"))
	f.Fuzz(func(t *testing.T, replies []byte) {
		a, b := wiretest.Pair(t)
		c := New(Config{Patience: time.Nanosecond, Dial: func(context.Context) (net.Conn, error) {
			if a == nil {
				return nil, fail.New(fail.Unavailable, "gone")
			}
			defer func() { a = nil }()
			return a, nil
		}})
		defer c.Close()
		_, _ = b.Write([]byte("VERSION\t1\t2\nMECH\tPLAIN\nDONE\n"))
		go func() {
			r := dovecotauth.NewReader(b)
			for range 3 { // VERSION, CPID, AUTH
				if _, err := r.Next(); err != nil {
					return
				}
			}
			_, _ = b.Write(replies)
			_ = b.Close()
		}()
		x, step, err := c.Start(t.Context(), Request{
			Mech: "PLAIN", Service: "smtp", Initial: []byte("x"),
			Binding: func(string) ([]byte, error) { return []byte("b"), nil },
		})
		if err == nil && !step.Done {
			_, err = x.Next(t.Context(), []byte("y"))
		}
		if err == nil && step.Done && step.Result.User == "" {
			t.Fatal("logged in as nobody")
		}
	})
}
