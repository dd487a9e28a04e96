package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
	"github.com/postcote/postcote/pkg/proto/smtp/wire/transcript"
)

// recorder is a Session that writes down what it is asked and answers by the
// local part of the address it is asked about:
//
//	NNN-x-y-z@…     that reply at MAIL or RCPT
//	late@…          accepted, but only when the next RCPT, or the end, comes
//	data-NNN@…      that reply at DATA (senders)
//	early-NNN@…     that reply to a message of which nothing is read (senders)
//	end-NNN@…       that reply after the message; in LMTP for that recipient
type recorder struct {
	conn *Conn
	log  func(format string, args ...any)

	mu   sync.Mutex
	late []chan Reply
}

func scripted(local, prefix string) Reply {
	rest, ok := strings.CutPrefix(local, prefix)
	if !ok || len(rest) < 3 {
		return Reply{}
	}
	code, err := strconv.Atoi(rest[:3])
	if err != nil || code < 200 || code > 599 {
		return Reply{}
	}
	e, _ := wire.ParseEnhanced(strings.ReplaceAll(strings.TrimPrefix(rest[3:], "-"), "-", "."))
	return Reply{Code: code, Enhanced: e, Text: "as scripted"}
}

func (r *recorder) Helo(context.Context) Reply {
	r.log("helo %s %s", r.conn.Verb, r.conn.Helo)
	return scripted(r.conn.Helo, "")
}

func (r *recorder) Mail(_ context.Context, tx *Transaction) Verdict {
	r.log("mail %d %s %s", tx.Number, tx.From.Path(), options(tx))
	if f := r.conn.Forward; f != nil {
		r.log("for %+v", *f)
	} else if r.conn.Policy.XForward {
		r.log("for nobody")
	}
	return Say(scripted(tx.From.Local, ""))
}

func options(tx *Transaction) string {
	o := tx.Options
	s := fmt.Sprintf("size=%d body=%s utf8=%v ret=%s envid=%q", o.Size, o.Body, o.UTF8, o.Return, o.EnvelopeID)
	if o.Auth != nil {
		s += fmt.Sprintf(" auth=%q", *o.Auth)
	}
	return s
}

func (r *recorder) Rcpt(_ context.Context, tx *Transaction, rcpt Recipient) Verdict {
	r.log("rcpt %d %s notify=%v orcpt=%s;%s", rcpt.Number, rcpt.To.Path(), rcpt.Options.Notify, rcpt.Options.OriginalRecipientType, rcpt.Options.OriginalRecipient)
	switch {
	case strings.HasPrefix(rcpt.To.Local, "late"):
		ch := make(chan Reply, 1)
		r.mu.Lock()
		r.late = append(r.late, ch)
		r.mu.Unlock()
		// Decided after all others of the group, the last one first.
		time.AfterFunc(5*time.Millisecond, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			for i := len(r.late) - 1; i >= 0; i-- {
				r.late[i] <- Reply{}
			}
			r.late = nil
		})
		return Later(ch)
	case rcpt.To.Local == "silent":
		ch := make(chan Reply)
		close(ch)
		return Later(ch)
	}
	return Say(scripted(rcpt.To.Local, ""))
}

func (r *recorder) Data(_ context.Context, tx *Transaction) Verdict {
	r.log("data %d rcpts", len(tx.Rcpts))
	return Say(scripted(tx.From.Local, "data-"))
}

func (r *recorder) Message(ctx context.Context, tx *Transaction, content io.Reader) Result {
	defer func() {
		if ctx.Err() != nil {
			panic("the context of a transaction ended before it")
		}
	}()
	if early := scripted(tx.From.Local, "early-"); !early.IsZero() {
		r.log("message refused unread")
		return Result{Verdict: Say(early)}
	}
	b, err := io.ReadAll(content)
	if err != nil {
		r.log("message void: %v", err)
		return Result{}
	}
	if len(b) > 200 {
		r.log("message %d octets", len(b))
	} else {
		r.log("message %q", b)
	}
	res := Result{Verdict: Say(scripted(tx.From.Local, "end-"))}
	if r.conn.Mode == LMTP {
		for i, rcpt := range tx.Rcpts {
			res.Each = append(res.Each, r.deliver(i, len(tx.Rcpts), rcpt))
		}
	}
	return res
}

// deliver answers LMTP recipients in reverse order of time.
func (r *recorder) deliver(i, n int, rcpt Recipient) Verdict {
	reply := scripted(rcpt.To.Local, "end-")
	if reply.IsZero() {
		reply = MakeReply(250, 2, 0, 0, rcpt.To.Path()+" Saved")
	}
	ch := make(chan Reply, 1)
	time.AfterFunc(time.Duration(n-i)*time.Millisecond, func() { ch <- reply })
	return Later(ch)
}

func (r *recorder) Reset(tx *Transaction) { r.log("reset %d", tx.Number) }

func (r *recorder) Event(e Event) {
	switch e.Kind {
	case EventTLS:
		r.log("tls")
	case EventTLSFailed:
		r.log("tls failed")
	case EventAuth:
		r.log("auth %s %s", e.Mech, r.conn.User)
	case EventAuthFailed:
		r.log("auth failed %s: %s", e.Mech, e.Reply)
	case EventAuthAborted:
		r.log("auth aborted %s", e.Mech)
	case EventRefused:
		r.log("refused %s: %s", e.Verb, e.Reply)
	case EventPipelining:
		r.log("pipelining after %s: %s", e.Verb, e.Input)
	case EventForbidden:
		r.log("forbidden: %s", e.Input)
	}
}

func (r *recorder) Close(s Summary) {
	r.log("close %s after %s bytes=%d: %s", s.End, s.After, s.Bytes, s)
}

// logins is an Authenticator for user "joe" with password "secret"; user
// "down" stands for a backend that does not answer.
type logins struct{}

func (logins) Mechanisms(*Conn) []string { return []string{"PLAIN", "LOGIN", "SCRAM-SHA-256"} }

func (logins) Start(_ context.Context, _ *Conn, mech string) (Exchange, error) {
	return &exchange{mech: mech}, nil
}

type exchange struct {
	mech string
	got  []string
}

func (x *exchange) Close() {}

// example is RFC 7677's: what the client says, and what it hears before it says
// that. The last thing it says is nothing.
func (x *exchange) example() (AuthStep, error) {
	says := []string{
		"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"",
	}
	hears := []string{
		"",
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
	}
	n := len(x.got)
	switch {
	case n > 0 && x.got[n-1] != says[n-1]:
		return AuthStep{}, fail.New(fail.Denied, "wrong proof")
	case n == len(says):
		return AuthStep{Done: true, Identity: "user"}, nil
	}
	return AuthStep{Challenge: []byte(hears[n])}, nil
}

func (x *exchange) Next(_ context.Context, response []byte) (AuthStep, error) {
	if response != nil {
		x.got = append(x.got, string(response))
	}
	if x.mech == "SCRAM-SHA-256" {
		return x.example()
	}
	prompts := map[string][]string{"PLAIN": {""}, "LOGIN": {"Username:", "Password:"}}[x.mech]
	if len(x.got) < len(prompts) {
		return AuthStep{Challenge: []byte(prompts[len(x.got)])}, nil
	}
	if x.mech == "PLAIN" {
		x.got = strings.Split(x.got[0], "\x00")
		if len(x.got) != 3 {
			return AuthStep{}, fail.New(fail.Invalid, "not PLAIN")
		}
		x.got = x.got[1:]
	}
	switch {
	case x.got[0] == "down":
		return AuthStep{}, fail.New(fail.Unavailable, "Connection lost to authentication server")
	case x.got[0] != "joe" || x.got[1] != "secret":
		return AuthStep{}, fail.New(fail.Denied, "(reason unavailable)")
	}
	return AuthStep{Done: true, Identity: "joe"}, nil
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

// configure builds the server that a transcript's options describe.
func configure(t testing.TB, options map[string]string, records chan string) Config {
	t.Helper()
	cfg := Default()
	cfg.Hostname, cfg.Greeting, cfg.Listener = "mx.test", "ESMTP", "test"
	cfg.Timeouts.ErrorDelay = 0
	cfg.NewID = func() string { return "id" }
	for key, value := range options {
		n, _ := strconv.Atoi(value)
		limits, words := &cfg.Policy.Limits, &cfg.Policy.Words
		switch key {
		case "lmtp":
			cfg.Mode = LMTP
		case "tls":
			pair, _ := certificate()
			cfg.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			cfg.ImplicitTLS = value == "implicit"
			cfg.Policy.RequireTLS = value == "required"
		case "auth":
			cfg.Auth = logins{}
			cfg.Policy.ClearAuth = value == "clear"
		case "loose-utf8":
			cfg.Policy.StrictUTF8 = false
		case "loose":
			cfg.Policy.StrictSync = false
		case "reject-bare-lf":
			cfg.Policy.BareLF = wire.RejectBareLF
		case "size":
			limits.MessageSize = int64(n)
		case "overrun":
			limits.Overrun = int64(n)
		case "recipients":
			limits.Recipients = n
		case "soft":
			limits.SoftErrors = n
		case "hard":
			limits.HardErrors = n
		case "junk":
			limits.Junk = n
		case "pending":
			limits.Pending = n
		case "dsn":
			words.DSN = true
		case "vrfy":
			cfg.Policy.VRFY, words.VRFY = true, true
		case "xclient":
			cfg.Policy.XClient = true
		case "xforward":
			cfg.Policy.XForward = true
		case "etrn":
			cfg.Etrn = func(_ context.Context, _ *Conn, domain string) Reply {
				if domain != value {
					return Reply{Code: 459, Text: "<" + domain + ">: service unavailable"}
				}
				return Reply{Code: 250, Text: "Queuing started"}
			}
		case "hide":
			for _, w := range strings.Fields(value) {
				switch w {
				case "CHUNKING":
					words.Chunking = false
				case "SMTPUTF8":
					words.SMTPUTF8 = false
				case "STARTTLS":
					words.HideStartTLS = true
				case "AUTH":
					words.HideAuth = true
				case "SIZE":
					words.Size = false
				case "PIPELINING":
					words.Pipelining = false
				case "8BITMIME":
					words.EightBitMIME = false
				case "ETRN":
					words.HideETRN = true
				case "XCLIENT":
					words.HideXClient = true
				case "XFORWARD":
					words.HideXForward = true
				case "ENHANCEDSTATUSCODES":
					words.EnhancedStatus = false
				default:
					t.Fatalf("cannot hide %s", w)
				}
			}
		case "timeout":
			cfg.Timeouts.Command = time.Duration(n) * time.Millisecond
			cfg.Timeouts.Data, cfg.Timeouts.TLS = cfg.Timeouts.Command, cfg.Timeouts.Command
		case "rate":
			cfg.Timeouts.MinRate = int64(n)
		case "refuse", "early", "accept-waits", "title", "after":
		default:
			t.Fatalf("unknown option %q", key)
		}
	}
	cfg.Accept = func(_ context.Context, c *Conn) (Session, Reply) {
		log := func(format string, args ...any) { records <- fmt.Sprintf(format, args...) }
		if options["early"] != "" && c.EarlyTalker(30*time.Second) {
			log("early talker")
		}
		if options["accept-waits"] != "" {
			somethingCame(c.Net)
		}
		return &recorder{conn: c, log: log}, scripted(options["refuse"], "")
	}
	cfg.Overridden = func(_ context.Context, c *Conn) Reply {
		records <- fmt.Sprintf("client %s[%s] (%s) at %s, %s %s, login %q", c.Name, c.Remote, c.Reverse, c.Local(), c.Verb, c.Helo, c.User)
		ip := netx.AddrPort(c.Remote).Addr()
		c.Policy.XClient = ip.IsLoopback()
		if ip == netip.MustParseAddr("192.0.2.66") {
			return MakeReply(554, 5, 7, 1, "Access denied")
		}
		return Reply{}
	}
	return cfg
}

// somethingCame waits until the client has sent something, and leaves it there.
func somethingCame(c net.Conn) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		panic(err)
	}
	_ = raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
		return err != unix.EAGAIN
	})
}

// start serves one connection and returns the client's end of it.
func start(t testing.TB, cfg Config) net.Conn {
	t.Helper()
	return startAfter(t, cfg, "")
}

// startAfter is start with time limits that hold when the client has said word.
func startAfter(t testing.TB, cfg Config, word string) net.Conn {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return serveAfter(t, context.Background(), s, word)
}

func serveAfter(t testing.TB, ctx context.Context, s *Server, word string) net.Conn {
	t.Helper()
	client, server := connPair(t)
	if word != "" {
		server = &unhurried{Conn: server, word: word}
	}
	serveConn(t, ctx, s, client, server)
	return client
}

// unhurried is the server's end of a connection on which nothing has a time
// limit until the client has said word: for what comes before, a test on a busy
// machine may need longer than the short limit that it is about.
type unhurried struct {
	net.Conn
	word, heard string
	due         time.Time
}

func (u *unhurried) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	if u.word == "" {
		return n, err
	}
	if u.heard += string(p[:n]); strings.Contains(u.heard, u.word) {
		u.word = ""
		_ = u.Conn.SetReadDeadline(u.due)
	}
	return n, err
}

func (u *unhurried) SetReadDeadline(t time.Time) error {
	if u.word != "" {
		u.due = t
		return nil
	}
	return u.Conn.SetReadDeadline(t)
}

func serve(t testing.TB, ctx context.Context, s *Server) (net.Conn, <-chan struct{}) {
	t.Helper()
	client, server := connPair(t)
	return client, serveConn(t, ctx, s, client, server)
}

func serveConn(t testing.TB, ctx context.Context, s *Server, client, server net.Conn) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ctx, server)
	}()
	t.Cleanup(func() {
		client.Close()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Error("Serve does not end with its connection")
		}
	})
	return done
}

// connPair returns two ends of a TCP connection.
func connPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestTranscripts(t *testing.T) {
	transcript.Dir(t, "testdata", func(t *testing.T, options map[string]string) transcript.Peer {
		records := make(chan string, 300000)
		cfg := configure(t, options, records)
		_, pool := certificate()
		return transcript.Peer{
			Conn: startAfter(t, cfg, options["after"]), Records: records,
			TLS: &tls.Config{RootCAs: pool, ServerName: "mx.test"},
		}
	})
}

func TestRows(t *testing.T) {
	table := newTable()
	if table[rcptIndex].name != "RCPT" || table[bdatIndex].name != "BDAT" {
		t.Fatal("the constants do not fit the table")
	}
	for i, c := range table {
		if c.name == "" || c.handler == nil {
			t.Errorf("row %d is empty", i)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	accept := func(context.Context, *Conn) (Session, Reply) { return nil, Reply{} }
	for name, cfg := range map[string]Config{
		"no hook": {Hostname: "mx"}, "no name": {Accept: accept}, "no TLS": {Hostname: "mx", Accept: accept, ImplicitTLS: true},
	} {
		if _, err := New(cfg); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
