package passdb

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/cache"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/identity/scheme"
)

// A password that was compared need not be hashed again for a while, whether it
// was right or wrong; a changed one counts at once.
func TestVerifiedCache(t *testing.T) {
	one, users := db("one", user("bob", "pw"), user("eve", "pw"))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c, n := newChain(t, one)
	c.Cache, c.TTL = cache.New(1<<20, func() time.Time { return now }), TTL{Verified: time.Minute, Positive: time.Hour, Negative: time.Hour}
	try := func(what, name, password, want string, hashes int) {
		t.Helper()
		n.n = 0
		if _, err := c.Password(t.Context(), login(name), password); outcome(err) != want || n.n != hashes {
			t.Errorf("%s: %v after %d hashes", what, err, n.n)
		}
	}
	try("first time", "bob", "pw", "ok", 1)
	try("again", "bob", "pw", "ok", 0)
	try("another password", "bob", "no", "Password mismatch", 1)
	try("a phone with an old password", "bob", "no", "Password mismatch", 0)
	try("somebody unknown", "zoe", "no", "unknown user", 1)
	try("costs the same", "zoe", "no", "unknown user", 0)
	try("another user with the same hash", "eve", "pw", "ok", 1)
	now = now.Add(61 * time.Second)
	try("later", "bob", "pw", "ok", 1)
	users.set("bob", "no")
	try("changed", "bob", "pw", "Password mismatch", 1)
	try("to what was wrong", "bob", "no", "ok", 1)
	if got := c.Cache.Flush([]string{"bob"}); got != 4 {
		t.Errorf("flushed %d", got)
	}
	try("after the flush", "bob", "no", "ok", 1)
}

// far is a database over a network: its answers are kept whole.
func far(name string, verifies bool, users ...[]account.Field) (Entry, *memory) {
	e, m := db(name, users...)
	m.vars = []string{"user", "service"}
	e.Driver = remote{lookups{m}}
	if verifies {
		e.Driver = remoteChecks{checks{m}}
	}
	return e, m
}

func TestAnswersAreKept(t *testing.T) {
	for name, verifies := range map[string]bool{"lookups": false, "checks": true} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			one, m := far("one", verifies, user("u", "pw", "host", "h", "user", "U2"), user("d", "down"))
			c, _ := newChain(t, one)
			c.Cache, c.TTL = cache.New(1<<20, func() time.Time { return now }), TTL{Positive: time.Minute, Negative: 30 * time.Second}
			try := func(what string, edit func(*request.Request), name, password, want string, asked bool) {
				t.Helper()
				m.asked = 0
				r := login(name)
				if edit != nil {
					edit(r)
				}
				_, err := c.Password(t.Context(), r, password)
				if outcome(err) != want || (m.asked > 0) != asked {
					t.Errorf("%s: %v, asked %v", what, err, m.asked > 0)
				}
				if err == nil && (r.User != "u2" || !reflect.DeepEqual(r.Passdb, []account.Field{{Key: "host", Value: "h"}})) {
					t.Errorf("%s: %+v", what, r)
				}
			}
			pop := func(r *request.Request) { r.Service = "pop3" }
			try("first time", nil, "u", "pw", "ok", true)
			try("again", nil, "u", "pw", "ok", false)
			try("another service may be another answer", pop, "u", "pw", "ok", true)
			try("another password", nil, "u", "no", "Password mismatch", true)
			try("the same again", nil, "u", "no", "Password mismatch", false)
			try("unknown", nil, "zoe", "pw", "unknown user", true)
			try("unknown, another password", nil, "zoe", "pw2", "unknown user", false)
			try("an outage", nil, "d", "pw", "outage", true)
			try("is never kept", nil, "d", "pw", "outage", true)
			m.set("u", "new")
			try("changed: the new one counts at once", nil, "u", "new", "ok", true)
			now = now.Add(31 * time.Second)
			try("what was wrong is asked again", nil, "u", "no", "Password mismatch", true)
			try("as is who was unknown", nil, "zoe", "pw", "unknown user", true)
			now = now.Add(30 * time.Second)
			try("and in the end what was right", nil, "u", "pw", "Password mismatch", true)
			if c.Cache.Flush([]string{"u2"}) == 0 {
				t.Error("the name that the database gave does not flush")
			}
		})
	}
}

// Two databases, or one with other settings, never share an answer.
func TestAnswersAreOfOneDatabase(t *testing.T) {
	one, _ := far("one", false, user("u", "pw"))
	two, _ := far("two", false, user("u", "other"))
	c, _ := newChain(t, one)
	c.Cache, c.TTL = cache.New(1<<20, time.Now), TTL{Positive: time.Minute, Negative: time.Minute}
	if _, err := c.Password(t.Context(), login("u"), "pw"); err != nil {
		t.Fatal(err)
	}
	c.Entries = []Entry{two}
	if _, err := c.Password(t.Context(), login("u"), "pw"); outcome(err) != "Password mismatch" {
		t.Error(err)
	}
}

// What is kept holds no stored password.
func TestNoStoredPasswordIsKept(t *testing.T) {
	one, _ := far("one", false, user("u", "pw"))
	c, _ := newChain(t, one)
	c.Cache, c.TTL = cache.New(1<<20, time.Now), TTL{Positive: time.Minute}
	if _, err := c.Password(t.Context(), login("u"), "pw"); err != nil {
		t.Fatal(err)
	}
	w := walk{c: c, r: login("u")}
	w.r.Password = "pw"
	a, ok := w.recall(w.parts(&one, "password", "pw"))
	if !ok || a.account.Stored != "" || a.account.User != "u" {
		t.Errorf("%+v %v", a, ok)
	}
	// Challenge mechanisms need it, so they ask.
	if _, _, err := c.Secret(t.Context(), login("u"), 1, "", ""); err != nil {
		t.Error(err)
	}
}

func TestRehash(t *testing.T) {
	one, users := db("one", user("u", "pw"))
	c, n := newChain(t, one)
	var fault error
	c.Rehash = func(_ context.Context, name, stored, password string) (string, error) {
		if name != "u" || stored != "{PLAIN}pw" || password != "pw" {
			t.Error(name, stored, password)
		}
		return "{PLAIN}better", fault
	}
	if _, err := c.Password(t.Context(), login("u"), "no"); err == nil || users.users["u"][0].Value != "pw" {
		t.Error("a wrong password was stored")
	}
	fault = context.Canceled
	if v, err := c.Password(t.Context(), login("u"), "pw"); err != nil || len(v.Trouble) != 1 {
		t.Error("a fault must not cost the login", v, err)
	}
	fault = nil
	if v, err := c.Password(t.Context(), login("u"), "pw"); err != nil || v.Trouble != nil || users.users["u"][0].Value != "{PLAIN}better" {
		t.Error(v, err, users.users)
	}
	// Changed by the user in the meantime: that counts.
	users.set("u", "pw")
	c.Rehash = func(context.Context, string, string, string) (string, error) {
		users.set("u", "changed")
		return "{PLAIN}better", nil
	}
	if _, err := c.Password(t.Context(), login("u"), "pw"); err != nil || users.users["u"][0].Value != "changed" {
		t.Error(err, users.users)
	}
	// Nothing to store: an app password, and a driver that cannot.
	c.Rehash = func(context.Context, string, string, string) (string, error) {
		t.Error("asked")
		return "", nil
	}
	used := 0
	c.Entries = []Entry{{Name: "phones", Driver: phones{&used}, Rules: rule.Defaults()}}
	if _, err := c.Password(t.Context(), login("u"), "phone password"); err != nil {
		t.Error(err)
	}
	c.Entries = []Entry{{Name: "checks", Driver: checks{users}, Rules: rule.Defaults()}}
	if _, err := c.Password(t.Context(), login("u"), "changed"); err != nil {
		t.Error(err)
	}
	_ = n
}

// phones has accounts with app passwords.
type phones struct{ used *int }

func (phones) Name() string { return "phones" }

func (p phones) Lookup(_ context.Context, r *request.Request) (Account, error) {
	a, err := (&memory{users: map[string][]account.Field{
		"u": {{Key: "password", Value: "main"}}, "locked": {{Key: "password", Value: "!"}}, "off": {{Key: "password", Value: "main"}},
		"net": {{Key: "password", Value: "main"}, {Key: "allow_nets", Value: "198.51.100.0/24"}},
	}}).find(r.User)
	a.Alternatives = []Alternative{
		{Label: "tablet", Matches: func(s string) bool { return s == "tablet password" }},
		{Label: "phone", Matches: func(s string) bool { return s == "phone password" }, OnUse: func() { *p.used++ }},
	}
	a.Disabled = r.User == "off"
	return a, err
}

func TestAlternatives(t *testing.T) {
	for _, tc := range []struct {
		name, user, password string
		want                 string // the label, "ok", or a reason
		uses, hashes         int
	}{
		{"the main password", "u", "main", "ok", 0, 1},
		{"an app password costs no hash", "u", "phone password", "phone", 1, 0},
		{"nobody need count its uses", "u", "tablet password", "tablet", 0, 0},
		{"a wrong one costs one hash", "u", "other", "Password mismatch", 0, 1},
		{"as for somebody unknown", "nobody", "phone password", "unknown user", 0, 1},
		{"the main password may be locked", "locked", "phone password", "phone", 1, 0},
		{"and then a wrong one costs the same", "locked", "main", "Password mismatch (the account is locked)", 0, 1},
		{"switched off, known to who knows the main password", "off", "main", "account is disabled", 0, 1},
		{"or an app password", "off", "phone password", "account is disabled", 0, 1},
		{"but to nobody else", "off", "other", "Password mismatch", 0, 1},
		{"networks count for app passwords too", "net", "phone password", "allow_nets check failed", 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			used := 0
			c, n := newChain(t, Entry{Name: "phones", ID: "phones", Driver: phones{&used}, Rules: rule.Defaults()})
			v, err := c.Password(t.Context(), login(tc.user), tc.password)
			got := outcome(err)
			if v.Label != "" {
				got = v.Label
			}
			if got != tc.want || used != tc.uses || n.n != tc.hashes {
				t.Errorf("got %s (%v), %d uses, %d hashes", got, err, used, n.n)
			}
			if r := RefusedOf(err); r != nil && r.Tell != (r.Reason == Disabled) {
				t.Errorf("may be told: %v", r.Tell)
			}
		})
	}
}

// BenchmarkVerified is a login whose password was compared before.
func BenchmarkVerified(b *testing.B) {
	one, _ := db("one", user("u", "pw"))
	c, _ := newChain(b, one)
	c.Cache, c.TTL = cache.New(1<<20, time.Now), TTL{Verified: time.Hour}
	for b.Loop() {
		if _, err := c.Password(b.Context(), login("u"), "pw"); err != nil {
			b.Fatal(err)
		}
	}
}

// schemes notes with what passwords are compared.
type schemes struct{ names []string }

func (s *schemes) Verify(_ context.Context, h scheme.Hash, password string) (bool, error) {
	s.names = append(s.names, h.Scheme())
	return h.Verify(&scheme.Workspace{}, password), nil
}

// Unknown users cost what the users of this site cost, and a password that
// would be right for the sample is not right for them.
func TestDecoyFollowsTheSite(t *testing.T) {
	e, _ := db("sql", user("alice", "{SHA256-CRYPT}$5$rounds=1000$saltsalt$eNI.02a9Kos9UxzxjTLpNZ6kYHkRe9Z8OsGkDDoW/X2"))
	c, _ := newChain(t, e)
	seen := &schemes{}
	c.Hasher = seen
	for _, name := range []string{"nobody", "alice", "nobody"} {
		_, err := c.Password(t.Context(), login(name), "pw")
		if (err == nil) != (name == "alice") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := strings.Join(seen.names, " "); got != "PLAIN SHA256-CRYPT SHA256-CRYPT" {
		t.Error(got)
	}
}
