package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/imap/wire/wiretest"
)

// asker knows alice, and one user for each way to fail.
type asker struct{ seen chan Attempt }

func (asker) Mechanisms(secured bool) []string {
	if !secured {
		return []string{"SCRAM-SHA-256"}
	}
	return []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "EXTERNAL"}
}

func (a asker) Authenticate(ctx context.Context, at Attempt, ask Ask) (Verdict, error) {
	if a.seen != nil {
		a.seen <- at
	}
	if strings.Trim(at.ClientID, printableASCII) != "" || len(at.ClientID) > maxClientID {
		panic("this is nothing to pass on: " + at.ClientID)
	}
	switch at.Mechanism {
	case "SCRAM-SHA-256":
		return converse(ctx, at, ask)
	case "EXTERNAL":
		name, err := at.Initial, error(nil)
		if !at.HasInitial {
			name, err = ask(ctx, nil)
		}
		if err == nil && len(name) == 0 {
			return Verdict{User: "certified"}, nil
		}
	}
	user, pass, err := credentials(ctx, at, ask)
	if err != nil {
		return Verdict{}, err
	}
	switch {
	case user == "alice" && pass == "secret":
		return Verdict{User: "alice@example.org", Token: 42}, nil
	case user == "outage":
		return Verdict{}, fail.New(fail.Unavailable, "auth socket: connection refused")
	case user == "disabled":
		return Verdict{}, &Refused{Code: imap.ResponseCodeAuthorizationFailed, Text: "Account is disabled."}
	case user == "slow":
		<-ctx.Done()
		return Verdict{}, ctx.Err()
	case user == "bad":
		return Verdict{}, fail.New(fail.Invalid, "user name")
	}
	return Verdict{}, fail.New(fail.Denied, "wrong password for %s", user)
}

func credentials(ctx context.Context, at Attempt, ask Ask) (user, pass string, err error) {
	if at.Mechanism == "LOGIN" {
		u, err := at.Initial, error(nil)
		if !at.HasInitial {
			u, err = ask(ctx, []byte("Username:"))
		}
		if err != nil {
			return "", "", err
		}
		p, err := ask(ctx, []byte("Password:"))
		return string(u), string(p), err
	}
	answer := at.Initial
	if !at.HasInitial {
		if answer, err = ask(ctx, nil); err != nil {
			return "", "", err
		}
	}
	f := strings.Split(string(answer), "\x00")
	if len(f) != 3 {
		return "", "", fail.New(fail.Invalid, "PLAIN response")
	}
	return f[1], f[2], nil
}

var printableASCII = func() string {
	var b strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		b.WriteByte(c)
	}
	return b.String()
}()

// example is RFC 7677's, the answers and what the server says to them: how a
// mechanism of several steps looks on the wire. The last answer is empty.
func example() [][2]string {
	return [][2]string{
		{"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"},
		{"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
		{"", ""},
	}
}

func converse(ctx context.Context, at Attempt, ask Ask) (Verdict, error) {
	answer, err := at.Initial, error(nil)
	if !at.HasInitial {
		answer, err = ask(ctx, nil)
	}
	steps := example()
	for i, s := range steps {
		switch {
		case err != nil:
			return Verdict{}, err
		case string(answer) != s[0]:
			return Verdict{}, fail.New(fail.Denied, "step %d: %q", i, answer)
		case i < len(steps)-1:
			answer, err = ask(ctx, []byte(s[1]))
		}
	}
	return Verdict{User: "user"}, nil
}

// TestTranscripts plays testdata. A Success is shown as a line "LOGIN …", so
// that the transcript can say when there is one and what it carries.
func TestTranscripts(t *testing.T) {
	cert, pool := certificate(t)
	wiretest.Dir(t, "testdata/*.txt", func(t *testing.T, name string) *wiretest.Script {
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		opt := Options{
			Auth: asker{}, Greeting: "Postcote ready.", ID: [][2]string{{"name", "Postcote"}},
			Secured: !strings.HasPrefix(name, "plain"), AllowPlaintext: strings.HasPrefix(name, "plain_allowed"),
			AuthTimeout: 20 * time.Millisecond,
		}
		if strings.HasPrefix(name, "plain") {
			opt.StartTLS = func(ctx context.Context, c net.Conn) (net.Conn, error) {
				tc := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
				return tc, tc.HandshakeContext(ctx)
			}
		}
		if name == "inactive" {
			opt.LoginTimeout = 50 * time.Millisecond
		}
		if name == "too_many_logins" {
			opt.MaxAuthFailed = 2
		}
		return &wiretest.Script{
			Dial:  func(int) net.Conn { return serve(ctx, t, opt) },
			Event: func([]string) error { cancel(); return nil },
			Upgrade: func(c net.Conn) (net.Conn, error) {
				tc := tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "localhost"})
				return tc, tc.Handshake()
			},
		}
	})
}

// serve runs an engine and returns the client's end.
func serve(ctx context.Context, t *testing.T, opt Options) net.Conn {
	ours, theirs := pipe(t)
	go func() {
		e := New(ours, opt)
		out := e.Run(ctx)
		for out.Success != nil {
			s := out.Success
			_, _ = s.Conn.Write([]byte("LOGIN " + s.Tag + " " + s.Mechanism + " " + s.Verdict.User + " " + string(s.Buffered) + "\r\n"))
			if !strings.HasPrefix(s.Tag, "refuse") {
				break
			}
			_ = e.Refuse(s, imap.ResponseCodeUnavailable, "Mail is not available.")
			out = e.Run(ctx)
		}
		_ = e.conn.Close()
	}()
	return theirs
}

func pipe(t *testing.T) (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if b, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if a, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// outcome plays input and returns how Run ended.
func outcome(t *testing.T, opt Options, input string) Outcome {
	ours, theirs := pipe(t)
	defer theirs.Close()
	if _, err := theirs.Write([]byte(input)); err != nil {
		t.Fatal(err)
	}
	_ = theirs.(*net.TCPConn).CloseWrite()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, theirs)
		close(done)
	}()
	out := New(ours, opt).Run(context.Background())
	_ = ours.Close()
	<-done
	return out
}

func TestOutcomes(t *testing.T) {
	opt := Options{Auth: asker{}, Secured: true}
	for input, want := range map[string]Outcome{
		"":                         {Reason: ReasonClosed},
		"a LOGOUT\r\n":             {Reason: ReasonLogout},
		"a\r\nb\r\nc\r\n":          {Reason: ReasonBadCommand},
		"a LOGIN bob x\r\n":        {Reason: ReasonClosed, Attempts: 1, User: "bob", Mechanism: "PLAIN"},
		"a LOGIN outage x\r\n":     {Reason: ReasonClosed, User: "outage", Mechanism: "PLAIN"},
		"a AUTHENTICATE LOGIN\r\n": {Reason: ReasonClosed, Mechanism: "LOGIN", InAuth: true},
		"a AUTHENTICATE SCRAM-SHA-256 biwsbj1ib2Iscj14\r\n": {Reason: ReasonClosed, Attempts: 1, User: "bob", Mechanism: "SCRAM-SHA-256"},
		"a AUTHENTICATE PLAIN\r\n*x":                        {Reason: ReasonClosed, Mechanism: "PLAIN", InAuth: true},
		// The password is the second answer and never becomes a user name.
		"a AUTHENTICATE LOGIN\r\n\r\nc2VjcmV0\r\n":          {Reason: ReasonClosed, Attempts: 1, User: "", Mechanism: "LOGIN"},
		"a AUTHENTICATE LOGIN\r\nYm9i\r\nc2VjcmV0\r\n":      {Reason: ReasonClosed, Attempts: 1, User: "bob", Mechanism: "LOGIN"},
		"a AUTHENTICATE LOGIN Ym9i\r\nc2VjcmV0\r\nb LOGOUT": {Reason: ReasonClosed, Attempts: 1, User: "bob", Mechanism: "LOGIN"},
	} {
		got := outcome(t, opt, input)
		if got.Reason != want.Reason || got.Attempts != want.Attempts || got.User != want.User || got.Mechanism != want.Mechanism || got.InAuth != want.InAuth {
			t.Errorf("%q ends as %+v, want %+v", input, got, want)
		}
	}
}

func TestSuccessCarriesWhatFollows(t *testing.T) {
	out := outcome(t, Options{Auth: asker{}, Secured: true}, "a LOGIN alice secret\r\nb SELECT INBOX\r\nc FET")
	s := out.Success
	if s == nil || s.Tag != "a" || string(s.Buffered) != "b SELECT INBOX\r\nc FET" || s.Verdict.Token != 42 {
		t.Errorf("%+v", out)
	}
}

func TestInitialResponse(t *testing.T) {
	seen := make(chan Attempt, 1)
	for input, want := range map[string]Attempt{
		"a AUTHENTICATE LOGIN =\r\n*\r\n":    {Mechanism: "LOGIN", HasInitial: true},
		"a authenticate login\r\n*\r\n":      {Mechanism: "LOGIN"},
		"a AUTHENTICATE LOGIN \r\n*\r\n":     {Mechanism: "LOGIN"},
		"a AUTHENTICATE LOGIN YQ==\r\n*\r\n": {Mechanism: "LOGIN", HasInitial: true, Initial: []byte("a")},
	} {
		outcome(t, Options{Auth: asker{seen}, Secured: true}, input)
		if len(seen) == 0 {
			t.Errorf("%q: nobody was asked", input)
			continue
		}
		got := <-seen
		if got.Mechanism != want.Mechanism || got.HasInitial != want.HasInitial || string(got.Initial) != string(want.Initial) {
			t.Errorf("%q: %+v", input, got)
		}
	}
}

// What the client says about itself reaches the Authenticator, cut to size.
func TestClientID(t *testing.T) {
	seen := make(chan Attempt, 1)
	long := strings.Repeat("x", 200)
	for ids, want := range map[string]string{
		"":                                       "",
		"ID NIL":                                 "",
		"ID ()":                                  "",
		"ID (\"name\" \"Mail\" \"version\" NIL)": `"name" "Mail" "version" NIL`,
		"ID (\"name\" \"Mail\")\r\nb ID (\"name\" \"More\")":             `"name" "More"`,
		"ID (\"name\" \"Mail\")\r\nb ID (\"x\")":                         `"name" "Mail"`,
		"ID (\"name\" \"Mail\")\r\nb ID NIL":                             "",
		"ID (\"a\\\\b\" \"c\\\"d\")":                                     `"a\\b" "c\"d"`,
		"ID (\"n\" {8+}\r\nx\ty\r\nz\xc3\xa9)":                           `"n" "xyz"`,
		"ID (\"a\" \"" + long + "\" \"b\" \"" + long + "\" \"c\" \"d\")": `"a" "` + long + `" "c" "d"`,
	} {
		outcome(t, Options{Auth: asker{seen}, Secured: true}, "a "+ids+"\r\nz LOGIN bob x\r\n")
		if got := (<-seen).ClientID; got != want {
			t.Errorf("%q: %s", ids, got)
		}
	}
}

func TestTLSFailure(t *testing.T) {
	boom := errors.New("handshake failed")
	out := outcome(t, Options{Auth: asker{}, StartTLS: func(context.Context, net.Conn) (net.Conn, error) { return nil, boom }}, "a STARTTLS\r\n")
	if out.Reason != ReasonTLSFailed || !errors.Is(out.Err, boom) || out.TLS {
		t.Errorf("%+v", out)
	}
}

// FuzzEngine sends anything to a live engine: it must end, and only a right
// password may log in.
func FuzzEngine(f *testing.F) {
	f.Add("a LOGIN alice {6+}\r\nsecret\r\n")
	f.Add("a AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n")
	f.Add("a ID (\"x\" NIL)\r\nb STARTTLS\r\nc CAPABILITY\r\n")
	f.Add("a ID (\"x\" \"y\\\"\")\r\nb LOGIN bob x\r\n")
	f.Fuzz(func(t *testing.T, input string) {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Write([]byte(input))
			_ = theirs.Close()
		}()
		out := New(&sink{Conn: ours}, Options{Auth: asker{}, Secured: true, AuthTimeout: time.Millisecond}).Run(context.Background())
		_ = ours.Close()
		if out.Success != nil && out.Success.Verdict.User != "alice@example.org" {
			t.Fatalf("%+v", out.Success)
		}
	})
}

// sink drops what the engine writes: the fuzzed client does not read.
type sink struct{ net.Conn }

func (*sink) Write(p []byte) (int, error) { return len(p), nil }
