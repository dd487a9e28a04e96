package sqldb

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// hosting is the database of a provider, after postfixadmin's.
const hosting = `
CREATE TABLE domain (domain TEXT PRIMARY KEY, active INTEGER);
INSERT INTO domain VALUES ('example.org', 1), ('old.example', 0);
CREATE TABLE mailbox (username TEXT, password TEXT, maildir TEXT, quota INTEGER, nets TEXT, active INTEGER);
INSERT INTO mailbox VALUES
	('alice@example.org', '{BLF-CRYPT}$2y$05$hash', 'example.org/alice/', 1024, NULL, 1),
	('bob@example.org', '$1$salt$hash', 'example.org/bob/', 0, '192.0.2.0/24', 1),
	('locked@example.org', '!', 'example.org/locked/', 0, NULL, 1),
	('null@example.org', NULL, 'example.org/null/', 0, NULL, 1),
	('twice@example.org', '{PLAIN}1', 'example.org/twice/', 0, NULL, 1),
	('twice@example.org', '{PLAIN}2', 'example.org/twice/', 0, NULL, 1),
	('lines@example.org', '{PLAIN}1' || char(10) || 'x', 'example.org/lines/', 0, NULL, 1),
	('up@example.org', '{PLAIN}1', '../../etc/', 0, NULL, 1),
	('gone@example.org', '{PLAIN}1', 'example.org/gone/', 0, NULL, 0);
`

// queries are what an operator would write for it.
func queries() QueryConfig {
	return QueryConfig{
		Database:      "mail",
		PasswordQuery: "SELECT username AS USER, password, nets AS allow_nets, '/var/vmail/' || maildir AS userdb_home FROM mailbox WHERE username = '%u' AND active = 1",
		UserQuery:     "SELECT '/var/vmail/' || maildir AS home, 5000 AS uid, 5000 AS gid, '*:bytes=' || nullif(quota, 0) AS quota_rule, password FROM mailbox WHERE username = '%Lu' AND active = 1",
		IterateQuery:  "SELECT username FROM mailbox WHERE active = 1",
	}
}

// database makes a file of statements and opens it.
func database(t *testing.T, writable bool, statements string) *Databases {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mail.sqlite")
	db, err := sqlite3.OpenFlags(path, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	dbs, err := Open(map[string]DatabaseConfig{"mail": {Driver: sqlpool.SQLite, Path: path, Writable: writable}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dbs.Close)
	return dbs
}

// rehasher can store a password.
type rehasher interface {
	SetPassword(ctx context.Context, r *request.Request, stored string) error
}

func asked(user string) *request.Request { return &request.Request{User: user} }

func field(key, value string) account.Field { return account.Field{Key: key, Value: value} }

func passwordsOf(t *testing.T, dbs *Databases, q QueryConfig) passdb.Lookuper {
	t.Helper()
	d, err := dbs.Passdb(q)
	if err != nil {
		t.Fatal(err)
	}
	l, ok := d.(passdb.Lookuper)
	if !ok || d.Name() != "sql" {
		t.Fatalf("%T", d)
	}
	return l
}

func TestPassdb(t *testing.T) {
	l := passwordsOf(t, database(t, false, hosting), queries())
	home := func(name string) []account.Field {
		return []account.Field{field("home", "/var/vmail/example.org/"+name+"/")}
	}
	for _, tc := range []struct {
		user string
		want passdb.Account
	}{
		{"alice@example.org", passdb.Account{Stored: "{BLF-CRYPT}$2y$05$hash", Userdb: home("alice")}},
		{"bob@example.org", passdb.Account{Stored: "{CRYPT}$1$salt$hash", Fields: []account.Field{field("allow_nets", "192.0.2.0/24")}, Userdb: home("bob")}},
		{"locked@example.org", passdb.Account{Userdb: home("locked")}},
		{"null@example.org", passdb.Account{Userdb: home("null")}},
	} {
		tc.want.User = tc.user
		if got, err := l.Lookup(context.Background(), asked(tc.user)); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v %v", tc.user, got, err)
		}
	}
	for _, tc := range []struct {
		user string
		kind fail.Kind
		text string
	}{
		{"nobody@example.org", fail.NotFound, "no user nobody@example.org"},
		{"gone@example.org", fail.NotFound, "no user"},
		{"a\x00b", fail.NotFound, "no user"},
		{"a\xff", fail.NotFound, "no user"},
		{"twice@example.org", fail.Unavailable, "returns more than one row"},
		{"lines@example.org", fail.Unavailable, "column password: the value contains NUL or a line end"},
	} {
		if a, err := l.Lookup(context.Background(), asked(tc.user)); !fail.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%q: %+v %v", tc.user, a, err)
		}
	}
	for _, name := range hostile() {
		if a, err := l.Lookup(context.Background(), asked(name)); !fail.Is(err, fail.NotFound) {
			t.Errorf("%q: %+v %v", name, a, err)
		}
	}
}

func TestPassdbColumns(t *testing.T) {
	dbs := database(t, false, hosting)
	for _, tc := range []struct{ query, want string }{
		{"SELECT '{PLAIN}x' AS password, 'C' AS username, 'D.example' AS domain", "c@d.example {PLAIN}x"},
		{"SELECT 'y' AS nopassword, NULL AS password", "a@b  any"},
		{"SELECT 'y' AS nopassword", "a@b  any"},
		{"SELECT '{PLAIN}x' AS password, '{PLAIN}x' AS Password", "a@b {PLAIN}x"},
		{"SELECT '{PLAIN}x' AS password, '{PLAIN}y' AS Password", "error: user a@b: two columns are called password and differ"},
		{"SELECT '{x}' AS password_noscheme", "a@b {CRYPT}{x}"},
		{"SELECT '{PLAIN}x' AS pasword", "error: password_query returns no column password"},
		{"SELECT '{PLAIN}x' AS password, 1 + 1", `error: user a@b: a column is called "1 + 1", which is no name of a field: name it with AS`},
		{"SELECT x'00' AS password", "error: database mail: host FILE: column \"password\" is of type BLOB, which is no text: convert it in the query"},
	} {
		a, err := passwordsOf(t, dbs, QueryConfig{Database: "mail", PasswordQuery: tc.query}).Lookup(context.Background(), asked("a@b"))
		got := a.User + " " + a.Stored
		if a.NoPassword {
			got += " any"
		}
		if err != nil {
			got = "error: " + err.Error()
			if host := dbs.Status()["mail"].Hosts[0].Host; !fail.Is(err, fail.NotFound) {
				got = strings.ReplaceAll(got, host, "FILE")
			}
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.query, got, tc.want)
		}
	}
}

// The database may compare the password itself, which it gets as a parameter
// like all else; without a password nobody knows.
func TestComparedByTheDatabase(t *testing.T) {
	l := passwordsOf(t, database(t, false, hosting), QueryConfig{
		Database: "mail", PasswordQuery: "SELECT username AS user, 'y' AS nopassword FROM mailbox WHERE username = '%u' AND password = '{PLAIN}' || '%w'",
	})
	for _, tc := range []struct {
		password string
		want     string
	}{{"2", "true <nil>"}, {"' OR 1=1 --", "false no user twice@example.org"}, {"", "false user twice@example.org: password_query compares the password itself"}} {
		r := asked("twice@example.org")
		r.Password = tc.password
		a, err := l.Lookup(context.Background(), r)
		if got := fmt.Sprint(a.NoPassword, " ", err); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%q: %s", tc.password, got)
		}
	}
}

func TestVariables(t *testing.T) {
	q := queries()
	q.PasswordQuery = "SELECT '%u' AS password, '%s', '%u', '%{remote_ip}'"
	dbs := database(t, false, hosting)
	p, _ := passwordsOf(t, dbs, q).(passdb.Cacheable)
	d, err := dbs.Userdb(q)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := d.(userdb.Cacheable)
	got := fmt.Sprint(p.Variables(), u.Variables())
	if want := "[remote_ip service user] [user]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSetPassword(t *testing.T) {
	dbs := database(t, true, hosting)
	q := queries()
	if _, ok := passwordsOf(t, dbs, q).(rehasher); ok {
		t.Error("passwords can be set without a query for it")
	}
	q.UpdatePasswordQuery = "UPDATE mailbox SET password = '%{password}' WHERE username = '%u'"
	l := passwordsOf(t, dbs, q)
	u, ok := l.(rehasher)
	if !ok {
		t.Fatalf("%T", l)
	}
	stored := func() string {
		a, err := l.Lookup(context.Background(), asked("alice@example.org"))
		if err != nil {
			t.Fatal(err)
		}
		return a.Stored
	}
	if err := u.SetPassword(context.Background(), asked("alice@example.org"), "{PLAIN}it's new"); err != nil || stored() != "{PLAIN}it's new" {
		t.Error(err, stored())
	}
	if err := u.SetPassword(context.Background(), asked("nobody@example.org"), "{PLAIN}x"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	if err := u.SetPassword(context.Background(), asked("twice@example.org"), "{PLAIN}x"); !fail.Is(err, fail.Unavailable) || !strings.Contains(err.Error(), "would change 2 rows") {
		t.Error(err)
	}
	// A query without WHERE is noticed before it does any harm.
	q.UpdatePasswordQuery = "UPDATE mailbox SET password = '%{password}'"
	careless, _ := passwordsOf(t, dbs, q).(rehasher)
	if err := careless.SetPassword(context.Background(), asked("alice@example.org"), "{PLAIN}x"); err == nil || stored() != "{PLAIN}it's new" {
		t.Error(err, stored())
	}
	if _, err := database(t, false, hosting).Passdb(q); err == nil || !strings.Contains(err.Error(), "writable") {
		t.Error(err)
	}
}

func TestUserdb(t *testing.T) {
	d, err := database(t, false, hosting).Userdb(queries())
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Lookup(context.Background(), asked("alice@example.org"))
	want := userdb.Record{
		User: "alice@example.org", UID: 5000, GID: 5000, Home: "/var/vmail/example.org/alice/",
		Fields: []account.Field{field("quota_rule", "*:bytes=1024")},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v: the password is nobody's business here, a NULL is no field", got, err)
	}
	if got, err := d.Lookup(context.Background(), asked("bob@example.org")); err != nil || len(got.Fields) != 0 {
		t.Errorf("%+v %v", got, err)
	}
	for user, kind := range map[string]fail.Kind{
		"nobody@example.org": fail.NotFound, "twice@example.org": fail.Unavailable, "up@example.org": fail.Unavailable,
	} {
		if r, err := d.Lookup(context.Background(), asked(user)); !fail.Is(err, kind) {
			t.Errorf("%s: %+v %v", user, r, err)
		}
	}
}

// What a userdb can do shows in its type.
func TestUserdbKinds(t *testing.T) {
	dbs := database(t, false, hosting)
	for _, tc := range []struct {
		iterate, domain string
		lists, finds    bool
	}{
		{"", "", false, false},
		{"SELECT username AS user FROM mailbox", "", true, true},
		{"", "SELECT 1 FROM domain WHERE domain = '%d'", false, true},
		{"SELECT username AS user FROM mailbox", "SELECT 1 FROM domain WHERE domain = '%d'", true, true},
	} {
		q := queries()
		q.IterateQuery, q.DomainQuery = tc.iterate, tc.domain
		d, err := dbs.Userdb(q)
		if err != nil {
			t.Fatal(err)
		}
		_, lists := d.(userdb.Lister)
		_, finds := d.(userdb.DomainFinder)
		if lists != tc.lists || finds != tc.finds {
			t.Errorf("%q %q: %T lists %v, finds %v", tc.iterate, tc.domain, d, lists, finds)
		}
	}
}

func TestList(t *testing.T) {
	dbs := database(t, false, "CREATE TABLE u (username TEXT, domain TEXT); INSERT INTO u VALUES ('Alice', 'Example.org'), ('bob@b.example', 'x'), ('carl', NULL)")
	for _, tc := range []struct{ query, want string }{
		{"SELECT username, domain FROM u", "alice@example.org bob@b.example carl"},
		{"SELECT username || '@x' AS user, domain FROM u WHERE domain IS NULL", "carl@x"},
		{"SELECT username FROM u WHERE 0", ""},
		{"SELECT domain AS user FROM u", "example.org x error: iterate_query returns a row without a user (columns: user)"},
		{"SELECT username AS name FROM u", "error: iterate_query returns a row without a user (columns: name)"},
	} {
		q := queries()
		q.IterateQuery = tc.query
		d, err := dbs.Userdb(q)
		if err != nil {
			t.Fatal(err)
		}
		l, _ := d.(userdb.Lister)
		var got []string
		for name, err := range l.List(context.Background()) {
			if err != nil {
				name = "error: " + err.Error()
			}
			got = append(got, name)
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%s: %s, want %s", tc.query, text, tc.want)
		}
	}
}

func TestHasDomain(t *testing.T) {
	dbs := database(t, false, hosting)
	for _, tc := range []struct{ query, domain, want string }{
		{"SELECT 1 FROM domain WHERE domain = '%d' AND active = 1", "Example.ORG", "true"},
		{"SELECT 1 FROM domain WHERE domain = '%d' AND active = 1", "old.example", "false"},
		{"SELECT active FROM domain WHERE domain = '%d'", "old.example", "false"},
		{"SELECT count(*) FROM domain WHERE domain = '%d'", "nowhere.example", "false"},
		{"SELECT NULL", "example.org", "false"},
		{"SELECT '%d'", "no", "true"},
		{"SELECT 1", "", "false"},
		{"SELECT 1 FROM nowhere", "example.org", "error"},
		{"", "example.org", "true"},
		{"", "old.example", "false"},
	} {
		q := queries()
		q.DomainQuery = tc.query
		d, err := dbs.Userdb(q)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := d.(userdb.DomainFinder)
		has, err := f.HasDomain(context.Background(), tc.domain)
		got := fmt.Sprint(has)
		if err != nil {
			got = "error"
		}
		if got != tc.want {
			t.Errorf("%s of %q: %s %v, want %s", tc.query, tc.domain, got, err, tc.want)
		}
	}
}

// The domains of a listing are believed for some seconds; an error is not.
func TestHasDomainCache(t *testing.T) {
	now := time.Unix(1000, 0)
	dbs := database(t, true, hosting)
	dbs.options.Now = func() time.Time { return now }
	q := queries()
	q.UpdatePasswordQuery = "INSERT INTO mailbox (username, active) VALUES ('x@%{password}', 1)"
	d, err := dbs.Userdb(q)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := d.(userdb.DomainFinder)
	u, _ := passwordsOf(t, dbs, q).(rehasher)
	has := func(domain string) bool {
		ok, err := f.HasDomain(context.Background(), domain)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if ok, err := f.HasDomain(cancelled, "example.org"); err == nil {
		t.Errorf("%v from a listing that was not made", ok)
	}
	if !has("example.org") || has("new.example") {
		t.Error("the listing is wrong")
	}
	if err := u.SetPassword(context.Background(), asked("x"), "new.example"); err != nil {
		t.Fatal(err)
	}
	if has("new.example") {
		t.Error("listed again at once")
	}
	now = now.Add(domainsFor)
	if !has("new.example") {
		t.Error("not listed again")
	}
}
