package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

func dial(t testing.TB, serve func(net.Listener)) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go serve(l)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// sink is a Session of our own server that keeps what it gets.
type sink struct {
	got  chan string
	conn *server.Conn
}

func (s *sink) Helo(context.Context) server.Reply                        { return server.Reply{} }
func (s *sink) Mail(context.Context, *server.Transaction) server.Verdict { return server.Verdict{} }

func (s *sink) Data(context.Context, *server.Transaction) server.Verdict { return server.Verdict{} }
func (s *sink) Reset(*server.Transaction)                                {}
func (s *sink) Event(server.Event)                                       {}
func (s *sink) Close(server.Summary)                                     {}
func (s *sink) Rcpt(_ context.Context, _ *server.Transaction, r server.Recipient) server.Verdict {
	if r.To.Local == "nobody" {
		return server.Say(server.MakeReply(550, 5, 1, 1, "no such user"))
	}
	return server.Verdict{}
}

func (s *sink) Message(_ context.Context, tx *server.Transaction, content io.Reader) server.Result {
	b, err := io.ReadAll(content)
	if err != nil {
		return server.Result{}
	}
	s.got <- fmt.Sprintf("%s %s %s %d %q", s.conn.Protocol(tx.Options.UTF8), s.conn.User, tx.From.Path(), len(tx.Rcpts), b)
	res := server.Result{}
	for _, r := range tx.Rcpts {
		res.Each = append(res.Each, server.Say(server.MakeReply(250, 2, 0, 0, r.To.Path()+" Saved")))
	}
	return res
}

type oneLogin struct{}

func (oneLogin) Mechanisms(*server.Conn) []string { return []string{"PLAIN"} }
func (oneLogin) Start(context.Context, *server.Conn, string) (server.Exchange, error) {
	return oneLogin{}, nil
}
func (oneLogin) Close() {}

func (oneLogin) Next(_ context.Context, response []byte) (server.AuthStep, error) {
	if string(response) != "\x00joe\x00secret" {
		return server.AuthStep{}, fail.New(fail.Denied, "no")
	}
	return server.AuthStep{Done: true, Identity: "joe"}, nil
}

func ours(t testing.TB, change func(*server.Config)) (net.Conn, chan string) {
	t.Helper()
	got := make(chan string, 10)
	cfg := server.Default()
	cfg.Hostname = "mx.test"
	cfg.Accept = func(_ context.Context, c *server.Conn) (server.Session, server.Reply) {
		return &sink{got: got, conn: c}, server.Reply{}
	}
	change(&cfg)
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return dial(t, func(l net.Listener) {
		if conn, err := l.Accept(); err == nil {
			s.Serve(context.Background(), conn)
		}
	}), got
}

func serverTLS() *tls.Config {
	pair, _ := certificate()
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// Our server, in each mode, with strict synchronisation.
func TestOwnServer(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, c := range []struct {
		name   string
		server func(*server.Config)
		client Config
		utf8   bool
		want   string
	}{
		{"clear", func(*server.Config) {}, Config{}, false, `ESMTP  <a@b.example> 1 "a\r\n.\r\n` + long[:998] + `\r\n ` + long[:997] + `\r\n ` + long[:5] + `\r\n"`},
		{"utf8", func(*server.Config) {}, Config{MaxLine: -1}, true, `UTF8SMTP  <a@b.example> 1 "a\r\n.\r\n` + long + `\r\n"`},
		{"STARTTLS and AUTH", func(s *server.Config) { s.TLS, s.Policy.RequireTLS, s.Auth = serverTLS(), true, oneLogin{} }, Config{
			TLSMode: RequiredTLS, MaxLine: 5000,
			Auth: func([]string, *tls.ConnectionState) (sasl.Client, error) {
				return sasl.NewPlainClient("", "joe", "secret"), nil
			},
		}, false, `ESMTPSA joe <a@b.example> 1 "a\r\n.\r\n` + long + `\r\n"`},
		{"opportunistic, offered", func(s *server.Config) { s.TLS = serverTLS() }, Config{TLSMode: OpportunisticTLS, MaxLine: -1}, false, `ESMTPS  <a@b.example> 1 "a\r\n.\r\n` + long + `\r\n"`},
		{"opportunistic, not offered", func(*server.Config) {}, Config{TLSMode: OpportunisticTLS, MaxLine: -1}, false, `ESMTP  <a@b.example> 1 "a\r\n.\r\n` + long + `\r\n"`},
		{"implicit", func(s *server.Config) { s.TLS, s.ImplicitTLS = serverTLS(), true }, Config{TLSMode: ImplicitTLS, MaxLine: -1}, false, `ESMTPS  <a@b.example> 1 "a\r\n.\r\n` + long + `\r\n"`},
		{"LMTP", func(s *server.Config) { s.Mode = server.LMTP }, Config{LMTP: true}, false, `LMTP  <a@b.example> 1 "a\r\n.\r\n` + long + `\r\n"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, got := ours(t, c.server)
			c.client.Name, c.client.TLS = "client.test", trust()
			client, err := New(context.Background(), conn, c.client)
			if err != nil {
				t.Fatal(err)
			}
			env := envelope(t, "a@b.example", "one@b.example", "nobody@b.example")
			env.UTF8 = c.utf8
			for range 2 {
				res, err := client.Send(context.Background(), env, strings.NewReader("a\n.\n"+long+"\n"))
				if err != nil || !res[0].Sent() || res[1].Code != 550 {
					t.Fatalf("%+v %v", res, err)
				}
				if s := <-got; s != c.want {
					t.Errorf("got %s\nwant %s", s, c.want)
				}
			}
			if err := client.Quit(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TLS that does not work is a SiteError that says so.
func TestTLSFails(t *testing.T) {
	for name, c := range map[string]struct {
		server func(*server.Config)
		client Config
		stage  Stage
	}{
		"not offered":     {func(*server.Config) {}, Config{TLSMode: RequiredTLS, TLS: trust()}, StageSTARTTLS},
		"not trusted":     {func(s *server.Config) { s.TLS = serverTLS() }, Config{TLSMode: OpportunisticTLS, TLS: &tls.Config{ServerName: "mx.test"}}, StageTLS},
		"not configured":  {func(s *server.Config) { s.TLS = serverTLS() }, Config{TLSMode: RequiredTLS}, StageTLS},
		"no TLS at all":   {func(*server.Config) {}, Config{TLSMode: ImplicitTLS, TLS: trust()}, StageTLS},
		"offered, broken": {func(s *server.Config) { s.TLS = &tls.Config{} }, Config{TLSMode: OpportunisticTLS, TLS: trust()}, StageTLS},
	} {
		conn, _ := ours(t, c.server)
		c.client.Name = "client.test"
		_, err := New(context.Background(), conn, c.client)
		if site := siteError(t, err, c.stage); !site.TLS {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Replies that came before the handshake are not believed after it.
func TestRepliesBeforeTLSAreDropped(t *testing.T) {
	conn := dial(t, func(l net.Listener) {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		fmt.Fprint(raw, "220 hi\r\n")
		b := make([]byte, 1000)
		raw.Read(b)
		fmt.Fprint(raw, "250-hi\r\n250-SIZE 1\r\n250 STARTTLS\r\n")
		raw.Read(b)
		fmt.Fprint(raw, "220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n")
		secure := tls.Server(raw, serverTLS())
		if secure.Handshake() != nil {
			return
		}
		secure.Read(b)
		fmt.Fprint(secure, "250-hi\r\n250 PIPELINING\r\n")
		secure.Read(b)
	})
	c, err := New(context.Background(), conn, Config{Name: "c", TLSMode: RequiredTLS, TLS: trust()})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Extension("AUTH"); ok || c.TLS() == nil {
		t.Error("the injected reply was believed")
	}
	if _, ok := c.Extension("SIZE"); ok {
		t.Error("what was announced in the clear counts")
	}
	if _, ok := c.Extension("PIPELINING"); !ok {
		t.Error("the real reply was not read")
	}
	c.Close()
}

// go-smtp's server is the foreign peer.
type backend struct{ got chan string }

func (b backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &foreignSession{b: b}, nil }

type foreignSession struct {
	b    backend
	from string
	to   []string
}

func (s *foreignSession) Reset()        { s.from, s.to = "", nil }
func (s *foreignSession) Logout() error { return nil }
func (s *foreignSession) Mail(from string, o *smtp.MailOptions) error {
	s.from = fmt.Sprintf("%s size=%d body=%s utf8=%v id=%s", from, o.Size, o.Body, o.UTF8, o.EnvelopeID)
	return nil
}

func (s *foreignSession) Rcpt(to string, o *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.to = append(s.to, fmt.Sprintf("%s %v %s", to, o.Notify, o.OriginalRecipient))
	return nil
}

func (s *foreignSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.b.got <- fmt.Sprintf("%s|%s|%q", s.from, strings.Join(s.to, ","), b)
	return err
}

func (s *foreignSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	_, err := io.Copy(io.Discard, r)
	for i, to := range s.to {
		name, _, _ := strings.Cut(to, " ")
		if i == 1 {
			status.SetStatus(name, &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "full"})
			continue
		}
		status.SetStatus(name, nil)
	}
	return err
}

func TestForeignServer(t *testing.T) {
	for _, lmtp := range []bool{false, true} {
		b := backend{got: make(chan string, 10)}
		s := smtp.NewServer(b)
		s.Domain, s.LMTP, s.EnableSMTPUTF8, s.EnableDSN = "foreign.test", lmtp, true, true
		defer s.Close()
		c, err := New(context.Background(), dial(t, func(l net.Listener) { s.Serve(l) }), Config{Name: "client.test", LMTP: lmtp})
		if err != nil {
			t.Fatal(err)
		}
		env := envelope(t, "a@b.example", "one@b.example", "nobody@b.example", "two@b.example")
		env.Body, env.UTF8, env.Size, env.EnvelopeID = smtp.Body8BitMIME, true, 20, "x+1"
		env.To[0].Options = smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "o@b.example"}
		content := bytes.Repeat([]byte("..\r\n"), 20000)
		res, err := c.Send(context.Background(), env, bytes.NewReader(content))
		if err != nil || !res[0].Sent() || res[1].Code != 550 || res[2].Sent() == lmtp {
			t.Fatalf("lmtp=%v: %+v %v", lmtp, res, err)
		}
		if !lmtp {
			want := fmt.Sprintf("a@b.example size=20 body=8BITMIME utf8=true id=x+1|one@b.example [NEVER] o@b.example,two@b.example [] |%q", content)
			if got := <-b.got; got != want {
				t.Errorf("got %.200s\nwant %.200s", got, want)
			}
		}
		if err := c.Quit(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
