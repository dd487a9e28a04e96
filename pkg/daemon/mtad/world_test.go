package mtad

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/dnsx"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/sasl"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// patience is for what must happen, on a busy machine with a slow disk, too.
const patience = 60 * time.Second

// world is a whole mtad with everything it talks to: an authd, a delivery
// agent, one host on the Internet with its DNS, all in this process.
type world struct {
	t    *testing.T
	dir  string
	cfg  Config
	disk *disk.Faulty
	room *roomy
	log  *obs.Recorder
	logg *obs.Logger
	zone *dnsx.Static

	names dnsx.Resolver // nil: zone

	authd  *outside
	exists *outside
	lmtp   *sink    // socket dir/lmtp
	far    *sink    // 192.0.2.1
	old    *oldHost // 192.0.2.2, knows nothing but RFC 821

	daemon *daemon
	queue  *queue.Queue
	listen map[string]net.Addr
	stop   context.CancelFunc
	ended  chan error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "mtad") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{t: t, dir: dir, room: &roomy{FS: disk.OS()}}
	w.disk = disk.NewFaulty(w.room)
	w.logg, w.log = obs.Capture()
	w.zone = &dnsx.Static{
		MXs: map[string][]dnsx.MX{
			"far.example":  {{Host: "mx.far.example", Pref: 10}},
			"null.example": {{Host: "."}},
			// Those of RFC 3461.
			"example.com":    {{Host: "mx.far.example", Pref: 10}},
			"ivory.edu":      {{Host: "mx.far.example", Pref: 10}},
			"boondoggle.gov": {{Host: "mx.far.example", Pref: 10}},
			"tax-me.gov":     {{Host: "mx.far.example", Pref: 10}},
		},
		Hosts: map[string][]netip.Addr{
			"mx.far.example": {netip.MustParseAddr("192.0.2.1")}, "localhost": {netip.MustParseAddr("127.0.0.1")},
			"bombs.af.mil": {netip.MustParseAddr("192.0.2.2")},
		},
	}
	w.configure()
	auth := authserver.New(authserver.Config{Auth: logins{}, Directory: directory{}})
	w.authd = serveUnix(t, w.cfg.AuthSocket, func(ctx context.Context, c net.Conn) { _ = auth.Serve(ctx, c, authserver.Client24, authserver.Peer{}) })
	w.exists = serveUnix(t, w.cfg.ExistsSocket, func(ctx context.Context, c net.Conn) { _ = auth.Serve(ctx, c, authserver.Exists, authserver.Peer{}) })
	w.lmtp = newSink(t, server.LMTP)
	w.lmtp.service = serveUnix(t, filepath.Join(dir, "lmtp"), w.lmtp.engine.Serve)
	w.far = newSink(t, server.SMTP)
	w.far.service = serveUnix(t, filepath.Join(dir, "far"), w.far.engine.Serve)
	w.old = &oldHost{}
	w.old.service = serveUnix(t, filepath.Join(dir, "old"), w.old.serve)
	return w
}

// roomy is the disk, with as much free space as a test says.
type roomy struct {
	disk.FS
	free atomic.Int64 // 0: what there is
}

func (r *roomy) Statfs(dir string) (disk.Space, error) {
	s, err := disk.Statfs(r.FS, dir)
	if n := r.free.Load(); n > 0 {
		s.Free = uint64(n)
	}
	return s, err
}

func (r *roomy) Chtimes(name string, mtime time.Time) error { return disk.Chtimes(r.FS, name, mtime) }

func (w *world) configure() {
	c := Default()
	c.Hostname = "mx.ours.example"
	for i := range c.Listeners {
		c.Listeners[i].Listen.Address = "127.0.0.1:0"
	}
	c.Submit.Listen = conf.Listen{Address: "unix:" + filepath.Join(w.dir, "submit")}
	c.AuthSocket, c.ExistsSocket = filepath.Join(w.dir, "auth"), filepath.Join(w.dir, "exists")
	c.Domains.Mailbox, c.Domains.Tables = []string{"ours.example"}, nil
	c.Trusted = []conf.Network{conf.MustNetwork("127.0.0.9/32")}
	c.Deliver.LMTP = "unix:" + filepath.Join(w.dir, "lmtp")
	c.Remote.TLS = "none"
	c.Rewrite.HeaderClients = nil // tests come from 127.0.0.1, and are strangers
	c.Queue.Dir = filepath.Join(w.dir, "queue")
	c.Queue.MinFree = 0
	c.Queue.SegmentSize = 1 << 20
	c.Queue.MinBackoff = conf.Duration(50 * time.Millisecond)
	c.Queue.MaxBackoff = conf.Duration(100 * time.Millisecond)
	c.ClientNames = false
	c.Timeouts.Error = 0
	c.TLS.CertFile, c.TLS.KeyFile = filepath.Join(w.dir, "cert.pem"), filepath.Join(w.dir, "key.pem")
	if err := tlsx.WriteSelfSigned(c.TLS.CertFile, c.TLS.KeyFile, []string{c.Hostname}, time.Now(), time.Hour); err != nil {
		w.t.Fatal(err)
	}
	w.cfg = c
}

// start runs mtad until stopMTA or the end of the test.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	w.stop, w.ended = cancel, make(chan error, 1)
	w.listen = map[string]net.Addr{}
	rt := &service.Runtime{Name: "mtad", Log: w.logg, Metrics: obs.NopMetrics(), Now: time.Now, FS: w.disk}
	names := w.names
	if names == nil {
		names = w.zone
	}
	p := parts{Resolver: names, Dial: w.dial, Patience: 50 * time.Millisecond, Probe: 20 * time.Millisecond, Listening: func(l []*listening) {
		for _, k := range l {
			w.listen[k.label] = k.ln.Addr()
			w.queue, w.daemon = k.d.queue, k.d
		}
		close(ready)
	}}
	go func() { w.ended <- run(ctx, rt, w.cfg, p) }()
	select {
	case <-ready:
	case err := <-w.ended:
		w.t.Fatalf("mtad does not start: %v", err)
	}
	w.t.Cleanup(w.stopMTA)
}

func (w *world) stopMTA() {
	if w.stop == nil {
		return
	}
	w.stop()
	w.stop = nil
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Errorf("mtad ended with %v", err)
		}
	case <-time.After(patience):
		w.t.Error("mtad does not stop")
	}
}

// dial reaches the sockets of this world, and of the Internet one host.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network == "tcp" && address == "192.0.2.1:25" {
		network, address = "unix", w.far.service.path
	} else if network == "tcp" && address == "192.0.2.2:25" {
		network, address = "unix", w.old.service.path
	} else if network == "tcp" {
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// connect opens a connection to a listener by its label.
func (w *world) connect(label string) net.Conn {
	w.t.Helper()
	a, ok := w.listen[label]
	if !ok {
		w.t.Fatalf("no listener %q", label)
	}
	c, err := net.Dial(a.Network(), a.String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// outside is a Unix socket server that can go away and come back.
type outside struct {
	t     *testing.T
	path  string
	serve func(context.Context, net.Conn)
	stop  func()
}

func serveUnix(t *testing.T, path string, serve func(context.Context, net.Conn)) *outside {
	s := &outside{t: t, path: path, serve: serve}
	s.up()
	t.Cleanup(s.down)
	return s
}

func (s *outside) up() {
	ln, err := net.Listen("unix", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { c.Close() })
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer stop()
				defer c.Close()
				s.serve(ctx, c)
			}()
		}
	}()
	s.stop = func() {
		cancel()
		ln.Close()
		wg.Wait()
	}
}

func (s *outside) down() {
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// The users of this world.
type logins struct{}

func (logins) Mechanisms() []dovecotauth.Mechanism {
	return []dovecotauth.Mechanism{
		{Name: "PLAIN", Plaintext: true},
		{Name: "LOGIN", Plaintext: true},
		{Name: "SCRAM-SHA-256-PLUS", ChannelBinding: true},
		{Name: "APOP", Private: true},
		{Name: "ANONYMOUS", Anonymous: true},
		{Name: "EXTERNAL"},
	}
}

func (logins) Begin(r authserver.Request) (authserver.Exchange, error) {
	m, ok := sasl.Find(r.Mech)
	if !ok || r.Service == "closed" {
		return nil, fail.New(fail.NotFound, "no mechanism %s", r.Mech)
	}
	x := &saslExchange{passwords: passwords{certified: r.CertUser}}
	x.Server = m.NewServer(&x.passwords, sasl.Setting{PlusOffered: r.Binds})
	return x, nil
}

// passwords lets joe in. gone has the right password too, but must not.
type passwords struct {
	sasl.OnlyPasswords
	ctx   context.Context
	known bool
	user  string

	certified string // name in the client's certificate
}

func (p *passwords) VerifyPassword(c sasl.Credentials) error {
	p.user = c.Authcid
	if (p.user == "joe@ours.example" || p.user == "gone@ours.example") && c.Password == "secret" {
		return nil
	}
	return fail.New(fail.Denied, "wrong password")
}

func (p *passwords) VerifyExternal(authzid string) error {
	if p.certified != "joe" || authzid != "" && authzid != "joe" {
		return fail.New(fail.Denied, "not joe's certificate")
	}
	return nil
}

func (p *passwords) Secret(id sasl.Identity, kind sasl.SecretKind) (sasl.Secret, error) {
	p.known = id.Authcid == "joe@ours.example"
	return sasl.SecretOf(kind, id, "secret", []byte("salt"), 4096), nil
}

func (p *passwords) Proved(ok bool) error {
	if !ok || !p.known {
		return fail.New(fail.Denied, "wrong password")
	}
	return nil
}

func (p *passwords) ChannelBinding(kind string) ([]byte, error) {
	return authserver.ChannelBinding(p.ctx, kind)
}

type saslExchange struct {
	gosasl.Server
	passwords passwords
}

func (x *saslExchange) Next(ctx context.Context, response []byte) (authserver.Step, error) {
	x.passwords.ctx = ctx
	challenge, done, err := x.Server.Next(response)
	step := authserver.Step{Done: done, Challenge: challenge, User: "joe@ours.example"}
	if x.passwords.user == "gone@ours.example" {
		step.User, step.Fields = "gone@ours.example", dovecotauth.Fields{}.AddFlag("nologin").Add("reason", "Moved away")
	}
	return step, err
}

type directory struct{}

func (directory) Exists(_ context.Context, q authserver.Lookup) (authserver.Record, error) {
	name := q.User
	user, domain, _ := strings.Cut(name, "@")
	switch user {
	case "joe", "ann", "postmaster", "refused", "alice":
		return authserver.Record{User: user + "@" + domain}, nil
	case "broken":
		return authserver.Record{}, fail.New(fail.Unavailable, "database is away")
	}
	return authserver.Record{}, fail.New(fail.NotFound, "no user %s", name)
}

func (d directory) User(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	return d.Exists(ctx, q)
}

func (d directory) Pass(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	return d.Exists(ctx, q)
}
func (directory) List(context.Context, string) iter.Seq2[string, error] { return nil }
func (directory) Flush([]string) int                                    { return 0 }
func (directory) Redeemed(context.Context, string, string, any) (authserver.Record, error) {
	return authserver.Record{}, errors.New("nobody logs in here")
}

// sink is a host that takes mail: the delivery agent, or a far MX. It refuses
// recipients called refused (550) and defers those called later (450).
type sink struct {
	t       *testing.T
	engine  *server.Server
	service *outside

	mu    sync.Mutex
	got   []received
	dsn   bool // announce DSN
	plain bool // do not announce SMTPUTF8
	seven bool // nor 8BITMIME

	says map[string]server.Reply // to RCPT, by address
}

// received is a message for one recipient; asked are its DSN parameters, told
// is what XFORWARD said.
type received struct{ from, to, text, asked, told string }

func newSink(t *testing.T, mode server.Mode) *sink {
	s := &sink{t: t}
	c := server.Default()
	c.Hostname, c.Mode = "sink.example", mode
	c.Accept = func(_ context.Context, conn *server.Conn) (server.Session, server.Reply) {
		s.mu.Lock()
		defer s.mu.Unlock()
		conn.Policy.Words.DSN, conn.Policy.Words.SMTPUTF8, conn.Policy.XForward = s.dsn, !s.plain && !s.seven, true
		conn.Policy.Words.EightBitMIME = !s.seven
		return &sinkSession{s, conn}, server.Reply{}
	}
	var err error
	if s.engine, err = server.New(c); err != nil {
		t.Fatal(err)
	}
	return s
}

// say takes the reply to a recipient from now on: "ADDRESS: CODE [X.Y.Z] TEXT".
func (s *sink) say(text string) error {
	to, reply, _ := strings.Cut(text, ": ")
	code, reply, ok := strings.Cut(strings.ReplaceAll(reply, `\n`, "\n"), " ")
	n, err := strconv.Atoi(code)
	if err != nil || !ok {
		return fmt.Errorf("no reply")
	}
	r := server.Reply{Code: n, Text: reply}
	if first, rest, _ := strings.Cut(reply, " "); strings.Count(first, ".") == 2 {
		if c, ok := queue.ParseCode(first); ok {
			r = server.MakeReply(n, int(c.Class), int(c.Subject), int(c.Detail), rest)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.says == nil {
		s.says = map[string]server.Reply{}
	}
	s.says[to] = r
	return nil
}

// messages for a recipient, "" for all.
func (s *sink) messages(to string) []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []received
	for _, m := range s.got {
		if to == "" || m.to == to {
			out = append(out, m)
		}
	}
	return out
}

type sinkSession struct {
	s    *sink
	conn *server.Conn
}

func (x *sinkSession) Helo(context.Context) server.Reply { return server.Reply{} }
func (x *sinkSession) Mail(context.Context, *server.Transaction) server.Verdict {
	return server.Verdict{}
}

func (x *sinkSession) Rcpt(_ context.Context, _ *server.Transaction, r server.Recipient) server.Verdict {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if reply, ok := x.s.says[r.To.String()]; ok {
		return server.Say(reply)
	}
	switch r.To.Local {
	case "refused":
		return server.Say(server.MakeReply(550, 5, 1, 1, "no such user here"))
	case "later":
		return server.Say(server.MakeReply(450, 4, 2, 1, "come back later"))
	}
	return server.Verdict{}
}

func (x *sinkSession) Data(context.Context, *server.Transaction) server.Verdict {
	return server.Verdict{}
}

func (x *sinkSession) Message(_ context.Context, tx *server.Transaction, r io.Reader) server.Result {
	text, err := io.ReadAll(r)
	if err != nil {
		return server.Result{}
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	var told string
	if f := x.conn.Forward; f != nil {
		told = fmt.Sprintf("NAME=%s ADDR=%s PORT=%s PROTO=%s HELO=%s IDENT=%s LOCAL=%v", f.Name, f.Addr, f.Port, f.Proto, f.Helo, f.Ident, f.Local)
	}
	for _, rcpt := range tx.Rcpts {
		var words []string
		for _, n := range rcpt.Options.Notify {
			words = append(words, string(n))
		}
		asked := fmt.Sprintf("RET=%s ENVID=%s NOTIFY=%s ORCPT=%s;%s", tx.Options.Return, tx.Options.EnvelopeID, strings.Join(words, ","),
			rcpt.Options.OriginalRecipientType, rcpt.Options.OriginalRecipient)
		x.s.got = append(x.s.got, received{tx.From.String(), rcpt.To.String(), string(text), asked, told})
	}
	return server.Result{}
}
func (x *sinkSession) Reset(*server.Transaction) {}
func (x *sinkSession) Event(server.Event)        {}
func (x *sinkSession) Close(server.Summary)      {}

// oldHost is a host that knows HELO and no more, as in RFC 3461 section 10.4.
type oldHost struct {
	service *outside

	mu    sync.Mutex
	heard []string
}

func (h *oldHost) serve(_ context.Context, c net.Conn) {
	in := bufio.NewScanner(c)
	say := func(text string) { fmt.Fprintf(c, "%s\r\n", text) }
	say("220-Bombs.AF.MIL reporting for duty.\r\n220 Electronic mail is to be used for official business only.")
	for in.Scan() {
		h.mu.Lock()
		h.heard = append(h.heard, in.Text())
		h.mu.Unlock()
		switch word, _, _ := strings.Cut(strings.ToUpper(in.Text()), " "); word {
		case "EHLO":
			say("502 command not implemented")
		case "DATA":
			say("354 send message")
			for in.Scan() && in.Text() != "." {
			}
			say("250 message accepted")
		case "QUIT":
			say("221 Bombs.AF.MIL closing connection")
			return
		default:
			say("250 ok")
		}
	}
}
