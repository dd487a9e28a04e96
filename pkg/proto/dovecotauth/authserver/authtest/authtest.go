package authtest

import (
	"context"
	"iter"
	"net"
	"path/filepath"
	"sync"
	"testing"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Guest is who logs in by ANONYMOUS.
const Guest = "guest"

// pid is our SPID. It is no process: two services in one test process must not
// have the same.
const pid = 4711

// Service is an Authenticator and a Directory.
type Service struct {
	// Passwords are those of the users. A user's bearer token is the same, and
	// a certificate made out to a user is good.
	Passwords map[string]string
	// Home gives the fields of a user's record; nil: none.
	Home func(user string) dovecotauth.Fields

	mu   sync.Mutex
	seen map[string]int
}

// Logins returns how often each mechanism has let somebody in.
func (s *Service) Logins() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]int, len(s.seen))
	for mech, n := range s.seen {
		out[mech] = n
	}
	return out
}

// Listen serves each kind on a Unix socket of that name in dir until the end of
// the test.
func (s *Service) Listen(t testing.TB, dir string, kinds ...authserver.Kind) {
	t.Helper()
	srv := authserver.New(authserver.Config{Auth: s, Directory: s, PID: pid})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for _, kind := range kinds {
		l, err := net.Listen("unix", filepath.Join(dir, kind.String()))
		if err != nil {
			t.Fatal(err)
		}
		context.AfterFunc(ctx, func() { _ = l.Close() })
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { _ = srv.Serve(ctx, c, kind, authserver.Peer{}) })
			}
		})
	}
}

// Mechanisms is all there are.
func (s *Service) Mechanisms() []dovecotauth.Mechanism {
	var out []dovecotauth.Mechanism
	for _, m := range sasl.Mechanisms() {
		out = append(out, dovecotauth.Mechanism{
			Name: m.Name, Plaintext: m.Plaintext, Dictionary: m.Dictionary, Active: m.Active, Anonymous: m.Anonymous,
			ForwardSecrecy: m.ForwardSecrecy, MutualAuth: m.MutualAuth, Private: m.Private, ChannelBinding: m.Binding,
		})
	}
	return out
}

// Begin starts an exchange.
func (s *Service) Begin(r authserver.Request) (authserver.Exchange, error) {
	m, ok := sasl.Find(r.Mech)
	if !ok {
		return nil, fail.New(fail.NotFound, "no mechanism %s", r.Mech)
	}
	x := &exchange{s: s, req: r}
	x.server = m.NewServer(x, sasl.Setting{PlusOffered: r.Binds && r.TLS.Protocol != "", Stamp: sasl.Stamp{PID: pid, Conn: r.CUID}})
	return x, nil
}

type exchange struct {
	s      *Service
	req    authserver.Request
	server gosasl.Server
	ctx    context.Context // of the step that runs
	user   string
}

var errWrong = fail.New(fail.Denied, "wrong")

func (x *exchange) Next(ctx context.Context, response []byte) (authserver.Step, error) {
	x.ctx = ctx
	challenge, done, err := x.server.Next(response)
	if done {
		x.s.mu.Lock()
		defer x.s.mu.Unlock()
		if x.s.seen == nil {
			x.s.seen = map[string]int{}
		}
		x.s.seen[x.req.Mech]++
	}
	return authserver.Step{Done: done, Challenge: challenge, User: x.user}, err
}

func (x *exchange) decide(user string, ok bool) error {
	x.user = user
	if _, known := x.s.Passwords[user]; !known || !ok {
		return errWrong
	}
	return nil
}

func (x *exchange) VerifyPassword(c sasl.Credentials) error {
	return x.decide(c.Authcid, x.s.Passwords[c.Authcid] == c.Password)
}

func (x *exchange) Secret(id sasl.Identity, kind sasl.SecretKind) (sasl.Secret, error) {
	x.user = id.Authcid
	return sasl.SecretOf(kind, id, x.s.Passwords[id.Authcid], []byte("sixteen bytes of"), 4096), nil
}

func (x *exchange) Proved(ok bool) error { return x.decide(x.user, ok) }

func (x *exchange) VerifyToken(t sasl.Token) error {
	return x.decide(t.User, x.s.Passwords[t.User] == t.Value)
}

func (x *exchange) VerifyExternal(authzid string) error {
	return x.decide(x.req.CertUser, x.req.ClientCert && (authzid == "" || authzid == x.req.CertUser))
}

func (x *exchange) VerifyAnonymous(string) error {
	x.user = Guest
	return nil
}

func (x *exchange) ChannelBinding(kind string) ([]byte, error) {
	return authserver.ChannelBinding(x.ctx, kind)
}

// User knows who has a password.
func (s *Service) User(_ context.Context, q authserver.Lookup) (authserver.Record, error) {
	if _, ok := s.Passwords[q.User]; !ok {
		return authserver.Record{}, fail.New(fail.NotFound, "no user %s", q.User)
	}
	r := authserver.Record{User: q.User}
	if s.Home != nil {
		r.Fields = s.Home(q.User)
	}
	return r, nil
}

// Exists is User without fields.
func (s *Service) Exists(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	r, err := s.User(ctx, q)
	r.Fields = dovecotauth.Fields{}.Add("class", "mailbox")
	return r, err
}

// Pass is User without fields.
func (s *Service) Pass(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	r, err := s.User(ctx, q)
	r.Fields = nil
	return r, err
}

// List yields nobody.
func (s *Service) List(context.Context, string) iter.Seq2[string, error] {
	return func(func(string, error) bool) {}
}

// Redeemed is User.
func (s *Service) Redeemed(ctx context.Context, user, service string, _ any) (authserver.Record, error) {
	return s.User(ctx, authserver.Lookup{User: user, Service: service})
}

// Flush has nothing to forget.
func (s *Service) Flush([]string) int { return 0 }
