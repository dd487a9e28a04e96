package localdb

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// What the drivers promise.
var (
	_ passdb.Driver       = Passdb{}
	_ passdb.Lookuper     = Passdb{}
	_ userdb.Driver       = Userdb{}
	_ userdb.Lister       = Userdb{}
	_ userdb.DomainFinder = Userdb{}
	_ userdb.Addresses    = Userdb{}
)

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is a store with a clock.
type world struct {
	*Store
	t     testing.TB
	clock *clock
}

func newWorld(t testing.TB, edit func(*Config, *Options)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{t: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}}
	cfg := Config{File: filepath.Join(t.TempDir(), "authd", "users.sqlite")}
	home, err := userdb.ParseTemplate("/mail/%d/%n")
	w.must(err)
	opt := Options{
		Create: true, Now: w.clock.now, Report: func(err error) { t.Error(err) },
		Defaults: userdb.Defaults{UID: 5000, GID: -1, Home: home, Fields: []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}}},
	}
	if edit != nil {
		edit(&cfg, &opt)
	}
	w.Store, err = Open(cfg, opt)
	w.must(err)
	t.Cleanup(w.Close)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ctx() context.Context { return w.t.Context() }

func (w *world) add(users ...User) {
	w.t.Helper()
	for _, u := range users {
		w.must(w.AddUser(w.ctx(), u))
	}
}

func (w *world) account(user, service string) (passdb.Account, error) {
	return w.Passdb().Lookup(w.ctx(), &request.Request{User: user, Service: service})
}

func TestUserLookups(t *testing.T) {
	w := newWorld(t, nil)
	w.add(
		User{Address: "Alice@Example.org", Stored: "{PLAIN}a", Enabled: true},
		User{
			Address: "bob@example.org", Stored: "{PLAIN}b", Enabled: true, UID: 1000, GID: 1001, Home: "/home/bob", Quota: Quota{Storage: 1 << 30, Messages: 10},
			Fields: []account.Field{{Key: "allow_nets", Value: "192.0.2.0/24"}, {Key: "nologin", Flag: true}, {Key: "userdb_mail", Value: "mbox:~/m"}},
		},
		User{Address: "carol@example.org", Stored: "", Enabled: true},
		User{Address: "off@example.org", Stored: "{PLAIN}o"},
		User{Address: "system", Stored: "{PLAIN}s", Enabled: true, Home: "/home/system"},
	)
	for _, tc := range []struct {
		user   string
		pass   passdb.Account
		record userdb.Record
	}{
		{
			"alice@example.org",
			passdb.Account{Stored: "{PLAIN}a"},
			userdb.Record{UID: 5000, GID: -1, Home: "/mail/example.org/alice", Fields: []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}}},
		},
		{
			"bob@example.org",
			passdb.Account{
				Stored: "{PLAIN}b", Fields: []account.Field{{Key: "allow_nets", Value: "192.0.2.0/24"}, {Key: "nologin", Flag: true}},
				Userdb: []account.Field{{Key: "mail", Value: "mbox:~/m"}},
			},
			userdb.Record{UID: 1000, GID: 1001, Home: "/home/bob", Fields: []account.Field{{Key: "quota_rule", Value: "*:bytes=1073741824:messages=10"}, {Key: "mail", Value: "mbox:~/m"}}},
		},
		{
			"carol@example.org",
			passdb.Account{},
			userdb.Record{UID: 5000, GID: -1, Home: "/mail/example.org/carol", Fields: []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}}},
		},
		{
			"off@example.org",
			passdb.Account{Stored: "{PLAIN}o", Disabled: true},
			userdb.Record{UID: 5000, GID: -1, Home: "/mail/example.org/off", Fields: []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}}},
		},
		{
			"system",
			passdb.Account{Stored: "{PLAIN}s"},
			userdb.Record{UID: 5000, GID: -1, Home: "/home/system", Fields: []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}}},
		},
	} {
		a, err := w.account(tc.user, "imap")
		if err != nil || a.User != tc.user || a.Stored != tc.pass.Stored || a.Disabled != tc.pass.Disabled ||
			!slices.Equal(a.Fields, tc.pass.Fields) || !slices.Equal(a.Userdb, tc.pass.Userdb) {
			t.Errorf("%s: %+v %v", tc.user, a, err)
		}
		r, err := w.Userdb().Lookup(w.ctx(), &request.Request{User: tc.user})
		if err != nil || r.User != tc.user || r.UID != tc.record.UID || r.GID != tc.record.GID || r.Home != tc.record.Home || !slices.Equal(r.Fields, tc.record.Fields) {
			t.Errorf("%s: %+v %v", tc.user, r, err)
		}
	}
	for _, nobody := range []string{"zoe@example.org", "", "@example.org", "alice", "alice@example.org' OR 1=1 --"} {
		if _, err := w.account(nobody, "imap"); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", nobody, err)
		}
		if _, err := w.Userdb().Lookup(w.ctx(), &request.Request{User: nobody}); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", nobody, err)
		}
	}
	var names []string
	for name, err := range w.Userdb().List(w.ctx()) {
		w.must(err)
		names = append(names, name)
	}
	if want := []string{"alice@example.org", "bob@example.org", "carol@example.org", "off@example.org", "system"}; !slices.Equal(names, want) {
		t.Errorf("list: %v", names)
	}
}

// An empty store is more likely one that was lost than one without users.
func TestEmptyStoreIsAnOutage(t *testing.T) {
	w := newWorld(t, nil)
	_, err := w.account("alice@example.org", "imap")
	_, rerr := w.Userdb().Lookup(w.ctx(), &request.Request{User: "alice@example.org"})
	_, herr := w.Userdb().HasDomain(w.ctx(), "example.org")
	_, aerr := w.Aliases(w.ctx(), "alice@example.org")
	_, serr := w.Senders(w.ctx(), "alice@example.org")
	for i, err := range []error{err, rerr, herr, aerr, serr} {
		if !fail.Is(err, fail.Unavailable) {
			t.Errorf("%d: %v", i, err)
		}
	}
	w.must(w.AddDomain(w.ctx(), "example.org", Mailbox, true))
	if _, err := w.account("alice@example.org", "imap"); !fail.Is(err, fail.NotFound) {
		t.Errorf("with a domain: %v", err)
	}
}

func TestListPages(t *testing.T) {
	w := newWorld(t, nil)
	w.must(w.write(w.ctx(), func(c *conn) error {
		return c.run(`WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ?1)
			INSERT INTO users(address, password_changed, created) SELECT 'user' || i, 0, 0 FROM s`, 2*listPage)
	}))
	n := 0
	for name, err := range w.Userdb().List(w.ctx()) {
		if err != nil || name == "" {
			t.Fatal(name, err)
		}
		n++
	}
	users := 0
	for _, err := range w.Users(w.ctx()) {
		w.must(err)
		users++
	}
	if n != 2*listPage || users != n {
		t.Errorf("%d names, %d users", n, users)
	}
	for range w.Userdb().List(w.ctx()) {
		break
	}
	ctx, cancel := context.WithCancel(w.ctx())
	cancel()
	for _, err := range w.Userdb().List(ctx) {
		if err == nil {
			t.Error("listed after the end")
		}
	}
}

func TestChanges(t *testing.T) {
	w := newWorld(t, nil)
	ctx := w.ctx()
	w.add(User{Address: "alice@example.org", Stored: "{PLAIN}a", Enabled: true})
	created := w.clock.now()
	w.clock.pass(time.Hour)
	for _, tc := range []struct {
		name string
		do   func() error
		want fail.Kind
	}{
		{"again", func() error { return w.AddUser(ctx, User{Address: "ALICE@example.org"}) }, fail.Exists},
		{"bad name", func() error { return w.AddUser(ctx, User{Address: "a/b@example.org"}) }, fail.Invalid},
		{"bad domain", func() error { return w.AddUser(ctx, User{Address: "a@-"}) }, fail.Invalid},
		{"root", func() error { return w.AddUser(ctx, User{Address: "r@example.org", UID: -2}) }, fail.Invalid},
		{"home", func() error { return w.AddUser(ctx, User{Address: "r@example.org", Home: "../x"}) }, fail.Invalid},
		{"quota", func() error { return w.AddUser(ctx, User{Address: "r@example.org", Quota: Quota{Storage: -1}}) }, fail.Invalid},
		{"field", func() error {
			return w.AddUser(ctx, User{Address: "r@example.org", Fields: []account.Field{{Key: "nopassword"}}})
		}, fail.Invalid},
		{"field of the userdb", func() error {
			return w.AddUser(ctx, User{Address: "r@example.org", Fields: []account.Field{{Key: "userdb_uid", Value: "0"}}})
		}, fail.Invalid},
		{"nobody's password", func() error { return w.Store.SetPassword(ctx, "zoe@example.org", "x") }, fail.NotFound},
		{"nobody's state", func() error { return w.SetEnabled(ctx, "zoe@example.org", true) }, fail.NotFound},
		{"nobody's quota", func() error { return w.SetQuota(ctx, "zoe@example.org", Quota{}) }, fail.NotFound},
		{"negative quota", func() error { return w.SetQuota(ctx, "alice@example.org", Quota{Messages: -1}) }, fail.Invalid},
		{"nobody", func() error { _, err := w.DeleteUser(ctx, "zoe@example.org"); return err }, fail.NotFound},
	} {
		if err := tc.do(); !fail.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	w.must(w.Store.SetPassword(ctx, "Alice@example.org", "{PLAIN}new"))
	w.must(w.SetEnabled(ctx, "alice@example.org", false))
	w.must(w.SetQuota(ctx, "alice@example.org", Quota{Storage: 5}))
	u, err := w.User(ctx, "ALICE@example.org")
	if err != nil || u.Stored != "{PLAIN}new" || u.Enabled || u.Quota != (Quota{Storage: 5}) || !u.Created.Equal(created) || !u.PasswordChanged.Equal(created.Add(time.Hour)) {
		t.Errorf("%+v %v", u, err)
	}
	if _, err := w.DeleteUser(ctx, "alice@example.org"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.User(ctx, "alice@example.org"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

// A better hash of the old password must not win over a new password.
func TestRehash(t *testing.T) {
	w := newWorld(t, nil)
	w.add(User{Address: "alice@example.org", Stored: "{PLAIN}a", Enabled: true}, User{Address: "locked@example.org"})
	rehash := func(user string) string {
		w.must(w.Passdb().SetPassword(w.ctx(), &request.Request{User: user}, "{BETTER}a"))
		u, err := w.User(w.ctx(), user)
		w.must(err)
		return u.Stored
	}
	if got := rehash("alice@example.org"); got != "{PLAIN}a" {
		t.Errorf("right after a change: %s", got)
	}
	w.clock.pass(time.Hour)
	if got := rehash("alice@example.org"); got != "{BETTER}a" {
		t.Errorf("later: %s", got)
	}
	if got := rehash("locked@example.org"); got != "" {
		t.Errorf("locked meanwhile: %s", got)
	}
	if u, _ := w.User(w.ctx(), "alice@example.org"); u.PasswordChanged.Equal(w.clock.now()) {
		t.Error("a rehash is no change of the password")
	}
}

func FuzzFields(f *testing.F) {
	f.Add(`{"allow_nets": "192.0.2.0/24", "nologin": true, "off": false}`)
	f.Add(`{"x": 1}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, text string) {
		fs, err := decodeFields(text)
		if err != nil {
			return
		}
		again, err := encodeFields(fs)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeFields(again); err != nil || !slices.Equal(got, fs) {
			t.Fatalf("%s: %v, then %s: %v (%v)", text, fs, again, got, err)
		}
	})
}
