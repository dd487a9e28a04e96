package remote

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/remote/tlspolicy"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// Each file of testdata is one delivery attempt, or several in a row:
//
//	set KEY VALUE        tls LEVEL, policy NEXTHOP POLICY, login user:password, loginat HOST user:password|down, idle off,
//	                     mechanisms NAME..., hardlogin yes, discard WORD..., timeout mail|rcpt|data|done
//	                     plainafter TIME, hardgreeting yes, mailauth yes, certificate yes, maxuses N, discardat ADDRESS WORD...
//	message KEY VALUE    waited TIME, 8bit yes, utf8 yes, from ADDR, body TEXT, size OCTETS
//	deliver HOP RCPT...  starts an attempt; what follows up to the next one is its
//	as user:password     the login of its message
//	== ADDRESS [refused|timeout|reuse]
//	                     the next connection it makes, and what happens on it
//	S: C:                lines of the server, lines it must hear
//	starttls, starttls asks, starttls refused, garbage, close, hang
//	                     the server does a handshake, wants a certificate in it, its own is not taken, it breaks it, closes, says no more
//	tls PEER WORD        what is told of a handshake: Postfix's word for the certificate, or failed
//	=> RCPT STATUS DSN SITE RELAY TEXT
//	                     an outcome; SITE is site or -
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			runTranscript(t, string(text))
		})
	}
}

// policies are a table of TLS policies.
type policies map[string]string

func (p policies) Lookup(_ context.Context, key string) (string, error) {
	switch value, ok := p[key]; {
	case !ok:
		return "", fail.New(fail.NotFound, "not there")
	case value == "down":
		return "", fail.New(fail.Unavailable, "no answer")
	default:
		return value, nil
	}
}

// peerScript is one expected connection.
type peerScript struct {
	address string
	how     string // "", "refused", "timeout", "reuse"
	lines   []string
}

// play is one attempt of a transcript.
type play struct {
	hop   string
	rcpts []string
	login string
	peers []*peerScript
	wants []string
	told  []string // of handshakes
	heard []string
}

type transcript struct {
	cfg   Config
	msg   Message
	body  string
	plays []*play

	logins      policies // by host
	certificate bool     // there is one of ours
}

func parseTranscript(t *testing.T, text string) *transcript {
	t.Helper()
	tr := &transcript{
		cfg:  Config{Hostname: "me.example", Self: []string{"me.example"}, Resolver: zone(), Shuffle: func(int, func(i, j int)) {}, TLS: tlspolicy.May, Levels: tlspolicy.StandardDefaults()},
		msg:  Message{From: addr.Address{Local: "s", Domain: "me.example"}},
		body: "Subject: x\r\n\r\nhello\r\n",
	}
	if strings.Contains(text, "\nhang") { // everything else answers, if slowly on a busy machine
		tr.cfg.Timeouts.Greeting = 400 * time.Millisecond
	}
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimRight(line, " "); line == "" || line[0] == '#' {
			continue
		}
		if err := tr.add(line); err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
	}
	tr.msg.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(tr.body)), nil }
	return tr
}

func (tr *transcript) add(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	var now *play
	if len(tr.plays) > 0 {
		now = tr.plays[len(tr.plays)-1]
	}
	switch word {
	case "set", "message":
		return tr.set(rest)
	case "deliver":
		words := strings.Fields(rest)
		tr.plays = append(tr.plays, &play{hop: words[0], rcpts: words[1:]})
	case "==":
		address, how, _ := strings.Cut(rest, " ")
		now.peers = append(now.peers, &peerScript{address: address, how: how})
	case "=>":
		now.wants = append(now.wants, rest)
	case "as":
		now.login = rest
	case "tls":
		now.told = append(now.told, rest)
	case "S:", "C:", "starttls", "garbage", "close", "hang":
		p := now.peers[len(now.peers)-1]
		p.lines = append(p.lines, line)
	default:
		return fmt.Errorf("what is %q?", line)
	}
	return nil
}

func (tr *transcript) set(rest string) error {
	key, value, _ := strings.Cut(rest, " ")
	switch key {
	case "tls":
		tr.cfg.TLS, _ = tlspolicy.ParseLevel(value)
	case "policy":
		key, policy, _ := strings.Cut(value, " ")
		if tr.cfg.Policies == nil {
			tr.cfg.Policies = policies{}
		}
		tr.cfg.Policies.(policies)[key] = policy
	case "login":
		tr.msg.Login = loginAs(value)
	case "loginat":
		host, value, _ := strings.Cut(value, " ")
		if tr.logins == nil {
			tr.logins = policies{}
			tr.msg.Login = tr.loginAt
		}
		tr.logins[host] = value
	case "fallback":
		hop, err := route.ParseRelayHost(value)
		if err != nil {
			return err
		}
		tr.cfg.Fallback = append(tr.cfg.Fallback, hop)
	case "mechanisms":
		tr.cfg.Mechanism = func(name string, _ bool) bool { return slices.Contains(strings.Fields(value), name) }
	case "hardlogin":
		tr.cfg.HardLogin = true
	case "timeout":
		*map[string]*time.Duration{
			"mail": &tr.cfg.Timeouts.Mail, "rcpt": &tr.cfg.Timeouts.Rcpt, "data": &tr.cfg.Timeouts.Data, "done": &tr.cfg.Timeouts.Done,
		}[value] = 400 * time.Millisecond
	case "certificate":
		tr.certificate = true
	case "hardgreeting":
		tr.cfg.HardGreeting = true
	case "mailauth":
		tr.cfg.MailAuth = true
	case "maxuses":
		tr.cfg.MaxUses, _ = strconv.Atoi(value)
	case "discardat":
		host, words, _ := strings.Cut(value, " ")
		if tr.cfg.DiscardAt == nil {
			tr.cfg.DiscardAt = policies{}
		}
		tr.cfg.DiscardAt.(policies)[host] = words
	case "idle":
		tr.cfg.Idle = -1
	case "plainafter":
		tr.cfg.PlainAfter, _ = time.ParseDuration(value)
	case "waited":
		tr.msg.Waited, _ = time.ParseDuration(value)
	case "8bit":
		tr.msg.EightBit = true
	case "size":
		tr.msg.Size, _ = strconv.ParseInt(value, 10, 64)
	case "discard":
		tr.cfg.Discard = strings.Fields(value)
	case "keep":
		tr.cfg.KeepEightBit = true
	case "verify":
		tr.msg.Verify = true
	case "utf8":
		tr.msg.UTF8 = true
	case "from":
		tr.msg.From, _ = addr.Parse(value)
	case "body":
		tr.body = strings.ReplaceAll(value, "|", "\r\n")
	default:
		return fmt.Errorf("unknown setting %q", key)
	}
	return nil
}

// loginAs is the same login, user:password, at each host.
func loginAs(value string) func(context.Context, route.Hop, string) (*Credentials, error) {
	user, password, _ := strings.Cut(value, ":")
	return func(context.Context, route.Hop, string) (*Credentials, error) {
		return &Credentials{user, password}, nil
	}
}

func (tr *transcript) loginAt(ctx context.Context, hop route.Hop, host string) (*Credentials, error) {
	value, err := tr.logins.Lookup(ctx, host)
	switch {
	case fail.Is(err, fail.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return loginAs(value)(ctx, hop, host)
}

// stage plays the peers of an attempt, in order, to whoever dials.
type stage struct {
	t     *testing.T
	cert  tls.Certificate
	mu    sync.Mutex
	peers []*peerScript
	open  []*actor // connections that a later attempt may use again
	done  sync.WaitGroup
}

// actor is a peer on a connection; more holds what it plays when the
// connection is used again.
type actor struct {
	s    *stage
	conn net.Conn
	r    *bufio.Reader
	more chan *peerScript
}

func runTranscript(t *testing.T, text string) {
	tr := parseTranscript(t, text)
	s := &stage{t: t, cert: testCertificate(t)}
	tr.cfg.Roots = x509.NewCertPool()
	tr.cfg.Roots.AddCert(s.cert.Leaf)
	tr.cfg.Dial = s.dial
	if tr.certificate {
		tr.cfg.Certificate = func() (*tls.Certificate, error) { return &s.cert, nil }
	}
	var playing *play
	tr.cfg.Handshake = func(h Handshake) {
		word := "failed"
		if h.Err == nil {
			word = h.Trust()
		}
		playing.heard = append(playing.heard, h.Peer+" "+word)
	}
	c := New(tr.cfg)
	for _, p := range tr.plays {
		playing = p
		s.begin(p)
		hop, err := route.ParseHop(p.hop)
		if err != nil {
			t.Fatal(err)
		}
		var rcpts []Recipient
		for _, r := range p.rcpts {
			a, err := addr.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			rcpts = append(rcpts, Recipient{To: a})
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		msg := tr.msg
		if p.login != "" {
			msg.Login = loginAs(p.login)
		}
		outs := c.Deliver(ctx, hop, msg, rcpts)
		cancel()
		s.check(p, outs)
		if len(p.told) > 0 && !slices.Equal(p.told, p.heard) {
			t.Errorf("told of handshakes: %q, want %q", p.heard, p.told)
		}
	}
	s.end()
	c.Close()
	s.done.Wait()
}

func (s *stage) begin(p *play) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p.peers) > 0 && p.peers[0].how == "reuse" {
		if len(s.open) == 0 {
			s.t.Fatal("no open connection to use again")
		}
		s.open[0].more <- p.peers[0]
		p.peers = p.peers[1:]
	}
	s.peers = p.peers
}

func (s *stage) check(p *play, outs []Outcome) {
	s.t.Helper()
	s.mu.Lock()
	for _, left := range s.peers {
		s.t.Errorf("%s: no connection was made to %s", p.hop, left.address)
	}
	s.mu.Unlock()
	var got []string
	for i, o := range outs {
		site := "-"
		if o.Site {
			site = "site"
		}
		got = append(got, fmt.Sprintf("%s %v %s %s %s %s", p.rcpts[i], o.Status, o.Code(), site, o.Relay, o.Text))
	}
	if g, w := strings.Join(got, "\n"), strings.Join(p.wants, "\n"); g != w {
		s.t.Errorf("deliver %s:\ngot\n%s\nwant\n%s", p.hop, g, w)
	}
}

// end lets the actors wait for QUIT only.
func (s *stage) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.open {
		close(a.more)
	}
	s.open = nil
}

func (s *stage) dial(_ context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.peers) == 0 {
		s.t.Errorf("unexpected connection to %s", address)
		return nil, errors.New("unexpected")
	}
	p := s.peers[0]
	s.peers = s.peers[1:]
	if p.address != address {
		s.t.Errorf("connection to %s, want %s", address, p.address)
	}
	switch p.how {
	case "refused":
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case "timeout":
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
	}
	near, far := socketPair(s.t)
	a := &actor{s: s, conn: far, r: bufio.NewReader(far), more: make(chan *peerScript, 1)}
	s.open = append(s.open, a)
	s.done.Add(1)
	go a.run(p)
	return near, nil
}

// socketPair is a connected pair over loopback: unlike net.Pipe it buffers,
// as a network does.
func socketPair(t *testing.T) (near, far net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := ln.Accept()
		accepted <- c
	}()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Error(err)
	}
	return near, <-accepted
}

func (a *actor) run(p *peerScript) {
	defer a.s.done.Done()
	defer func() { a.conn.Close() }()
	for p != nil {
		for _, line := range p.lines {
			if !a.step(line) {
				a.forget()
				return
			}
		}
		p = <-a.more
	}
	_ = a.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if line, err := a.r.ReadString('\n'); err == nil && strings.TrimSpace(line) == "QUIT" {
		fmt.Fprintf(a.conn, "221 bye\r\n")
	}
}

// forget takes the actor off the list of those that can be used again.
func (a *actor) forget() {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for i, o := range a.s.open {
		if o == a {
			a.s.open = append(a.s.open[:i], a.s.open[i+1:]...)
			return
		}
	}
}

// step plays one line; false ends the connection.
func (a *actor) step(line string) bool {
	_ = a.conn.SetDeadline(time.Now().Add(30 * time.Second))
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "S:":
		fmt.Fprintf(a.conn, "%s\r\n", rest)
		return true
	case "C:":
		got, err := a.r.ReadString('\n')
		if got = strings.TrimSuffix(got, "\r\n"); err != nil || got != rest {
			a.s.t.Errorf("client said %q (%v), want %q", got, err, rest)
			return false
		}
		return true
	case "starttls":
		cfg := &tls.Config{Certificates: []tls.Certificate{a.s.cert}}
		if rest == "asks" {
			cfg.ClientAuth = tls.RequireAnyClientCert
		}
		t := tls.Server(a.conn, cfg)
		err := t.Handshake()
		if rest == "refused" {
			if err == nil { // by TLS 1.3 the client is the last to speak
				_, err = t.Read(make([]byte, 1))
			}
			if err == nil || !strings.Contains(err.Error(), "bad certificate") {
				a.s.t.Errorf("the client took the certificate: %v", err)
			}
			return false
		}
		if err != nil {
			a.s.t.Errorf("handshake: %v", err)
			return false
		}
		a.conn, a.r = t, bufio.NewReader(t)
		return true
	case "garbage":
		_, _ = a.conn.Write([]byte("this is no TLS record at all"))
		return false
	case "hang":
		_, _ = a.r.ReadString('\n')
	}
	return false
}

func testCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	certPEM, keyPEM, err := tlsx.SelfSigned([]string{"mx.one.example"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
