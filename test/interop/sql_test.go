//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/identity/sqldb"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// postfixadmin is the part of its schema that mail servers read, and what
// differs between the servers it runs on.
const postfixadmin = `
CREATE TABLE domain (domain varchar(255) NOT NULL PRIMARY KEY, active %[1]s NOT NULL DEFAULT '1');
CREATE TABLE mailbox (username varchar(255) NOT NULL PRIMARY KEY, password varchar(255) NOT NULL, name varchar(255) NOT NULL DEFAULT '',
  maildir varchar(255) NOT NULL, quota bigint NOT NULL DEFAULT '0', local_part varchar(255) NOT NULL, domain varchar(255) NOT NULL,
  active %[1]s NOT NULL DEFAULT '1');
INSERT INTO domain (domain) VALUES ('example.org');
INSERT INTO domain VALUES ('old.example', '0');
INSERT INTO mailbox (username, password, maildir, quota, local_part, domain) VALUES
  ('alice@example.org', '{PLAIN}alice''s', 'example.org/alice/', 1048576, 'alice', 'example.org'),
  ('bob@example.org', '$1$abcdefgh$WQ1QDdH/Ui.SwJ1rqH2OX0', 'example.org/bob/', 0, 'bob', 'example.org'),
  ('jörg@example.org', '{PLAIN}ü', 'example.org/jörg/', 0, 'jörg', 'example.org'),
  ('o''hara@example.org', '{PLAIN}x', 'example.org/o''hara/', 0, 'o''hara', 'example.org');
INSERT INTO mailbox (username, password, maildir, local_part, domain, active) VALUES
  ('gone@example.org', '{PLAIN}x', 'example.org/gone/', 'gone', 'example.org', '0');
CREATE TABLE virtual_users (id integer NOT NULL PRIMARY KEY, domain_id integer, email varchar(100), password varchar(150), quota bigint DEFAULT 0);
INSERT INTO virtual_users VALUES (1, 1, 'isp@example.org', '{PLAIN}isp', 5000), (2, 1, 'null@example.org', NULL, NULL),
  (3, 1, 'twice@example.org', '{PLAIN}1', 0), (4, 1, 'twice@example.org', '{PLAIN}2', 0);
`

// fill makes the tables.
func (s *sqlServer) fill() {
	s.t.Helper()
	kind := "tinyint(1)"
	if s.driver == "pgsql" {
		kind = "boolean"
	}
	s.exec(fmt.Sprintf(postfixadmin, kind))
}

// adminQueries are what postfixadmin's documentation would have one write.
func adminQueries() sqldb.QueryConfig {
	return sqldb.QueryConfig{
		Database:            "mail",
		PasswordQuery:       "SELECT username AS user, password, CONCAT('/var/vmail/', maildir) AS userdb_home FROM mailbox WHERE username = '%Lu' AND active = '1'",
		UserQuery:           "SELECT '/var/vmail/%d/%n' AS home, 5000 AS uid, 5000 AS gid, CONCAT('*:bytes=', quota) AS quota_rule FROM mailbox WHERE username = '%Lu' AND active = '1'",
		IterateQuery:        "SELECT username FROM mailbox WHERE active = '1' ORDER BY username",
		DomainQuery:         "SELECT active FROM domain WHERE domain = '%d'",
		UpdatePasswordQuery: "UPDATE mailbox SET password = '%{password}' WHERE username = '%u'",
	}
}

// sqlWorld is a filled server, and drivers that ask it.
type sqlWorld struct {
	*sqlServer
	dbs    *sqldb.Databases
	events chan string
}

func newSQLWorld(t *testing.T, driver string, edit func(*sqldb.DatabaseConfig)) *sqlWorld {
	t.Helper()
	s := startSQL(t, driver)
	s.fill()
	return openSQL(t, s, edit)
}

func openSQL(t *testing.T, s *sqlServer, edit func(*sqldb.DatabaseConfig)) *sqlWorld {
	t.Helper()
	w := &sqlWorld{sqlServer: s, events: make(chan string, 100)}
	cfg := s.config()
	if edit != nil {
		edit(&cfg)
	}
	dbs, err := sqldb.Open(map[string]sqldb.DatabaseConfig{"mail": cfg}, sqldb.Options{Notify: func(_, host string, why error) {
		w.events <- fmt.Sprintf("%s %v", host, why)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dbs.Close)
	w.dbs = dbs
	return w
}

func (w *sqlWorld) passdb(q sqldb.QueryConfig) passdb.Lookuper {
	w.t.Helper()
	d, err := w.dbs.Passdb(q)
	if err != nil {
		w.t.Fatal(err)
	}
	l, _ := d.(passdb.Lookuper)
	return l
}

func (w *sqlWorld) userdb(q sqldb.QueryConfig) userdb.Driver {
	w.t.Helper()
	d, err := w.dbs.Userdb(q)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// stored is the password of a user; errors are values too.
func stored(l passdb.Lookuper, user string) string {
	a, err := l.Lookup(context.Background(), &request.Request{User: user})
	if err != nil {
		return fmt.Sprintf("%v: %v", fail.KindOf(err), err)
	}
	return a.Stored
}

func eachSQL(t *testing.T, test func(t *testing.T, driver string)) {
	for _, driver := range sqlDrivers() {
		t.Run(driver, func(t *testing.T) { test(t, driver) })
	}
}

// What is in the tables comes out, and nothing else does.
func TestSQLLookups(t *testing.T) {
	eachSQL(t, func(t *testing.T, driver string) {
		w := newSQLWorld(t, driver, nil)
		t.Run("passdb", func(t *testing.T) { testSQLPassdb(t, w) })
		t.Run("userdb", func(t *testing.T) { testSQLUserdb(t, w) })
		t.Run("hostile", func(t *testing.T) { testSQLHostile(t, w) })
		t.Run("update", func(t *testing.T) { testSQLUpdate(t, w) })
		t.Run("tls", func(t *testing.T) { testSQLEncryption(t, w) })
		t.Run("encoding", func(t *testing.T) { testSQLEncoding(t, w) })
		t.Run("altered", func(t *testing.T) { testSQLAltered(t, w) })
		t.Run("concurrent", func(t *testing.T) { testSQLConcurrent(t, w) })
		t.Run("many", func(t *testing.T) { testSQLMany(t, w) })
		t.Run("peer", func(t *testing.T) { testSQLPeer(t, w) }) // changes who may connect
	})
}

func testSQLPassdb(t *testing.T, w *sqlWorld) {
	l := w.passdb(adminQueries())
	for _, tc := range []struct{ user, want string }{
		{"alice@example.org", "{PLAIN}alice's"},
		{"bob@example.org", "{CRYPT}$1$abcdefgh$WQ1QDdH/Ui.SwJ1rqH2OX0"},
		{"jörg@example.org", "{PLAIN}ü"},
		{"o'hara@example.org", "{PLAIN}x"},
		{"gone@example.org", "not found: no user gone@example.org"},
		{"nobody@example.org", "not found: no user nobody@example.org"},
		{"snow☃@example.org", "not found: no user snow☃@example.org"},
	} {
		if got := stored(l, tc.user); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.user, got, tc.want)
		}
	}
	a, err := l.Lookup(context.Background(), &request.Request{User: "alice@example.org"})
	if want := []account.Field{{Key: "home", Value: "/var/vmail/example.org/alice/"}}; err != nil || !reflect.DeepEqual(a.Userdb, want) {
		t.Errorf("%+v %v", a, err)
	}
	h, err := scheme.Parse(stored(l, "alice@example.org"), scheme.Policy{Allow: []string{"PLAIN"}})
	if err != nil || h == nil {
		t.Error(err)
	}

	isp := w.passdb(sqldb.QueryConfig{Database: "mail", PasswordQuery: "SELECT email AS user, password FROM virtual_users WHERE email='%u'"})
	for _, tc := range []struct{ user, want string }{
		{"isp@example.org", "{PLAIN}isp"},
		{"null@example.org", ""},
		{"twice@example.org", "unavailable: user twice@example.org: the query returns more than one row, and only one could be right"},
	} {
		if got := stored(isp, tc.user); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.user, got, tc.want)
		}
	}
	broken := w.passdb(sqldb.QueryConfig{Database: "mail", PasswordQuery: "SELECT password FROM no_such_table WHERE email='%u'"})
	if got := stored(broken, "isp@example.org"); !strings.HasPrefix(got, "unavailable: ") || !strings.Contains(got, "no_such_table") {
		t.Error(got)
	}
}

func testSQLUserdb(t *testing.T, w *sqlWorld) {
	q := adminQueries()
	d := w.userdb(q)
	got, err := d.Lookup(context.Background(), &request.Request{User: "alice@example.org"})
	want := userdb.Record{
		User: "alice@example.org", UID: 5000, GID: 5000, Home: "/var/vmail/example.org/alice",
		Fields: []account.Field{{Key: "quota_rule", Value: "*:bytes=1048576"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	var names []string
	for name, err := range d.(userdb.Lister).List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if want := "alice@example.org bob@example.org jörg@example.org o'hara@example.org"; strings.Join(names, " ") != want {
		t.Errorf("%q", names)
	}
	byList := q
	byList.DomainQuery = ""
	for _, q := range []sqldb.QueryConfig{q, byList} {
		f := w.userdb(q).(userdb.DomainFinder)
		for domain, want := range map[string]bool{"example.org": true, "EXAMPLE.org": true, "old.example": false, "x' OR '1'='1": false} {
			if has, err := f.HasDomain(context.Background(), domain); has != want || err != nil {
				t.Errorf("%q: %v %v", domain, has, err)
			}
		}
	}
}

// hostileNames try to be more than a name.
func hostileNames() []string {
	return []string{
		"' OR '1'='1", "'; DROP TABLE mailbox; --", `\' OR 1=1 -- `, `\`, `\\'`, `"`, "`", "''", "%u", "%{user}", "%", "_", "$1", "?", ":x",
		"*/ OR /*", "-- ", "a\nb", "ü€𝄞", "ʼ OR ʼ1ʼ=ʼ1", "alice@example.org' -- ", "alice@example.org\\", "0x27", "\u200balice@example.org",
		strings.Repeat("'", 500), strings.Repeat("x", 5000),
	}
}

func testSQLHostile(t *testing.T, w *sqlWorld) {
	l := w.passdb(adminQueries())
	// What is asked for comes back as it was, through a query that is not
	// even one about users.
	echo := w.passdb(sqldb.QueryConfig{Database: "mail", PasswordQuery: "SELECT '{PLAIN}<%u>''s' AS password"})
	for _, name := range hostileNames() {
		if got := stored(l, name); !strings.HasPrefix(got, "not found") {
			t.Errorf("%q: %s", name, got)
		}
		if strings.Contains(name, "\n") {
			continue // a line end in an answer is an outage
		}
		if got, want := stored(echo, name), "{PLAIN}<"+name+">'s"; got != want {
			t.Errorf("%q came back as %q", name, got)
		}
	}
	for _, name := range []string{"a\x00b", "a\xff"} {
		if got := stored(l, name); !strings.HasPrefix(got, "not found") {
			t.Errorf("%q: %s", name, got)
		}
	}
	if got := stored(l, "alice@example.org"); got != "{PLAIN}alice's" {
		t.Error(got)
	}
}

func testSQLUpdate(t *testing.T, w *sqlWorld) {
	type rehasher interface {
		SetPassword(ctx context.Context, r *request.Request, stored string) error
	}
	set := func(q sqldb.QueryConfig, user, stored string) error {
		r, ok := w.passdb(q).(rehasher)
		if !ok {
			t.Fatal("passwords cannot be set")
		}
		return r.SetPassword(context.Background(), &request.Request{User: user}, stored)
	}
	q := adminQueries()
	const odd = `{PLAIN}it's "new" \ %u ü`
	for range 2 { // the second time nothing changes, which is a success too
		if err := set(q, "bob@example.org", odd); err != nil {
			t.Fatal(err)
		}
	}
	if got := stored(w.passdb(q), "bob@example.org"); got != odd {
		t.Error(got)
	}
	if err := set(q, "nobody@example.org", odd); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	q.UpdatePasswordQuery = "UPDATE mailbox SET password = '%{password}'"
	if err := set(q, "bob@example.org", "{PLAIN}harm"); !fail.Is(err, fail.Unavailable) || !strings.Contains(err.Error(), "rows, not one") {
		t.Error(err)
	}
	if got := w.exec("SELECT count(*) FROM mailbox WHERE password = '{PLAIN}harm'"); got != "0" {
		t.Errorf("%s passwords were changed", got)
	}
	q.UpdatePasswordQuery = "UPDATE mailbox SET active = '%{password}' WHERE username = '%u'"
	if err := set(q, "bob@example.org", "{PLAIN}leaked"); err == nil || strings.Contains(err.Error(), "leaked") {
		t.Error(err)
	}
}

func testSQLEncryption(t *testing.T, w *sqlWorld) {
	query := "SELECT CONCAT('{PLAIN}', ssl) AS password FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
	if w.driver == "mysql" {
		query = "SELECT IF(variable_value = '', '{PLAIN}f', '{PLAIN}t') AS password FROM information_schema.session_status WHERE variable_name = 'ssl_version'"
	}
	for _, tc := range []struct{ mode, host, want string }{
		{"auto", "127.0.0.1", "{PLAIN}f"},
		{"disable", "127.0.0.1", "{PLAIN}f"},
		{"prefer", "127.0.0.1", "{PLAIN}t"},
		{"require", "127.0.0.1", "{PLAIN}t"},
		{"verify-full", "localhost", "{PLAIN}t"},
		{"verify-full", "127.0.0.1", "{PLAIN}t"},
		{"verify-ca", "127.0.0.1", "{PLAIN}t"},
		{"verify-full", "socket", "{PLAIN}f"},
		{"verify-full other", "127.0.0.1", "unavailable: "},
		{"verify-ca other", "127.0.0.1", "unavailable: "},
	} {
		mode, other := strings.CutSuffix(tc.mode, " other")
		v := openSQL(t, w.sqlServer, func(c *sqldb.DatabaseConfig) {
			c.TLS.Mode, c.TLS.CAFile = mode, w.path("cert.pem")
			c.Hosts[0] = strings.Replace(c.Hosts[0], "127.0.0.1", tc.host, 1)
			if tc.host == "socket" {
				c.Hosts[0] = w.socket()
			}
			if other {
				c.TLS.CAFile = "/etc/ssl/certs/ca-certificates.crt"
			}
		})
		got := stored(v.passdb(sqldb.QueryConfig{Database: "mail", PasswordQuery: query}), "x")
		if !strings.HasPrefix(got, tc.want) || strings.Contains(got, "s3cret") {
			t.Errorf("%s to %s: %s, want %s", tc.mode, tc.host, got, tc.want)
		}
	}
	v := openSQL(t, w.sqlServer, func(c *sqldb.DatabaseConfig) { *c = c.WithPassword("wrong"); c.PasswordFile = "" })
	if got := stored(v.passdb(adminQueries()), "alice@example.org"); !strings.HasPrefix(got, "unavailable: ") || !strings.Contains(strings.ToLower(got), "password") {
		t.Error(got)
	}
}

// Over its socket, a server can know us by our Unix user, without a password.
func testSQLPeer(t *testing.T, w *sqlWorld) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if w.driver == "mysql" {
		w.exec("CREATE TABLE peer (password varchar(20)); INSERT INTO peer VALUES ('{PLAIN}peer'); CREATE OR REPLACE USER '" + me.Username + "'@'localhost' IDENTIFIED VIA unix_socket; GRANT ALL ON *.* TO '" + me.Username + "'@'localhost' WITH GRANT OPTION;")
	} else {
		w.exec("CREATE TABLE peer (password varchar(20)); INSERT INTO peer VALUES ('{PLAIN}peer'); CREATE ROLE " + me.Username + " LOGIN; GRANT ALL ON peer TO " + me.Username)
		write(t, w.path("data/pg_hba.conf"), "local all postgres trust\nlocal all all peer\n", 0o644)
		w.exec("SELECT pg_reload_conf()")
	}
	v := openSQL(t, w.sqlServer, func(c *sqldb.DatabaseConfig) {
		c.User, c.PasswordFile, c.Hosts[0] = me.Username, "", w.socket()
	})
	l := v.passdb(sqldb.QueryConfig{Database: "mail", PasswordQuery: "SELECT password FROM peer"})
	eventually(t, "we are known", func() bool { return stored(l, "x") == "{PLAIN}peer" })
}

// Tables in another encoding than ours are read all the same, and do not have
// the users whom they could not even write.
func testSQLEncoding(t *testing.T, w *sqlWorld) {
	v := w
	table := "CREATE TABLE old (name varchar(50), password varchar(50)) %s; INSERT INTO old VALUES ('jörg', '{PLAIN}ü');"
	if w.driver == "mysql" {
		w.exec(fmt.Sprintf(table, "CHARACTER SET latin1"))
	} else {
		w.exec("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0;")
		w.exec("\\c old\nSET client_encoding = 'UTF8';" + fmt.Sprintf(table, "") + "GRANT ALL ON old TO " + sqlUser)
		v = openSQL(t, w.sqlServer, func(c *sqldb.DatabaseConfig) { c.DBName = "old" })
	}
	l := v.passdb(sqldb.QueryConfig{Database: "mail", PasswordQuery: "SELECT name AS user, password FROM old WHERE name = '%u'"})
	for user, want := range map[string]string{"jörg": "{PLAIN}ü", "snow☃": "not found: no user snow☃", "𝄞": "not found: no user 𝄞"} {
		if got := stored(l, user); got != want {
			t.Errorf("%s: %s", user, got)
		}
	}
}

// A table that changes under prepared statements is read as it is now.
func testSQLAltered(t *testing.T, w *sqlWorld) {
	w.exec("CREATE TABLE changing (name varchar(20), password varchar(20)); INSERT INTO changing VALUES ('a', '{PLAIN}1');")
	l := w.passdb(sqldb.QueryConfig{Database: "mail", PasswordQuery: "SELECT * FROM changing WHERE name = '%u'"})
	if got := stored(l, "a"); got != "{PLAIN}1" {
		t.Error(got)
	}
	w.exec("ALTER TABLE changing ADD COLUMN nets varchar(20); UPDATE changing SET nets = '::1', password = '{PLAIN}2';")
	a, err := l.Lookup(context.Background(), &request.Request{User: "a"})
	if nets, _ := account.Get(a.Fields, "nets"); err != nil || a.Stored != "{PLAIN}2" || nets.Value != "::1" {
		t.Errorf("%+v %v", a, err)
	}
	w.exec("DROP TABLE changing")
	if got := stored(l, "a"); !strings.HasPrefix(got, "unavailable: ") {
		t.Error(got)
	}
}

// Callers that give up in the middle never leave their answer to others.
func testSQLConcurrent(t *testing.T, w *sqlWorld) {
	l := w.passdb(sqldb.QueryConfig{Database: "mail", PasswordQuery: "SELECT '{PLAIN}%u' AS password"})
	var wg sync.WaitGroup
	for who := range 16 {
		wg.Go(func() {
			for i := range 200 {
				user := fmt.Sprintf("%d-%d", who, i)
				ctx, cancel := context.WithCancel(context.Background())
				if i%5 == 0 {
					go cancel()
				}
				a, err := l.Lookup(ctx, &request.Request{User: user})
				cancel()
				if (err == nil && a.Stored != "{PLAIN}"+user) || (err != nil && !errors.Is(err, context.Canceled)) {
					t.Errorf("%s: %+v %v", user, a, err)
				}
			}
		})
	}
	wg.Wait()
	select {
	case e := <-w.events:
		t.Errorf("told %s", e)
	default:
	}
}

// A hundred thousand users are listed without holding them all.
func testSQLMany(t *testing.T, w *sqlWorld) {
	numbers := "SELECT generate_series(1, 100000)"
	if w.driver == "mysql" {
		numbers = "SELECT seq FROM seq_1_to_100000"
	}
	w.exec("CREATE TABLE many (n integer); INSERT INTO many " + numbers)
	q := adminQueries()
	q.IterateQuery = "SELECT CONCAT('user', n) AS username, CONCAT(REPEAT('x', 50), '.example') AS domain FROM many"
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, most := 0, uint64(0)
	start := time.Now()
	for name, err := range w.userdb(q).(userdb.Lister).List(context.Background()) {
		if err != nil || !strings.HasPrefix(name, "user") {
			t.Fatal(name, err)
		}
		if n++; n%25000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
	if n != 100000 {
		t.Errorf("%d users", n)
	}
	t.Logf("100000 users in %v, heap %d KB more", time.Since(start).Round(time.Millisecond), (int64(most)-int64(before.HeapAlloc))>>10)
	if most > before.HeapAlloc+4<<20 {
		t.Errorf("listing held %d KB", (most-before.HeapAlloc)>>10)
	}
}

// A server that is restarted costs nobody more than the time that it is away.
func TestSQLRestart(t *testing.T) {
	eachSQL(t, func(t *testing.T, driver string) {
		w := newSQLWorld(t, driver, nil)
		l := w.passdb(adminQueries())
		const right = "{PLAIN}alice's"
		for _, how := range []syscall.Signal{w.quickly(), syscall.SIGKILL} {
			if got := stored(l, "alice@example.org"); got != right {
				t.Fatal(got)
			}
			w.stop(how)
			w.start()
			// All connections are dead by now, which is nothing that a login
			// should notice.
			if got := stored(l, "alice@example.org"); got != right {
				t.Errorf("after %v: %s", how, got)
			}
			w.stop(how)
			if got := stored(l, "alice@example.org"); !strings.HasPrefix(got, "unavailable: ") {
				t.Errorf("without a server: %s", got)
			}
			w.start()
			eventually(t, "the server is asked again", func() bool { return stored(l, "alice@example.org") == right })
		}
	})
}

// A server that hangs costs a temporary failure within the time configured;
// the next ones come at once.
func TestSQLHang(t *testing.T) {
	eachSQL(t, func(t *testing.T, driver string) {
		const limit = 4 * time.Second
		w := newSQLWorld(t, driver, func(c *sqldb.DatabaseConfig) {
			c.ConnectTimeout, c.QueryTimeout, c.RetryAfter = conf.Duration(limit), conf.Duration(limit), conf.Duration(2*limit)
		})
		l := w.passdb(adminQueries())
		stored(l, "alice@example.org")
		w.freeze()
		defer w.thaw()
		// Not the time for the query and another one for a connection; then none.
		for i, most := range []time.Duration{2*limit - time.Second/2, limit - time.Second/2} {
			start := time.Now()
			got := stored(l, "alice@example.org")
			if took := time.Since(start); !strings.HasPrefix(got, "unavailable: ") || took > most {
				t.Errorf("request %d: %s after %v", i, got, took)
			}
		}
		w.thaw()
		eventually(t, "the server is asked again", func() bool { return stored(l, "alice@example.org") == "{PLAIN}alice's" })
	})
}

// Of two servers one dies: the other is asked, and the first again when it is
// back. With both alive, round_robin asks both.
func TestSQLFailOver(t *testing.T) {
	eachSQL(t, func(t *testing.T, driver string) {
		first, second := startSQL(t, driver), startSQL(t, driver)
		for i, s := range []*sqlServer{first, second} {
			s.exec(fmt.Sprintf("CREATE TABLE me (password varchar(20)); INSERT INTO me VALUES ('{PLAIN}%d')", i+1))
		}
		two := func(c *sqldb.DatabaseConfig) {
			c.Hosts = append(c.Hosts, second.config().Hosts...)
			c.PasswordFile = first.config().PasswordFile
			c.ConnectTimeout, c.QueryTimeout = conf.Duration(4*time.Second), conf.Duration(4*time.Second)
		}
		w := openSQL(t, first, two)
		q := sqldb.QueryConfig{Database: "mail", PasswordQuery: "SELECT password FROM me WHERE '%u' <> ''"}
		l := w.passdb(q)
		asked := func() string { return strings.TrimPrefix(stored(l, "x"), "{PLAIN}") }
		if got := asked() + asked(); got != "11" {
			t.Error(got)
		}
		first.stop(syscall.SIGKILL)
		if got := asked() + asked(); got != "22" {
			t.Errorf("the first is dead: %s", got)
		}
		if e := <-w.events; !strings.HasPrefix(e, first.config().Hosts[0]+" host") {
			t.Errorf("told %s", e)
		}
		first.start()
		eventually(t, "the first is asked again", func() bool { return asked() == "1" })
		first.freeze()
		if got := asked() + asked(); got != "22" {
			t.Errorf("the first hangs: %s", got)
		}
		first.thaw()
		eventually(t, "the first is asked again", func() bool { return asked() == "1" })

		both := openSQL(t, first, func(c *sqldb.DatabaseConfig) { two(c); c.Balance = "round_robin" })
		l = both.passdb(q)
		if got := asked() + asked() + asked() + asked(); got != "1212" {
			t.Error(got)
		}
	})
}
