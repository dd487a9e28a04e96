package authserver

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/wiretest"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// The world of the transcripts: alice and carol log in with "pw", the backend
// is down for erin, mallory's lookup is a fault in our code, dave is disabled,
// nora may not log in here, sloan's verdict waits for a "release:" line. With
// mechanism BOUND-PLUS the response is a user, let in if the channel is bound;
// with SIGNED it is one, told a signature in the end.
type world struct {
	released  chan struct{}
	immediate bool // steps run on the reading goroutine
	hasty     bool // which goes at the first silence
	extra     []dovecotauth.Mechanism
}

func (w *world) Mechanisms() []dovecotauth.Mechanism {
	return append([]dovecotauth.Mechanism{{Name: "PLAIN", Plaintext: true}, {Name: "LOGIN", Plaintext: true}}, w.extra...)
}

func (w *world) Begin(r Request) (Exchange, error) {
	switch r.Mech {
	case "BOUND-PLUS":
		return boundExchange{}, nil
	case "SIGNED":
		return signedExchange{}, nil
	case "EXTERNAL":
		return certExchange(r.CertUser), nil
	}
	m, ok := sasl.Find(r.Mech)
	if !ok {
		return nil, fail.New(fail.NotFound, "mechanism %s", r.Mech)
	}
	x := &worldExchange{w: w}
	x.server = m.NewServer(x, sasl.Setting{})
	return x, nil
}

type worldExchange struct {
	sasl.OnlyPasswords
	w      *world
	ctx    context.Context
	server interface {
		Next([]byte) ([]byte, bool, error)
	}
	user string
}

type boundExchange struct{}

func (boundExchange) Next(ctx context.Context, response []byte) (Step, error) {
	data, err := ChannelBinding(ctx, "tls-exporter")
	if err == nil && string(data) != "bound" {
		err = Refuse(Refusal{User: string(response)})
	}
	return Step{Done: err == nil, User: string(response)}, err
}

func (boundExchange) Immediate() bool { return true }

type signedExchange struct{}

func (signedExchange) Next(_ context.Context, response []byte) (Step, error) {
	return Step{Done: true, User: string(response), Challenge: []byte("v=sig")}, nil
}

// certExchange lets in whom the certificate names.
type certExchange string

func (x certExchange) Next(_ context.Context, response []byte) (Step, error) {
	if x == "" || string(x) != string(response) {
		return Step{}, Refuse(Refusal{})
	}
	return Step{Done: true, User: string(x)}, nil
}

func (x *worldExchange) Immediate() bool { return x.w.immediate }

func (x *worldExchange) Next(ctx context.Context, response []byte) (Step, error) {
	x.ctx = ctx
	ch, done, err := x.server.Next(response)
	if done {
		ch = nil
	}
	step := Step{Done: done, Challenge: ch, User: x.user, Login: "login of " + x.user}
	if x.user == "nora" {
		step.Fields = dovecotauth.Fields{}.AddFlag("nologin").Add("reason", "Not here")
	}
	return step, err
}

func (x *worldExchange) VerifyPassword(c sasl.Credentials) error {
	x.user = c.Authcid
	switch x.user {
	case "erin":
		return fail.New(fail.Unavailable, "backend is down")
	case "mallory":
		panic("a fault in our code")
	case "dave":
		return Refuse(Refusal{User: "dave", Code: "user_disabled", Reason: "Account is disabled"})
	case "frank":
		return Refuse(Refusal{User: "frank", Fields: dovecotauth.Fields{}.Add("original_user", "Frank\tX")})
	case "sloan":
		Waiting(x.ctx)
		select {
		case <-x.w.released:
		case <-x.ctx.Done():
			return x.ctx.Err()
		}
	}
	if c.Password != "pw" {
		return Refuse(Refusal{User: x.user})
	}
	return nil
}

func (w *world) User(_ context.Context, q Lookup) (Record, error) {
	name, service := q.User, q.Service
	switch {
	case name == "erin":
		return Record{}, fail.New(fail.Unavailable, "backend is down")
	case name == "mallory":
		panic("a fault in our code")
	case name != "alice" && name != "Carol" && name != "olga":
		return Record{}, fail.New(fail.NotFound, "no user %s", name)
	}
	uid := "103"
	if name == "olga" {
		uid = "90"
	}
	fs := dovecotauth.Fields{}.Add("uid", uid).Add("gid", "107").Add("home", "/h/"+name+"/"+service)
	return Record{User: strings.ToLower(name), Fields: fs}, nil
}

func (w *world) Exists(ctx context.Context, q Lookup) (Record, error) {
	r, err := w.User(ctx, q)
	r.Fields = r.Fields.Add("class", "mailbox").Add("quota", "full") // uid, gid and home must not go out
	return r, err
}

func (w *world) Pass(ctx context.Context, q Lookup) (Record, error) {
	r, err := w.User(ctx, q)
	return Record{User: r.User, Fields: dovecotauth.Fields{}.AddFlag("nodelay")}, err
}

func (w *world) List(_ context.Context, mask string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if !yield("alice", nil) || !yield("carol", nil) {
			return
		}
		if mask == "broken*" {
			yield("", fail.New(fail.Unavailable, "backend is down"))
		}
	}
}

func (w *world) Redeemed(ctx context.Context, user, service string, login any) (Record, error) {
	r, err := w.User(ctx, Lookup{User: user, Service: service})
	if by, ok := login.(string); ok {
		r.Fields = r.Fields.Add("by", by)
	}
	return r, err
}

func (w *world) Flush(users []string) int { return 2 + len(users) }

// TestTranscripts plays testdata/*.txt against a server, with steps on
// goroutines of their own and on the one that reads, and with readers that give
// way as soon as the client says nothing. "on: KIND NAME" opens or
// picks a connection, "drop:" hangs up, "close:" does and waits for the end of
// all connections, "release:" lets sloan's lookups go on, "wait: 31s" moves
// the clock, "offer: MECH" adds a mechanism, "restrict:" makes connections
// restricted ones.
func TestTranscripts(t *testing.T) {
	for _, file := range wiretest.Files(t, "testdata/*.txt") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, w := range []world{{}, {immediate: true}, {hasty: true}, {immediate: true, hasty: true}} {
				w.released = make(chan struct{})
				play(t, file, &w)
			}
		})
	}
}

func play(t *testing.T, file string, w *world) {
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	srv := New(Config{Auth: w, Directory: w, PID: 4711, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	if w.hasty {
		srv.silenceAfter = 1
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	peer := Peer{UID: 90, GID: 90, PID: 900}
	players := map[string]*wiretest.Player{}
	var cur *wiretest.Player
	defer func() {
		for _, p := range players {
			_ = p.Conn.Close()
		}
	}()
	for _, s := range wiretest.Read(t, file) {
		switch s.Word {
		case "on":
			old := cur
			if cur = players[s.Text]; cur != nil {
				continue
			}
			cur = wiretest.NewPlayer(t, file, connect(t, srv, &serving, s.Text, peer))
			if old != nil {
				cur.Share(old)
			}
			players[s.Text] = cur
		case "C":
			cur.Send(s)
		case "S":
			if !cur.Expect(s) {
				return
			}
		case "drop":
			_ = cur.Conn.Close()
		case "close":
			_ = cur.Conn.Close()
			serving.Wait()
		case "release":
			close(w.released)
		case "offer":
			w.extra = append(w.extra, dovecotauth.Mechanism{Name: s.Text, ChannelBinding: strings.HasSuffix(s.Text, "-PLUS")})
		case "restrict":
			peer.Restricted = true
		case "wait":
			d, _ := time.ParseDuration(s.Text)
			mu.Lock()
			now = now.Add(d)
			mu.Unlock()
		default:
			t.Fatalf("%s:%d: what is %q?", file, s.Line, s.Word)
		}
	}
}

// connect serves a new connection; the test is process 900 of user 90.
func connect(t *testing.T, srv *Server, serving *sync.WaitGroup, spec string, peer Peer) net.Conn {
	name, _, _ := strings.Cut(spec, " ")
	kind, ok := KindNamed(name)
	if !ok {
		t.Fatalf("no listener type %q", name)
	}
	client, server := wiretest.Pair(t)
	serving.Add(1)
	go func() {
		defer serving.Done()
		_ = srv.Serve(t.Context(), server, kind, peer)
	}()
	return client
}

func TestKindNames(t *testing.T) {
	for k := Client; k <= Exists; k++ {
		if got, ok := KindNamed(k.String()); got != k || !ok {
			t.Errorf("%d is called %q", k, k)
		}
	}
	if _, ok := KindNamed("unknown"); ok {
		t.Error(`"unknown" is no listener type`)
	}
}

// A response that does not come in time costs its exchange and nothing else.
func TestExchangeTimesOut(t *testing.T) {
	client, server := wiretest.Pair(t)
	w := &world{}
	srv := New(Config{Auth: w, Directory: w, RequestTimeout: 200 * time.Millisecond})
	c := &clientConn{
		conn:  &conn{s: srv, ctx: t.Context(), nc: server, out: newOutput(server, time.Second, &srv.outputs)},
		minor: 1, active: map[uint32]*exchange{},
	}
	ex, err := w.Begin(Request{Mech: "LOGIN"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.run(&Request{ID: 1, Mech: "LOGIN"}, ex); err != nil {
		t.Fatal(err)
	}
	p := wiretest.NewPlayer(t, "timeout", client)
	p.Expect(wiretest.Step{Text: `CONT\t1\tVXNlcm5hbWU6`})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		left := len(c.active)
		c.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the exchange still waits")
		}
	}
	if _, err := c.cont([]byte("1\tYWxpY2U=")); err != nil {
		t.Fatal(err)
	}
	p.Expect(wiretest.Step{Text: `FAIL\t1\treason=Authentication request timed out`})
}

// A server that stops reads no more, answers what runs, and hangs up.
func TestDrain(t *testing.T) {
	client, server := wiretest.Pair(t)
	w := &world{released: make(chan struct{})}
	srv := New(Config{Auth: w, Directory: w})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, server, Client, Peer{}) }()
	r := dovecotauth.NewReader(client)
	_, _ = client.Write([]byte("VERSION\t1\t1\nCPID\t7\nAUTH\t1\tPLAIN\tservice=smtp\tresp=AHNsb2FuAHB3\nAUTH\t2\tNOSUCH\tservice=smtp\n"))
	for l := (dovecotauth.Line{}); l.Verb != "FAIL"; {
		var err error
		if l, err = r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	stop() // request 1 runs, request 2 is answered
	close(w.released)
	if l, err := r.Next(); err != nil || l.Verb != "OK" || l.Param(0) != "1" {
		t.Fatalf("%+v %v", l, err)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
