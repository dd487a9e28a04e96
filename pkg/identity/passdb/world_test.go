package passdb

import (
	"context"
	"net/netip"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// counter hashes on the spot and counts.
type counter struct {
	n    int
	slow int // those that need a slot
	full bool
}

func (c *counter) Verify(_ context.Context, h scheme.Hash, password string) (bool, error) {
	if c.full {
		return false, fail.New(fail.Unavailable, "queue is full")
	}
	c.n++
	if !scheme.Cheap(h) {
		c.slow++
	}
	return h.Verify(&scheme.Workspace{}, password), nil
}

// plain allows readable passwords, which keep tests quick.
func plain() scheme.Policy { return scheme.Policy{Allow: []string{"PLAIN"}, SaltKey: []byte("k")} }

func newChain(t testing.TB, entries ...Entry) (*Chain, *counter) {
	t.Helper()
	decoy, err := scheme.Parse("{PLAIN}decoy", plain())
	if err != nil {
		t.Fatal(err)
	}
	n := &counter{}
	return &Chain{Entries: entries, Hasher: n, Decoy: decoy, DecoyKey: []byte("k"), Policy: plain()}, n
}

// memory is a database in memory. A user's fields are as FromFields takes
// them; "down" as a password is an outage.
type memory struct {
	users map[string][]account.Field
	asked int
	vars  []string
}

// db makes an entry of users written as "name:password key=value …".
func db(name string, users ...[]account.Field) (Entry, *memory) {
	m := &memory{users: map[string][]account.Field{}}
	for _, u := range users {
		m.users[u[0].Value] = u[1:]
	}
	return Entry{Name: name, ID: name, Driver: lookups{m}, Rules: rule.Defaults()}, m
}

// user is a row: a name, a password, and pairs of a key and a value.
func user(name, password string, pairs ...string) []account.Field {
	fs := []account.Field{{Key: "name", Value: name}, {Key: "password", Value: password}}
	for i := 0; i < len(pairs); i += 2 {
		fs = append(fs, account.Field{Key: pairs[i], Value: pairs[i+1]})
	}
	return fs
}

func (m *memory) find(name string) (Account, error) {
	m.asked++
	fs, ok := m.users[name]
	switch {
	case !ok:
		return Account{}, fail.New(fail.NotFound, "no user %s", name)
	case fs[0].Value == "down":
		return Account{}, fail.New(fail.Temporary, "cannot connect")
	}
	return FromFields(name, "PLAIN", fs)
}

func (m *memory) set(name, password string) {
	m.users[name][0].Value = password
}

// lookups hands passwords out.
type lookups struct{ *memory }

func (lookups) Name() string { return "memory" }
func (m lookups) Lookup(_ context.Context, r *request.Request) (Account, error) {
	return m.find(r.User)
}

func (m lookups) SetPassword(_ context.Context, r *request.Request, stored string) error {
	m.set(r.User, stored)
	return nil
}

// checks compares them itself.
type checks struct{ *memory }

func (checks) Name() string { return "memory" }
func (m checks) Verify(_ context.Context, r *request.Request, password string) (Account, error) {
	a, err := m.find(r.User)
	if err == nil && a.Stored != "{PLAIN}"+password {
		err = Refuse("memory", Mismatch)
	}
	a.Stored = ""
	return a, err
}

// remote is lookups over a network.
type remote struct{ lookups }

func (m remote) Variables() []string { return m.vars }

// remoteChecks is checks over a network.
type remoteChecks struct{ checks }

func (m remoteChecks) Variables() []string { return m.vars }

// tokens takes "token of NAME".
type tokens struct{}

func (tokens) Name() string { return "oauth2" }
func (tokens) VerifyToken(_ context.Context, r *request.Request, token string) (Account, error) {
	switch {
	case token == "down":
		return Account{}, fail.New(fail.Temporary, "cannot connect")
	case r.User == "" || token == "token of "+r.User:
		return Account{User: token[len("token of "):], Fields: []account.Field{{Key: "by", Value: "token"}}}, nil
	}
	return Account{}, fail.Wrap(fail.Denied, &Refused{DB: "oauth2", Reason: Mismatch, Detail: "of somebody else"}, "")
}

// login is a request of somebody at 192.0.2.7.
func login(name string) *request.Request {
	return &request.Request{
		User: name, Claimed: name, Original: name, Service: "imap", Mech: "PLAIN",
		Remote: netip.MustParseAddrPort("192.0.2.7:4000"),
	}
}

// outcome is "ok", the reason of a refusal, or "outage".
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	if r := RefusedOf(err); r != nil && fail.Is(err, fail.Denied) {
		return r.Reason.String()
	}
	return "outage"
}
