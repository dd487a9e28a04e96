//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/sqldb"
	"github.com/postcote/postcote/pkg/identity/userdb"
)

// SQLite's own program writes to the file while we read it, in both of its
// journal modes, and neither sees the other's half-done work.
func TestSQLiteFile(t *testing.T) {
	need(t, "sqlite3")
	for _, mode := range []string{"delete", "wal"} {
		path := filepath.Join(tempDir(t, "sqlite"), "mail.db")
		sqlite := func(statements string) string { return run(t, statements, "sqlite3", "-cmd", ".timeout 60000", path) }
		sqlite("PRAGMA journal_mode = " + mode + "; CREATE TABLE u (name TEXT, a TEXT, password TEXT); INSERT INTO u VALUES ('x', '0', '{PLAIN}0');")
		dbs, err := sqldb.Open(map[string]sqldb.DatabaseConfig{"mail": {Driver: "sqlite", Path: path}}, sqldb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer dbs.Close()
		d, err := dbs.Passdb(sqldb.QueryConfig{Database: "mail", PasswordQuery: "SELECT a, password FROM u WHERE name = '%u'"})
		if err != nil {
			t.Fatal(err)
		}
		l := d.(passdb.Lookuper)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 20 {
				if _, err := try(fmt.Sprintf("BEGIN IMMEDIATE; UPDATE u SET a = '%[1]d'; UPDATE u SET password = '{PLAIN}%[1]d'; COMMIT;", i+1), "sqlite3", "-cmd", ".timeout 60000", path); err != nil {
					t.Error(err)
				}
			}
		}()
		last := ""
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			default:
			}
			a, err := l.Lookup(context.Background(), &request.Request{User: "x"})
			f, _ := account.Get(a.Fields, "a")
			if err != nil || a.Stored != "{PLAIN}"+f.Value {
				t.Fatalf("%s: %+v %v", mode, a, err)
			}
			last = f.Value
		}
		if last != "20" {
			t.Errorf("%s: ended at %s", mode, last)
		}
		if got := sqlite("PRAGMA integrity_check"); strings.TrimSpace(got) != "ok" {
			t.Errorf("%s: %s", mode, got)
		}
	}
}

// Dovecot and we make the same of the same file.
func TestSQLDovecotFile(t *testing.T) {
	need(t, "dovecot", "doveadm")
	if os.Getuid() != 0 {
		t.Skip("a private Dovecot needs root to start")
	}
	eachSQL(t, func(t *testing.T, driver string) {
		s := startSQL(t, driver)
		s.fill()
		dir := tempDir(t, "dovecotsql")
		// Dovecot's grammar has no way to write the other password.
		password := "ALTER ROLE authd PASSWORD 'plain'"
		if driver == "mysql" {
			password = "SET PASSWORD FOR 'authd'@'%' = PASSWORD('plain')"
		}
		s.exec(password)
		file := write(t, filepath.Join(dir, "sql.conf.ext"), fmt.Sprintf(`# as it comes
driver = %s
connect = host=127.0.0.1 \
  port=%d dbname=mail user=authd \
  password=plain # not the password
default_pass_scheme = PLAIN
user_query = SELECT '/var/vmail/%%d/%%1n/%%Ln' AS home, 5000 AS uid, 5000 AS gid, \
  CONCAT('*:bytes=', quota) AS quota_rule FROM mailbox WHERE username = '%%u' \
  AND active = '1'
password_query = SELECT username AS user, password, 'it''s %%s' AS userdb_note FROM mailbox WHERE local_part = '%%n' AND domain = '%%d'
iterate_query = SELECT local_part AS username, domain FROM mailbox
`, driver, s.port), 0o644)
		conf := write(t, filepath.Join(dir, "dovecot.conf"), fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-sql
log_path = %[1]s/log
protocols =
ssl = no
auth_username_chars =
passdb {
  driver = sql
  args = %[2]s
}
userdb {
  driver = sql
  args = %[2]s
}
`, dir, file), 0o644)
		run(t, "", "dovecot", "-c", conf)
		t.Cleanup(func() {
			_, _ = try("", "doveadm", "-c", conf, "stop")
			if t.Failed() {
				log, _ := os.ReadFile(filepath.Join(dir, "log"))
				t.Logf("Dovecot log:\n%s", log)
			}
		})
		dbs, err := sqldb.Open(nil, sqldb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer dbs.Close()
		w := &sqlWorld{sqlServer: s, dbs: dbs}
		q := sqldb.QueryConfig{DovecotFile: file}
		l, d := w.passdb(q), w.userdb(q)
		for _, name := range []string{"alice@example.org", "bob@example.org", "jörg@example.org", "o'hara@example.org"} {
			out := run(t, "", "doveadm", "-c", conf, "user", name)
			r, err := d.Lookup(context.Background(), &request.Request{User: name})
			if err != nil {
				t.Fatal(err)
			}
			ours := map[string]string{"uid": fmt.Sprint(r.UID), "gid": fmt.Sprint(r.GID), "home": r.Home}
			for _, f := range r.Fields {
				ours[f.Key] = f.Value
			}
			for key, value := range ours {
				if !strings.Contains(out, key+"\t"+value+"\n") {
					t.Errorf("%s: we have %s=%s, Dovecot\n%s", name, key, value, out)
				}
			}
			if got := stored(l, name); strings.HasPrefix(got, "unavailable") || strings.HasPrefix(got, "not found") {
				t.Errorf("%s: %s", name, got)
			}
		}
		run(t, "", "doveadm", "-c", conf, "auth", "test", "-x", "service=imap", "alice@example.org", "alice's")
		var ours []string
		for name, err := range d.(userdb.Lister).List(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			ours = append(ours, name)
		}
		theirs := strings.Fields(run(t, "", "doveadm", "-c", conf, "user", "*"))
		slices.Sort(ours)
		slices.Sort(theirs)
		if !slices.Equal(ours, theirs) {
			t.Errorf("we list %q, Dovecot %q", ours, theirs)
		}
	})
}
