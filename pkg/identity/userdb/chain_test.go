package userdb

import (
	"context"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/cache"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// memory is a database in memory: fields by user. A user with the field "down"
// is an outage.
type memory struct {
	users map[string][]account.Field
	asked int
}

func (*memory) Name() string { return "memory" }

func (m *memory) Lookup(_ context.Context, r *request.Request) (Record, error) {
	m.asked++
	fs, ok := m.users[r.User]
	switch {
	case !ok:
		return Record{}, fail.New(fail.NotFound, "no user %s", r.User)
	case len(fs) > 0 && fs[0].Key == "down":
		return Record{}, fail.New(fail.Temporary, "cannot connect")
	}
	return FromFields(r.User, fs)
}

func (m *memory) List(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name := range m.users {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// remote is memory over a network.
type remote struct{ *memory }

func (remote) Variables() []string { return []string{"user", "service"} }

// db makes an entry of users with fields written as "key=value".
func db(name string, users map[string][]string) (Entry, *memory) {
	m := &memory{users: map[string][]account.Field{}}
	for u, words := range users {
		m.users[u] = nil
		for _, w := range words {
			key, value, found := strings.Cut(w, "=")
			m.users[u] = append(m.users[u], account.Field{Key: key, Value: value, Flag: !found})
		}
	}
	return Entry{Name: name, ID: name, Driver: m, Rules: rule.Defaults()}, m
}

func lookup(user string) *request.Request {
	return &request.Request{User: user, Claimed: user, Original: user, Service: "lmtp"}
}

// Every rule for every answer, as Dovecot decides.
func TestRules(t *testing.T) {
	data, err := os.ReadFile("testdata/dovecot-rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]map[string][]string{"found": {"u": nil}, "unknown": {"v": nil}, "down": {"u": {"down"}}}
	rows := 0
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		r, err := rule.Parse(words[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words[2:] {
			second, want, _ := strings.Cut(w, "=")
			one, _ := db("one", answers[words[0]])
			two, _ := db("two", answers[second])
			switch words[0] {
			case "found":
				one.Rules.Success = r
			case "down":
				one.Rules.InternalFail = r
			default:
				one.Rules.Failure = r
			}
			c := &Chain{Entries: []Entry{one, two}, Defaults: Defaults{UID: -1, GID: -1}}
			_, err := c.Lookup(t.Context(), lookup("u"))
			got := "ok"
			if fail.Is(err, fail.NotFound) {
				got = "unknown"
			} else if err != nil {
				got = "outage"
			}
			if got != want {
				t.Errorf("%s %s %s: %s (%v), want %s", words[0], words[1], second, got, err, want)
			}
			rows++
		}
	}
	if rows != 54 {
		t.Errorf("%d rows", rows)
	}
}

func TestSkip(t *testing.T) {
	for _, tc := range []struct {
		name  string
		known bool // to the first database, which lets the chain go on
		edit  func(*Entry)
		asked bool
	}{
		{"never", true, func(*Entry) {}, true},
		{"found", true, func(e *Entry) { e.Skip = SkipFound }, false},
		{"not found", false, func(e *Entry) { e.Skip = SkipFound }, true},
		{"notfound", false, func(e *Entry) { e.Skip = SkipNotFound }, false},
		{"not notfound", true, func(e *Entry) { e.Skip = SkipNotFound }, true},
		{"service", true, func(e *Entry) { e.Match.Services = []string{"LMTP"} }, true},
		{"another service", true, func(e *Entry) { e.Match.Services = []string{"imap"} }, false},
		{"another user", true, func(e *Entry) { e.Match.Users = []string{"!u"} }, false},
	} {
		users := map[string][]string{}
		if tc.known {
			users["u"] = nil
		}
		one, _ := db("one", users)
		one.Rules.Success = rule.ContinueOK
		two, m := db("two", map[string][]string{"u": nil})
		tc.edit(&two)
		c := &Chain{Entries: []Entry{one, two}}
		if _, err := c.Lookup(t.Context(), lookup("u")); (m.asked > 0) != tc.asked {
			t.Errorf("%s: asked %v (%v)", tc.name, m.asked > 0, err)
		}
	}
}

// Fields of several databases and of the password databases; what a database
// said that then failed leaves no trace.
func TestFields(t *testing.T) {
	parse := func(m map[string]string) request.Fields {
		fs, err := request.ParseFields(m)
		if err != nil {
			t.Fatal(err)
		}
		return fs
	}
	home, err := ParseTemplate("/var/mail/%d/%n")
	if err != nil {
		t.Fatal(err)
	}
	bad, _ := db("bad", map[string][]string{"u@d": {"tempfail", "lost=1", "user=lost"}})
	one, _ := db("one", map[string][]string{"u@d": {"uid=1000", "home=/one", "a=1", "user=U2@d"}})
	one.Rules.Success = rule.ContinueOK
	one.Default = parse(map[string]string{"a": "0", "b": "%{user}", "quota": "lost"})
	one.Override = parse(map[string]string{"c": "%{userdb:a}", "quota:protected": "lost"})
	two, _ := db("two", map[string][]string{"u2@d": {"uid=1001", "gid=", "b:protected=lost", "c:remove", "userdb_import=x=1\ty"}})
	c := &Chain{
		Entries: []Entry{bad, one, two}, Defaults: Defaults{UID: 5, GID: 6, Home: home, Fields: []account.Field{{Key: "x", Value: "lost"}}},
		Fields: parse(map[string]string{"mail": "maildir:%h", "b": "lost"}),
	}
	r := lookup("u@d")
	r.AddUserdb(account.Field{Key: "quota", Value: "from the password database"})
	rec, err := c.Lookup(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, f := range rec.Fields {
		words = append(words, f.Key+"="+f.Value)
	}
	if got, want := strings.Join(words, " "), "quota=lost a=1 b=u@d x=1 y= mail=maildir:/one"; got != want {
		t.Errorf("fields: %s, want %s", got, want)
	}
	if rec.User != "u2@d" || rec.UID != 1001 || rec.GID != 6 || rec.Home != "/one" {
		t.Errorf("%+v", rec)
	}
}

func TestDefaults(t *testing.T) {
	home, _ := ParseTemplate("/var/mail/%d/%n")
	one, _ := db("one", map[string][]string{"u@d": nil, "bare": nil, "odd@d": {"uid=zero"}})
	c := &Chain{Entries: []Entry{one}, Defaults: Defaults{UID: -1, GID: -1, Home: home}}
	if rec, err := c.Lookup(t.Context(), lookup("u@d")); err != nil || rec.Home != "/var/mail/d/u" || rec.UID != -1 {
		t.Errorf("%+v %v", rec, err)
	}
	for _, user := range []string{"bare", "odd@d"} {
		if _, err := c.Lookup(t.Context(), lookup(user)); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", user, err)
		}
	}
}

func TestCache(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one, m := db("one", map[string][]string{"u": {"home=/h", "user=u2"}, "d": {"down"}})
	one.Driver = remote{m}
	c := &Chain{Entries: []Entry{one}, Cache: cache.New(1<<20, func() time.Time { return now }), TTL: TTL{Positive: time.Minute, Negative: 30 * time.Second}}
	try := func(what, user, service string, kind fail.Kind, asked bool) {
		t.Helper()
		m.asked = 0
		r := lookup(user)
		r.Service = service
		rec, err := c.Lookup(t.Context(), r)
		if (m.asked > 0) != asked || (err != nil) != (kind != 0) || err != nil && !fail.Is(err, kind) || err == nil && (rec.Home != "/h" || rec.User != "u2") {
			t.Errorf("%s: %+v %v, asked %v", what, rec, err, m.asked > 0)
		}
	}
	try("first", "u", "lmtp", 0, true)
	try("again", "u", "lmtp", 0, false)
	try("another service", "u", "imap", 0, true)
	try("unknown", "x", "lmtp", fail.NotFound, true)
	try("still", "x", "lmtp", fail.NotFound, false)
	try("an outage", "d", "lmtp", fail.Unavailable, true)
	try("is never kept", "d", "lmtp", fail.Unavailable, true)
	now = now.Add(31 * time.Second)
	try("unknown is asked again", "x", "lmtp", fail.NotFound, true)
	try("known is not yet", "u", "lmtp", 0, false)
	if c.Cache.Flush([]string{"u2"}) != 2 {
		t.Error("the name that the database gave does not flush")
	}
	try("flushed", "u", "lmtp", 0, true)
}

// down is a database that cannot be asked.
type down struct{}

func (down) Name() string { return "down" }

func (down) Lookup(context.Context, *request.Request) (Record, error) {
	return Record{}, fail.New(fail.Unavailable, "down")
}

func (down) List(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", fail.New(fail.Unavailable, "down")) }
}

func (down) HasDomain(context.Context, string) (bool, error) {
	return false, fail.New(fail.Unavailable, "down")
}

// lone can do nothing but look up.
type lone struct{ Driver }

// A database that is down hides nothing the other knows, and makes the rest
// unknown rather than absent.
func TestDown(t *testing.T) {
	f := Entry{Driver: fileOf(t, "alice@example.org:x::::/h\n"), Rules: rule.Defaults()}
	d := Entry{Driver: down{}, Rules: rule.Defaults()}
	for name, entries := range map[string][]Entry{"down first": {d, f}, "down last": {f, d}} {
		c := &Chain{Entries: entries}
		if r, err := c.Lookup(t.Context(), lookup("alice@example.org")); err != nil || r.Home != "/h" {
			t.Errorf("%s: %+v %v", name, r, err)
		}
		if _, err := c.Lookup(t.Context(), lookup("bob@example.org")); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if has, err := c.HasDomain(t.Context(), "example.org"); !has || err != nil {
			t.Errorf("%s: %v %v", name, has, err)
		}
		if _, err := (Domains{Users: c}).Ours(t.Context(), "example.com"); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		var last error
		for _, err := range c.List(t.Context()) {
			last = err
		}
		if last == nil {
			t.Errorf("%s: a partial list ends as if it were whole", name)
		}
	}
	c := &Chain{Entries: []Entry{f, {Driver: lone{down{}}, Rules: rule.Defaults()}}}
	n := 0
	for _, err := range c.List(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if has, err := c.HasDomain(t.Context(), "example.com"); has || err != nil || n != 1 {
		t.Error(has, err, n)
	}
	for _, err := range (&Chain{Entries: c.Entries[1:]}).List(t.Context()) {
		if !fail.Is(err, fail.Permanent) {
			t.Error(err)
		}
	}
}
