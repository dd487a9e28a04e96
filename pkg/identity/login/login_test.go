package login

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// users is a database of users and their fields; "down" is an outage.
type users map[string][]account.Field

func (users) Name() string { return "memory" }

func (u users) Lookup(_ context.Context, r *request.Request) (passdb.Account, error) {
	fs, ok := u[r.User]
	switch {
	case r.User == "down@example.org":
		return passdb.Account{}, fail.New(fail.Unavailable, "down")
	case !ok:
		return passdb.Account{}, fail.New(fail.NotFound, "no user %s", r.User)
	}
	return passdb.FromFields(r.User, "PLAIN", fs)
}

func (u users) VerifyToken(_ context.Context, r *request.Request, token string) (passdb.Account, error) {
	if r.User != "" && token != r.User {
		return passdb.Account{}, passdb.Refuse("memory", passdb.Mismatch)
	}
	return passdb.Account{User: token}, nil
}

// hasher counts, and hashes on the spot.
type hasher struct{ n int }

func (h *hasher) Verify(_ context.Context, s scheme.Hash, password string) (bool, error) {
	h.n++
	return s.Verify(&scheme.Workspace{}, password), nil
}

func stored(fields ...string) []account.Field {
	var fs []account.Field
	for i := 0; i < len(fields); i += 2 {
		fs = append(fs, account.Field{Key: fields[i], Value: fields[i+1]})
	}
	return fs
}

// world is a service with some users.
type world struct {
	*Service
	hashes *hasher
	t      *testing.T
}

func newWorld(t *testing.T, masters bool) *world {
	t.Helper()
	policy := scheme.Policy{Allow: []string{"PLAIN"}, SaltKey: []byte("k")}
	decoy, err := scheme.Parse("{PLAIN}decoy", policy)
	if err != nil {
		t.Fatal(err)
	}
	db := users{
		"alice@example.org": stored("password", "pw"), "guest": stored("password", "pw"),
		"alias@example.org": stored("password", "pw", "user", "guest"), "cert@example.org": stored("password", "!"),
		"late@example.org": stored("password", "pw", "delay_until", strconv.FormatInt(start().Add(time.Hour).Unix(), 10)),
	}
	entries := []passdb.Entry{{Name: "memory", ID: "1", Driver: db, Rules: rule.Defaults()}}
	if masters {
		entries = append(entries, passdb.Entry{
			Name: "masters", ID: "2", Driver: users{"admin@example.org": stored("password", "mpw")}, Master: true, Rules: rule.Defaults(),
		})
	}
	h := &hasher{}
	return &world{&Service{
		Chain: &passdb.Chain{Entries: entries, Hasher: h, Policy: policy, Decoy: decoy, DecoyKey: []byte("k")},
		Names: Names{DefaultDomain: "example.org"}, Separator: "*", Now: start,
		Guard: &throttle.Guard{Store: throttle.NewMemory(time.Hour, start), Key: throttle.NewKey()},
	}, h, t}
}

// failures is how many failures of our address are remembered.
func (w *world) failures() int {
	w.t.Helper()
	n := w.Guard.Delay(w.t.Context(), throttle.Peer{Addr: peer().Remote.Addr()})
	return int(n / (2 * time.Second))
}

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func peer() *request.Request {
	return &request.Request{Service: "imap", Mech: "PLAIN", Remote: netip.MustParseAddrPort("192.0.2.1:1000")}
}

// outcome is the user, a reason, "act as" or "outage".
func outcome(r *request.Request, err error) string {
	switch refused := passdb.RefusedOf(err); {
	case err == nil && r.AuthUser != "":
		return r.User + " by " + r.AuthUser
	case err == nil:
		return r.User
	case errors.Is(err, ErrActAs) && fail.Is(err, fail.Denied):
		return "act as"
	case refused != nil && fail.Is(err, fail.Denied):
		return refused.Reason.String()
	}
	return "outage"
}

func TestPassword(t *testing.T) {
	for _, tc := range []struct {
		name, authcid, authzid, password string
		masters                          bool
		want                             string
		failures                         int
	}{
		{"right", "Alice", "", "pw", false, "alice@example.org", 0},
		{"wrong", "alice@EXAMPLE.org", "", "no", false, "Password mismatch", 1},
		{"unknown", "zoe", "", "pw", false, "unknown user", 1},
		{"outage", "down", "", "no", false, "outage", 0},
		{"as oneself", "alice", "ALICE@example.org", "pw", false, "alice@example.org", 0},
		{"as another", "alice", "bob", "pw", false, "act as", 1},
		{"as another, wrong", "alice", "bob", "no", false, "Password mismatch", 1},
		{"as another, in the name", "bob*alice", "", "pw", false, "act as", 1},
		{"master", "admin", "bob", "mpw", true, "bob@example.org by admin@example.org", 0},
		{"master in the name", "bob*admin", "", "mpw", true, "bob@example.org by admin@example.org", 0},
		{"master in the name, named again", "bob*admin", "bob*admin", "mpw", true, "bob@example.org by admin@example.org", 0},
		{"no master", "bob*alice", "", "pw", true, "unknown user", 1},
		{"a master's own mail is another database's", "admin", "", "mpw", true, "unknown user", 1},
		{"the guest is nobody's user", "guest", "", "pw", false, "unknown user (the name is not allowed)", 1},
		{"whoever says so", "alias", "", "pw", false, "unknown user (the name is not allowed)", 1},
		{"no name", "*alice", "", "pw", false, "unknown user (the name is not allowed)", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.masters)
			if tc.authcid == "guest" || tc.authcid == "alias" {
				w.Guest, w.Names.DefaultDomain = "guest", ""
				if tc.authcid == "alias" {
					tc.authcid = "alias@example.org"
				}
			}
			a := w.Begin(peer())
			told := 0
			a.Decided = func(_ passdb.Verdict, err error) { told++ }
			err := a.Password(t.Context(), sasl.Credentials{Authcid: tc.authcid, Authzid: tc.authzid, Password: tc.password})
			if got := outcome(a.R, err); got != tc.want || told != 1 {
				t.Errorf("%s (%v), decided %d times", got, err, told)
			}
			if w.failures() != tc.failures {
				t.Errorf("%d failures are counted", w.failures())
			}
			if tc.want != "outage" && w.hashes.n != 1 {
				t.Errorf("%d hashes: the time tells", w.hashes.n)
			}
		})
	}
}

func TestNames(t *testing.T) {
	format := func(text string) expand.Template {
		tpl, err := request.Template(text)
		if err != nil {
			t.Fatal(err)
		}
		return tpl
	}
	for _, tc := range []struct {
		names      Names
		name, want string // empty: refused
	}{
		{Names{}, "Alice", "alice"},
		{Names{DefaultDomain: "XN--Bcher-KVA.example"}, "alice", "alice@bücher.example"},
		{Names{DefaultDomain: "example.org"}, "alice@", "alice@"},
		{Names{Translation: "#@/@%_"}, "a#example.org", "a@example.org"},
		{Names{Translation: "#@/@%_"}, "a%b", "a_b"},
		{Names{Chars: "abc@."}, "a@b.c", "a@b.c"},
		{Names{Chars: "abc@."}, "a@b.d", ""},
		{Names{Chars: "abc"}, "aü", ""},
		{Names{Format: format("%n")}, "alice@example.org", "alice"},
		{Names{Format: format("%{user | username}@%{service}.example")}, "Alice@x", "alice@imap.example"},
		{Names{Format: format("%{domain}")}, "alice", ""},
		{Names{Format: format("%{user | substr(9)}")}, "alice", ""},
		{Names{}, "", ""},
	} {
		got, err := tc.names.Canonical(peer(), tc.name)
		if got != tc.want || (err == nil) != (tc.want != "") || err != nil && !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %q %v, want %q", tc.name, got, err, tc.want)
		}
	}
}

func TestRules(t *testing.T) {
	w := newWorld(t, true)
	w.Guard = nil
	w.Rules = []Rule{
		{Match: rule.Match{Services: []string{"imap"}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
		{Match: rule.Match{Services: []string{"imap"}}, Secured: true},
		{Match: rule.Match{Users: []string{"bob@*"}}, Deny: true},
		{Match: rule.Match{Services: []string{"pop3"}}, Deny: true},
	}
	for _, tc := range []struct {
		service, remote, user string
		secured               bool
		want                  string
	}{
		{"imap", "192.0.2.9:1", "alice", false, "alice@example.org"},
		{"imap", "198.51.100.1:1", "alice", false, "a login rule forbids it"},
		{"imap", "198.51.100.1:1", "alice", true, "alice@example.org"},
		{"pop3", "192.0.2.9:1", "alice", true, "a login rule forbids it"},
		{"smtp", "192.0.2.9:1", "alice", false, "alice@example.org"},
		{"smtp", "192.0.2.9:1", "bob*admin", false, "a login rule forbids it"},
	} {
		w.hashes.n = 0
		r := peer()
		r.Service, r.Remote, r.Secured = tc.service, netip.MustParseAddrPort(tc.remote), tc.secured
		password := "pw"
		if tc.user == "bob*admin" {
			password = "mpw"
		}
		err := w.Begin(r).Password(t.Context(), sasl.Credentials{Authcid: tc.user, Password: password})
		if got := outcome(r, err); got != tc.want || w.hashes.n != 1 {
			t.Errorf("%+v: %s (%v), %d hashes", tc, got, err, w.hashes.n)
		}
	}
}

// A challenge mechanism asks twice; nothing tells before the proof.
func TestChallenge(t *testing.T) {
	for _, tc := range []struct {
		name   string
		id     sasl.Identity
		proof  bool
		secret string // "" stands for an invented one
		want   string
	}{
		{"right", sasl.Identity{Authcid: "alice"}, true, "pw", "alice@example.org"},
		{"wrong", sasl.Identity{Authcid: "alice"}, false, "pw", "Password mismatch"},
		{"realm", sasl.Identity{Authcid: "alice", Realm: "example.org"}, true, "pw", "alice@example.org"},
		{"unknown", sasl.Identity{Authcid: "zoe"}, false, "", "unknown user"},
		{"odd name", sasl.Identity{Authcid: "z*"}, false, "", "unknown user (the name is not allowed)"},
		{"as another", sasl.Identity{Authcid: "alice", Authzid: "bob"}, true, "pw", "act as"},
	} {
		w := newWorld(t, false)
		a := w.Begin(peer())
		told := 0
		a.Decided = func(passdb.Verdict, error) { told++ }
		s, err := a.Secret(t.Context(), tc.id, sasl.SecretPlain)
		if err != nil || told != 0 || s.Plain == "" || tc.secret != "" && s.Plain != tc.secret || tc.secret == "" && s.Plain == "pw" {
			t.Errorf("%s: %+v %v, told %d", tc.name, s, err, told)
		}
		err = a.Proved(t.Context(), tc.proof)
		if got := outcome(a.R, err); got != tc.want || told != 1 {
			t.Errorf("%s: %s (%v), told %d", tc.name, got, err, told)
		}
	}
	w := newWorld(t, false)
	a := w.Begin(peer())
	if _, err := a.Secret(t.Context(), sasl.Identity{Authcid: "down"}, sasl.SecretPlain); outcome(a.R, err) != "outage" {
		t.Error(err)
	}
}

func TestToken(t *testing.T) {
	w := newWorld(t, false)
	w.Guest, w.Guard = "guest", nil
	w.Rules = []Rule{{Match: rule.Match{Users: []string{"banned@*"}}, Deny: true}}
	for _, tc := range []struct{ user, token, want string }{
		{"alice", "alice@example.org", "alice@example.org"},
		{"", "alice@example.org", "alice@example.org"},
		{"bob", "alice@example.org", "Password mismatch"},
		{"", "banned@example.org", "a login rule forbids it"},
		{"banned", "banned@example.org", "a login rule forbids it"},
		{"", "guest", "unknown user (the name is not allowed)"},
	} {
		a := w.Begin(peer())
		err := a.Token(t.Context(), sasl.Token{User: tc.user, Value: tc.token})
		if got := outcome(a.R, err); got != tc.want {
			t.Errorf("%+v: %s (%v)", tc, got, err)
		}
	}
}

// A name counts only with a certificate that names it.
func TestExternal(t *testing.T) {
	for _, tc := range []struct {
		name          string
		cert          bool
		user, authzid string
		masters       bool
		want          string
	}{
		{"certificate", true, "alice@example.org", "", false, "alice@example.org"},
		{"as oneself", true, "Alice", "alice@example.org", false, "alice@example.org"},
		{"no certificate", false, "alice@example.org", "", false, "no client certificate with a user name"},
		{"a certificate without a name", true, "", "alice@example.org", false, "no client certificate with a user name"},
		{"neither", false, "", "alice@example.org", false, "no client certificate with a user name"},
		{"as another", true, "alice@example.org", "bob", false, "act as"},
		{"master", true, "admin@example.org", "bob", true, "bob@example.org by admin@example.org"},
		{"locked", true, "cert@example.org", "", false, "Password mismatch (the account is locked)"},
		{"unknown", true, "zoe@example.org", "", false, "unknown user"},
	} {
		w := newWorld(t, tc.masters)
		r := peer()
		r.Mech, r.ClientCert, r.CertUser = "EXTERNAL", tc.cert, tc.user
		err := w.Begin(r).External(t.Context(), tc.authzid)
		if got := outcome(r, err); got != tc.want {
			t.Errorf("%s: %s (%v)", tc.name, got, err)
		}
	}
}

func TestAnonymous(t *testing.T) {
	w := newWorld(t, false)
	w.Guard = nil
	if err := w.Begin(peer()).Anonymous(t.Context()); outcome(peer(), err) != "a login rule forbids it" {
		t.Error("there is no guest", err)
	}
	w.Guest = "guest"
	r := peer()
	err := w.Begin(r).Anonymous(t.Context())
	if want := []account.Field{{Key: "anonymous", Flag: true}}; err != nil || r.User != "guest" || !reflect.DeepEqual(r.Passdb, want) {
		t.Errorf("%+v %v", r, err)
	}
	w.Rules = []Rule{{Match: rule.Match{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, Deny: true}}
	if err := w.Begin(peer()).Anonymous(t.Context()); !fail.Is(err, fail.Denied) {
		t.Error(err)
	}
}

// The verdict is logged at once; the refusal is told after the delay.
func TestRefusalIsDelayed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld(t, false)
	w.Guard, w.Delay = nil, throttle.Delay{For: time.Hour, Now: start}
	done, decided := make(chan error, 1), make(chan struct{})
	go func() {
		a := w.Begin(peer())
		a.Decided = func(passdb.Verdict, error) { close(decided) }
		done <- a.Password(ctx, sasl.Credentials{Authcid: "a", Password: "no"})
	}()
	<-decided
	select {
	case err := <-done:
		t.Fatalf("told at once: %v", err)
	default:
	}
	cancel()
	if err := <-done; !fail.Is(err, fail.Denied) {
		t.Fatal(err)
	}
}

// A database may hold a success back.
func TestSuccessIsDelayed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := newWorld(t, false)
	a := w.Begin(peer())
	if err := a.Password(ctx, sasl.Credentials{Authcid: "late", Password: "pw"}); err != nil {
		t.Error(err)
	}
}
