package login

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"iter"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/handover"
	"github.com/postcote/postcote/pkg/proto/imap/wire/wiretest"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// world is the login role between a true authd protocol and a stand-in for
// the session role, all over real sockets.
type world struct {
	t       *testing.T
	dir     string
	role    *role
	doors   map[string]*door
	events  *obs.Recorder
	cancel  context.CancelFunc
	ended   chan error
	authd   *authd
	session *sessionRole
}

type options struct {
	remote bool // peers count as strangers, not as this host
	change func(*Config)
	drain  time.Duration
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), doors: map[string]*door{}, ended: make(chan error, 1)}
	cert, key := filepath.Join(w.dir, "cert.pem"), filepath.Join(w.dir, "key.pem")
	if err := tlsx.WriteSelfSigned(cert, key, []string{"localhost"}, time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	for _, e := range []*Endpoint{&cfg.IMAP, &cfg.IMAPS, &cfg.POP3, &cfg.POP3S} {
		e.Listen = conf.Listen{Address: "127.0.0.1:0"}
	}
	cfg.TLS.CertFile, cfg.TLS.KeyFile = cert, key
	cfg.AuthSocket, cfg.SessionSocket = filepath.Join(w.dir, "login"), filepath.Join(w.dir, "session")
	if o.change != nil {
		o.change(&cfg)
	}
	log, events := obs.Capture()
	w.events = events
	rt := &service.Runtime{Name: "imapd-login", Log: log, Metrics: obs.NopMetrics(), Now: slowly()}
	r, err := newRole(rt, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.patience = time.Millisecond
	// The default's patience with an authd that is away suits people, not tests.
	r.auth = authclient.New(authclient.Config{Address: cfg.AuthSocket, Patience: 50 * time.Millisecond, ChannelBinding: true})
	if o.remote {
		r.private = func(netip.AddrPort, netip.AddrPort) bool { return false }
	}
	if o.drain != 0 {
		r.server.DrainLimit = o.drain
	}
	w.role = r
	w.authd, w.session = newAuthd(t, w.dir), newSessionRole(t, w.dir)
	w.authd.start()
	w.session.start(cfg.SessionSocket)
	doors, err := r.open(rt)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range doors {
		w.doors[d.key] = d
	}
	r.publish(rt)
	if err := r.offer.refresh(context.Background(), r.auth); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.ended <- r.run(ctx, rt, doors) }()
	t.Cleanup(w.stop)
	return w
}

// slowly is a clock that takes a step when it is read, so that the log says
// "in 0 secs" however busy the machine is.
func slowly() func() time.Time {
	now := time.Now()
	var steps atomic.Int64
	return func() time.Time { return now.Add(time.Duration(steps.Add(1)) * time.Microsecond) }
}

func (w *world) stop() {
	w.cancel()
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Error(err)
		}
		w.ended <- nil
	case <-time.After(20 * time.Second):
		w.t.Error("the role does not stop")
	}
	w.session.stop()
	w.authd.stop()
	w.role.auth.Close()
}

func (w *world) dial(door string) net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.doors[door].Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if w.doors[door].TLS == "implicit" {
		if c, err = shake(c); err != nil {
			w.t.Fatal(err)
		}
	}
	return c
}

func shake(c net.Conn) (net.Conn, error) {
	tc := tls.Client(c, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
	return tc, tc.Handshake()
}

// event is what a transcript makes happen with "! ...".
func (w *world) event(words []string) error {
	switch strings.Join(words, " ") {
	case "authd down":
		w.authd.stop()
	case "authd up":
		w.authd.start()
		for { // the role notices by itself; the test cannot wait so long
			if err := w.role.offer.refresh(context.Background(), w.role.auth); err == nil {
				return nil
			}
		}
	case "session down":
		w.session.stop()
	case "session refuses":
		w.session.refuse.Store(true)
	default:
		return fmt.Errorf("no such event: %v", words)
	}
	return nil
}

// script plays transcripts against the door that the file is named after.
func (w *world) script(file string) *wiretest.Script {
	name, _, _ := strings.Cut(file, "-")
	return &wiretest.Script{
		Dial:    func(int) net.Conn { return w.dial(name) },
		Event:   w.event,
		Upgrade: shake,
	}
}

// lines waits for the role to log n lines in the classic style.
func (w *world) lines(n int) []string {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if l := w.events.Classic(); len(l) >= n || time.Now().After(deadline) {
			return l
		}
	}
}

// authd knows alice, and one user for each way to be refused.
type authd struct {
	t   *testing.T
	dir string
	pid int
	srv *authserver.Server

	mu     sync.Mutex
	seen   []authserver.Request
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newAuthd(t *testing.T, dir string) *authd { return &authd{t: t, dir: dir, pid: 1000} }

func (a *authd) start() {
	a.pid++ // it is another process each time
	a.srv = authserver.New(authserver.Config{Auth: a, Directory: a, PID: a.pid, DrainTimeout: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for name, kind := range map[string]authserver.Kind{"login": authserver.Login, "auth-master": authserver.Master} {
		l, err := netx.Open(conf.Listen{Address: "unix:" + filepath.Join(a.dir, name)}, nil)
		if err != nil {
			a.t.Error(err)
			continue
		}
		s := &netx.Server{Handler: func(ctx context.Context, c net.Conn) {
			p, err := netx.Peer(c)
			if err != nil {
				a.t.Error(err)
			}
			_ = a.srv.Serve(ctx, c, kind, authserver.Peer{UID: int(p.UID), GID: int(p.GID), PID: int(p.PID)})
		}}
		a.wg.Go(func() { _ = s.Serve(ctx, l) })
	}
}

func (a *authd) stop() { a.cancel(); a.wg.Wait() }

func (a *authd) requests() []authserver.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]authserver.Request(nil), a.seen...)
}

func (a *authd) Mechanisms() []dovecotauth.Mechanism {
	return []dovecotauth.Mechanism{
		{Name: "PLAIN", Plaintext: true},
		{Name: "LOGIN", Plaintext: true},
		{Name: "SCRAM-SHA-256"},
		{Name: "SCRAM-SHA-256-PLUS", ChannelBinding: true},
		{Name: "APOP", Private: true},
		{Name: "EXTERNAL"},
	}
}

func (a *authd) Begin(r authserver.Request) (authserver.Exchange, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, r)
	if m, ok := sasl.Find(r.Mech); ok && (m.Secret != 0 || m.Certificate) {
		p := &proof{certified: r.CertUser}
		p.server = m.NewServer(p, sasl.Setting{PlusOffered: r.Binds, Stamp: sasl.Stamp{PID: uint32(a.pid), Conn: r.CUID}})
		return p, nil
	}
	return &exchange{a: a, mech: r.Mech}, nil
}

// proof is an exchange of a true challenge mechanism; alice knows "secret".
type proof struct {
	sasl.OnlyPasswords
	server    gosasl.Server
	ctx       context.Context
	user      string
	certified string // name in the client's certificate
}

func (p *proof) Next(ctx context.Context, response []byte) (authserver.Step, error) {
	p.ctx = ctx
	challenge, done, err := p.server.Next(response)
	return authserver.Step{Challenge: challenge, Done: done, User: p.user}, err
}

func (p *proof) VerifyPassword(sasl.Credentials) error {
	return fail.New(fail.Permanent, "not asked for")
}

func (p *proof) VerifyExternal(authzid string) error {
	p.user = p.certified
	if p.user == "" || authzid != "" && authzid != p.user {
		return fail.New(fail.Denied, "not this one's certificate")
	}
	return nil
}

func (p *proof) Secret(id sasl.Identity, kind sasl.SecretKind) (sasl.Secret, error) {
	p.user = id.Authcid
	return sasl.SecretOf(kind, id, "secret", []byte("salt"), 4096), nil
}

func (p *proof) Proved(ok bool) error {
	if !ok || p.user != "alice" {
		return fail.New(fail.Denied, "wrong")
	}
	return nil
}

func (p *proof) ChannelBinding(kind string) ([]byte, error) {
	return authserver.ChannelBinding(p.ctx, kind)
}

type exchange struct {
	a    *authd
	mech string
	user string
	step int
}

func (x *exchange) Next(_ context.Context, response []byte) (authserver.Step, error) {
	if x.mech == "PLAIN" {
		f := bytes.Split(response, []byte{0})
		if response == nil {
			return authserver.Step{}, nil
		}
		if len(f) != 3 {
			return authserver.Step{}, authserver.Refuse(authserver.Refusal{Code: "invalid_base64"})
		}
		return verdict(string(f[1]), string(f[2]))
	}
	x.step++
	switch x.step {
	case 1:
		return authserver.Step{Challenge: []byte("Username:")}, nil
	case 2:
		x.user = string(response)
		return authserver.Step{Challenge: []byte("Password:")}, nil
	}
	return verdict(x.user, string(response))
}

func verdict(user, password string) (authserver.Step, error) {
	refuse := func(code, reason string) (authserver.Step, error) {
		return authserver.Step{}, authserver.Refuse(authserver.Refusal{User: user, Code: code, Reason: reason})
	}
	switch {
	case user == "outage":
		return authserver.Step{}, fail.New(fail.Unavailable, "database is down")
	case user == "disabled":
		return refuse("user_disabled", "")
	case user == "expired":
		return refuse("pass_expired", "Get a new one\r\nat the desk")
	case user == "authz":
		return refuse("authz_fail", "")
	case password != "secret":
		return refuse("", "")
	case user == "elsewhere":
		return authserver.Step{Done: true, User: user, Fields: dovecotauth.Fields{}.AddFlag("nologin").Add("reason", "Try another server")}, nil
	case strings.HasPrefix(user, "at-"):
		return authserver.Step{Done: true, User: user, Fields: dovecotauth.Fields{}.Add("instance", user[3:])}, nil
	}
	return authserver.Step{Done: true, User: strings.ToLower(user)}, nil
}

func (a *authd) User(_ context.Context, q authserver.Lookup) (authserver.Record, error) {
	return authserver.Record{User: q.User, Fields: dovecotauth.Fields{}.Add("home", "/home/"+q.User)}, nil
}

func (a *authd) Exists(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	return a.User(ctx, q)
}

func (a *authd) Pass(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	return a.User(ctx, q)
}
func (a *authd) List(context.Context, string) iter.Seq2[string, error] { return nil }
func (a *authd) Flush([]string) int                                    { return 0 }

func (a *authd) Redeemed(ctx context.Context, user, service string, _ any) (authserver.Record, error) {
	return a.User(ctx, authserver.Lookup{User: user, Service: service})
}

// sessionRole redeems logins and then echoes lines, but for a few commands.
type sessionRole struct {
	t      *testing.T
	dir    string
	auth   *userdbclient.Client
	frames chan *handover.Frame
	refuse boolFlag
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	open   map[net.Conn]bool
}

type boolFlag struct {
	mu sync.Mutex
	on bool
}

func (b *boolFlag) Store(on bool) { b.mu.Lock(); b.on = on; b.mu.Unlock() }
func (b *boolFlag) Load() bool    { b.mu.Lock(); defer b.mu.Unlock(); return b.on }

func newSessionRole(t *testing.T, dir string) *sessionRole {
	return &sessionRole{
		t: t, dir: dir, frames: make(chan *handover.Frame, 100), open: map[net.Conn]bool{},
		auth: userdbclient.New(userdbclient.Config{Address: filepath.Join(dir, "auth-master")}),
	}
}

func (s *sessionRole) start(path string) {
	l, err := netx.OpenPacket(conf.Listen{Address: "unix:" + path}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	srv := &netx.Server{Handler: s.handle}
	s.wg.Go(func() { _ = srv.Serve(ctx, l) })
}

func (s *sessionRole) stop() {
	s.cancel()
	s.mu.Lock()
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.auth.Close()
}

func (s *sessionRole) handle(ctx context.Context, link net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = link.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, handover.MaxFrame)
	for {
		f, stream, err := handover.Receive(link, buf)
		if err != nil {
			return
		}
		s.frames <- f
		s.take(ctx, link, f, stream)
	}
}

func (s *sessionRole) take(ctx context.Context, link net.Conn, f *handover.Frame, stream net.Conn) {
	if s.refuse.Load() {
		_ = handover.Refuse(link, "full")
		_ = stream.Close()
		return
	}
	var user userdbclient.UserRecord
	var err error
	if f.Sealed != "" {
		user, err = s.auth.Unseal(f.ClientPID, f.RequestID, f.Sealed)
	} else {
		user, err = s.auth.Redeem(ctx, f.ClientPID, f.RequestID, f.Cookie, os.Getpid())
	}
	if err != nil {
		s.t.Errorf("redeeming: %v", err)
		_ = handover.Refuse(link, err.Error())
		return
	}
	if err := handover.Take(link, 4711, s.auth.SealName()); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	s.open[stream] = true
	s.mu.Unlock()
	s.wg.Go(func() { s.serve(f, stream, user.User) })
}

func (s *sessionRole) serve(f *handover.Frame, stream net.Conn, user string) {
	defer stream.Close()
	back := &handover.Returnable{Conn: stream}
	if f.Returnable {
		stream = back
	}
	hello := f.Tag + " OK Logged in"
	if f.Protocol == handover.POP3 {
		hello = "+OK Logged in."
	}
	fmt.Fprintf(stream, "%s as %s\r\n", hello, user)
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(f.Buffered), stream))
	for {
		line, err := r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		switch {
		case err != nil:
			_, _ = io.WriteString(stream, "end of input\r\n")
			return
		case line == "LEAVE" && f.Returnable: // UNAUTHENTICATE
			_, _ = io.WriteString(stream, "left\r\n")
			ahead, _ := r.Peek(r.Buffered())
			if err := back.Return(ahead); err != nil {
				s.t.Error(err)
			}
			return
		case line == "BYE":
			_, _ = io.WriteString(stream, "bye\r\n")
			return
		case strings.HasPrefix(line, "SEND "):
			var n int
			_, _ = fmt.Sscan(line[5:], &n)
			_, _ = stream.Write(bytes.Repeat([]byte("x"), n))
		case strings.HasPrefix(line, "TAKE "):
			var n int64
			_, _ = fmt.Sscan(line[5:], &n)
			n, _ = io.CopyN(io.Discard, r, n)
			fmt.Fprintf(stream, "took %d\r\n", n)
		default:
			fmt.Fprintf(stream, "echo %s\r\n", line)
		}
	}
}
