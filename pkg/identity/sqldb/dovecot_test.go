package sqldb

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// ispmail is the file of a widely read tutorial's kind.
const ispmail = `# comment
driver = mysql
connect = \
  host=127.0.0.1 \
  # a comment between
  dbname=mailserver \
  user=mailserver \
  password=x9!yz   # not the password
user_query = SELECT email as user, \
  concat('*:bytes=', quota) AS quota_rule, \
  '/var/vmail/%d/%n' AS home, \
  5000 AS uid, 5000 AS gid \
  FROM virtual_users WHERE email='%u'
password_query = SELECT password FROM virtual_users WHERE email='%u'
iterate_query = SELECT email AS user FROM virtual_users
`

func TestReadDovecot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dovecot-sql.conf.ext")
	if err := os.WriteFile(path, []byte(ispmail), 0o600); err != nil {
		t.Fatal(err)
	}
	db, q, err := ReadDovecot(path)
	if err != nil {
		t.Fatal(err)
	}
	want := QueryConfig{
		UserQuery:     "SELECT email as user, concat('*:bytes=', quota) AS quota_rule, '/var/vmail/%d/%n' AS home, 5000 AS uid, 5000 AS gid FROM virtual_users WHERE email='%u'",
		PasswordQuery: "SELECT password FROM virtual_users WHERE email='%u'",
		IterateQuery:  "SELECT email AS user FROM virtual_users",
		DefaultScheme: "MD5",
	}
	if q != want {
		t.Errorf("%+v", q)
	}
	if db.Driver != "mysql" || !reflect.DeepEqual(db.Hosts, []string{"127.0.0.1"}) || db.DBName != "mailserver" || db.User != "mailserver" {
		t.Errorf("%+v", db)
	}
	if !reflect.DeepEqual(db, db.WithPassword("x9!yz")) {
		t.Error("the password is another one")
	}
	if _, _, err := ReadDovecot(path + ".no"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

// One pool serves a passdb and a userdb of the same file.
func TestDovecotFileShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dovecot-sql.conf.ext")
	if err := os.WriteFile(path, []byte(ispmail), 0o600); err != nil {
		t.Fatal(err)
	}
	dbs, err := Open(nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dbs.Close()
	q := QueryConfig{DovecotFile: path}
	if _, err := dbs.Passdb(q); err != nil {
		t.Error(err)
	}
	if _, err := dbs.Userdb(q); err != nil {
		t.Error(err)
	}
	if s := dbs.Status(); len(s) != 1 || s[path].Hosts[0].Host != "127.0.0.1" {
		t.Errorf("%+v", s)
	}
}

func TestConnect(t *testing.T) {
	for _, tc := range []struct{ driver, connect, want string }{
		{"mysql", "host=sql1 host=sql2 dbname=m user=u password=p=q", "[sql1 sql2] round_robin m u p=q disable"},
		{"mysql", "dbname=m user=u", "[/run/mysqld/mysqld.sock] first m u  disable"},
		{"mysql", "host=localhost user=u", "[/run/mysqld/mysqld.sock] first u u  disable"},
		{"mysql", "host=localhost port=3307 user=u dbname=m", "[localhost:3307] first m u  disable"},
		{"mysql", "host=/var/run/mysql.sock dbname=m user=u", "[/var/run/mysql.sock] first m u  disable"},
		{"mysql", "host=a dbname=m user=u ssl_ca=/ca.pem", "[a] first m u  verify-ca /ca.pem"},
		{"mysql", "host=a dbname=m user=u ssl_ca=/ca.pem ssl_verify_server_cert=yes", "[a] first m u  verify-full /ca.pem"},
		{"mysql", "host=a dbname=m user=u maxconns=20 connect_timeout=3 read_timeout=7", "[a] first m u  disable 20 3s 7s"},
		{"mysql", "host=a dbname=m user=u option_file=/etc/my.cnf", `error: "option_file" is not supported for mysql`},
		{"mysql", "host=a dbname=m user=u pass word", "error: word 4 is no key=value"},
		{"mysql", "host=a", "error: user or dbname is missing"},
		{"pgsql", "host=localhost dbname=m user=u password='it\\'s a'", "[localhost] first m u it's a prefer"},
		{"pgsql", "dbname = m user = u", "[/var/run/postgresql] first m u  prefer"},
		{"pgsql", "host=/run/pg port=5433 dbname=m user=u", "[/run/pg/.s.PGSQL.5433] first m u  prefer"},
		{"pgsql", "host=a,b port=1,2 dbname=m user=u", "[a:1 b:2] round_robin m u  prefer"},
		{"pgsql", "host=::1 port=5433 dbname=m user=u", "[[::1]:5433] first m u  prefer"},
		{"pgsql", "host=a dbname=m user=u sslmode=require sslrootcert=/ca.pem", "[a] first m u  verify-ca /ca.pem"},
		{"pgsql", "host=a dbname=m user=u sslmode=verify-full", "[a] first m u  verify-full"},
		{"pgsql", "host=a dbname=m user=u sslmode=verify-ca", "error: sslmode=verify-ca needs sslrootcert"},
		{"pgsql", "host=a dbname=m user=u sslmode=bogus", `error: TLS mode "bogus" is not known`},
		{"pgsql", "host=a,b,c port=1,2 dbname=m user=u", "error: there are 2 ports for 3 hosts"},
		{"pgsql", "host=a dbname=m user=u service=x", `error: "service" is not supported for pgsql`},
		{"pgsql", "host=a password='open", "error: a quote is not closed"},
		{"pgsql", "host=a maxconns=many", "error: maxconns is not a number from 1 to 1000"},
		{"sqlite", "/etc/dovecot/auth db.sqlite", "/etc/dovecot/auth db.sqlite"},
		{"sqlite", "auth.sqlite", `error: "auth.sqlite" is not an absolute path`},
		{"cassandra", "host=a", `error: there is no driver "cassandra" here (known: pgsql, mysql, sqlite)`},
	} {
		c, err := parseConnect(tc.driver, tc.connect)
		got := describe(c, tc.want)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != tc.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tc.driver, tc.connect, got, tc.want)
		}
	}
}

// describe writes down what want tells of.
func describe(c DatabaseConfig, want string) string {
	if c.Driver == sqlpool.SQLite {
		return c.Path
	}
	// The password shows in no form of the value but this.
	password := ""
	for _, p := range strings.SplitN(want, " ", -1) {
		if p != "" && reflect.DeepEqual(c, c.WithPassword(p)) {
			password = p
		}
	}
	if reflect.DeepEqual(c, c.WithPassword("it's a")) {
		password = "it's a"
	}
	s := fmt.Sprintf("%v %s %s %s %s %s", c.Hosts, c.Balance, c.DBName, c.User, password, c.TLS.Mode)
	if c.TLS.CAFile != "" {
		s += " " + c.TLS.CAFile
	}
	if c.PoolSize != 5 || c.ConnectTimeout != conf.Duration(5*time.Second) {
		s += fmt.Sprintf(" %d %s %s", c.PoolSize, c.ConnectTimeout, c.QueryTimeout)
	}
	return s
}

// Lines as Dovecot 2.3 reads them.
func TestSettings(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"a=b", "a|b"},
		{"  a  =  b c  ", "a|b c"},
		{"a = b # c", "a|b"},
		{"a = 'b # c'", "a|b # c"},
		{"a = x 'b # c' d # e", "a|x 'b # c' d"},
		{`a = "b\"c"`, `a|b"c`},
		{`a = "b" c "d"`, `a|b" c "d`},
		{"a = b \\\n  c\\\n\td", "a|b cd"},
		{"a = b \\\n# comment\n\n  c\nd = e", "a|b c d|e"},
		{"a = it's # open", "a|it's # open"},
		{"a =", "a|"},
		{"a = b = c", "a|b = c"},
		{"# a\r\na = b\r\n", "a|b"},
		{"a", `error: line 1: "a" is no key = value`},
		{"\n\na = \\\n\\\nb\nfoo", `a|b error: line 6: "foo" is no key = value`},
		{"a = b\\", "error: line 1: the file ends after a backslash"},
		{"a = \x00", "error: line 1: contains NUL"},
	} {
		var got []string
		err := settings(tc.text, func(key, value string) error {
			got = append(got, key+"|"+value)
			return nil
		})
		if err != nil {
			got = append(got, "error: "+err.Error())
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%q:\n got %s\nwant %s", tc.text, text, tc.want)
		}
	}
}

func TestDovecotRefuses(t *testing.T) {
	const head = "driver = sqlite\nconnect = /x\n"
	for _, tc := range []struct{ text, want string }{
		{"connect = /x", "x: driver is missing"},
		{"driver = sqlite", "x: connect is missing"},
		{head + "pasword_query = x", `x: line 3: unknown setting "pasword_query"`},
		{"driver = mysql\nconnect = host=a password=secret word user=u", "x: connect: word 3 is no key=value"},
		{head + "user_query = " + strings.Repeat("x", maxQuery), "x: line 3: longer than"},
	} {
		_, _, err := parseDovecot("x", tc.text)
		if !fail.Is(err, fail.Invalid) || !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", tc.text, err)
		}
	}
	c, q, err := parseDovecot("x", head+"update_query = UPDATE u SET p = '%w' WHERE n = '%u'")
	if err != nil || !c.Writable || q.UpdatePasswordQuery != "UPDATE u SET p = '%w' WHERE n = '%u'" {
		t.Errorf("%+v %+v %v", c, q, err)
	}
}

func FuzzDovecotFile(f *testing.F) {
	f.Add(ispmail)
	f.Add("driver = pgsql\nconnect = host=a,b port=1 user=u password='x\\'y' sslmode=require # c\n")
	f.Add("driver = sqlite\nconnect = \"/x # y\"\nuser_query = a \\\n b\\")
	f.Fuzz(func(t *testing.T, text string) {
		c, q, err := parseDovecot("x", text)
		if err != nil {
			if !fail.Is(err, fail.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if c.Driver != sqlpool.SQLite && len(c.Hosts) == 0 {
			t.Fatalf("no host in %+v", c)
		}
		if q.PasswordQuery == "" && !strings.Contains(text, "password_query") {
			t.Fatal("no default")
		}
	})
}

// file is a configuration with an SQL entry.
type file struct {
	Databases map[string]DatabaseConfig `yaml:"databases"`
	SQL       QueryConfig               `yaml:"sql"`
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct{ text, problem string }{
		{"", ""},
		{"sql: {database: mail, password_query: \"SELECT '%u'\"}", ""},
		{"sql: {dovecot_file: /x}", ""},
		{"sql: {dovecot_file: /x, default_pass_scheme: PLAIN}", ""},
		{"sql: {password_query: x}", "sql.database: the name of the database is missing"},
		{"sql: {dovecot_file: /x, user_query: y}", "sql.user_query: stands in dovecot_file already"},
		{"sql: {database: mail, password_query: \"SELECT '%u\"}", ""}, // only the driver's dialect can tell
		{"sql: {database: mail, password_query: \"SELECT '%{nothing}'\"}", "sql.password_query: there is no variable %{nothing}"},
		{"sql: {database: mail, password_query: \"SELECT '%'\"}", "sql.password_query: unknown variable"},
		{"sql: {database: mail, domain_query: \"SELECT '%u'\"}", "sql.domain_query: there is no variable %{user}"},
	} {
		var f file
		err := conf.Parse("authd.yaml", []byte(tc.text), &f)
		if (err == nil) != (tc.problem == "") || (err != nil && !strings.Contains(err.Error(), tc.problem)) {
			t.Errorf("%q: %v, want %s", tc.text, err, tc.problem)
		}
	}
}
