package sqldb

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// parse is parseQuery of a text.
func parse(driver, text string) (*query, error) {
	t, err := expand.Parse(text)
	if err != nil {
		return nil, err
	}
	return parseQuery(driver, placeholder(driver), t)
}

func placeholder(driver string) func(int) string {
	return func(n int) string {
		if driver == sqlpool.PgSQL {
			return fmt.Sprintf("$%d", n)
		}
		return "?"
	}
}

// Each template with its text for the database and its parameters, for
// Alice@Example.org at 192.0.2.1.
func TestParseQuery(t *testing.T) {
	r := &request.Request{User: "o'hara@example.org", Service: "imap"}
	const pg, my, lite = sqlpool.PgSQL, sqlpool.MySQL, sqlpool.SQLite
	for _, tc := range []struct{ driver, template, want string }{
		// Dovecot's examples.
		{my, "SELECT home FROM users WHERE userid = '%u'", "SELECT home FROM users WHERE userid = ? | o'hara@example.org"},
		{pg, "SELECT home FROM users WHERE username = '%n' AND domain = '%d'", "SELECT home FROM users WHERE username = $1 AND domain = $2 | o'hara | example.org"},
		{pg, "SELECT '/var/vmail/%d/%n' AS home, 5000 AS uid", "SELECT $1 AS home, 5000 AS uid | /var/vmail/example.org/o'hara"},
		{my, "SELECT CONCAT('/m/', '%Un') AS home", "SELECT CONCAT('/m/', ?) AS home | O'HARA"},
		{lite, "SELECT 1 WHERE a = %u", "SELECT 1 WHERE a = ? | o'hara@example.org"},
		{lite, "SELECT '%u', '%u'", "SELECT ?, ? | o'hara@example.org | o'hara@example.org"},
		{lite, "SELECT '%{user}' WHERE '%s' = 'imap'", "SELECT ? WHERE ? = 'imap' | o'hara@example.org | imap"},
		// What quotes hold besides.
		{lite, "SELECT 'it''s %n''s', 'a''b'", "SELECT ?, 'a''b' | it's o'hara's"},
		{lite, "SELECT 1 WHERE a LIKE '%%@%d'", "SELECT 1 WHERE a LIKE ? | %@example.org"},
		{lite, "SELECT 1 WHERE a LIKE '%%x'", "SELECT 1 WHERE a LIKE '%x'"},
		{pg, `SELECT 1 AS "a b" WHERE x = '%s'`, `SELECT 1 AS "a b" WHERE x = $1 | imap`},
		{my, `SELECT 1 AS "a b" WHERE x = "%s"`, `SELECT 1 AS "a b" WHERE x = ? | imap`},
		{my, "SELECT `a'b` WHERE x = '%s'", "SELECT `a'b` WHERE x = ? | imap"},
		{my, `SELECT 'it\'s' WHERE x = '%s'`, `SELECT 'it\'s' WHERE x = ? | imap`},
		{pg, `SELECT '\' WHERE x = '%s'`, `SELECT '\' WHERE x = $1 | imap`},
		{pg, `SELECT E'it\'s' WHERE x = '%s'`, `SELECT E'it\'s' WHERE x = $1 | imap`},
		{pg, "SELECT $$it's$$ WHERE x = '%s'", "SELECT $$it's$$ WHERE x = $1 | imap"},
		{pg, "SELECT $t$it's$t$ WHERE x = '%s'", "SELECT $t$it's$t$ WHERE x = $1 | imap"},
		{lite, "SELECT 1 -- it's\nWHERE x = '%s'", "SELECT 1 -- it's\nWHERE x = ? | imap"},
		{lite, "SELECT /* it's */ '%s'", "SELECT /* it's */ ? | imap"},
		{my, "SELECT '%s' # it's", "SELECT ? # it's | imap"},
		// Placeholders stay apart from words.
		{pg, "SELECT'%s'AS v", "SELECT $1 AS v | imap"},
		{pg, "SELECT '%s'::text", "SELECT $1::text | imap"},
		{lite, "SELECT 1 ; ", "SELECT 1"},
		// What cannot be a parameter.
		{pg, `SELECT "%s"`, `error: a variable stands in " quotes, which are for names of columns: use ' instead`},
		{my, "SELECT `%s`", "error: a variable stands in ` quotes, which are for names of columns: use ' instead"},
		{pg, "SELECT 1 -- %s", "error: a variable stands in a comment"},
		{pg, "SELECT 1 /* %s */", "error: a variable stands in a comment"},
		{pg, "SELECT $$%s$$", "error: a variable stands in a $ quote: use ' instead"},
		{pg, "SELECT E'%s'", "error: a constant with a variable in it begins with E'"},
		{my, "SELECT _utf8'%s'", "error: a constant with a variable in it begins with _utf8'"},
		{my, `SELECT '\n%s'`, "error: a constant with a variable in it contains a backslash: put it together with CONCAT or ||"},
		{my, "SELECT '%s", "error: a quote or a comment is not closed"},
		{my, "SELECT /* ", "error: a quote or a comment is not closed"},
		{my, " ; ", "error: is empty"},
	} {
		q, err := parse(tc.driver, tc.template)
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else {
			args, err := q.values(r)
			if err != nil {
				t.Errorf("%s: %v", tc.template, err)
			}
			got = strings.Join(append([]string{q.text}, args...), " | ")
		}
		if got != tc.want {
			t.Errorf("%s %s\n got %s\nwant %s", tc.driver, tc.template, got, tc.want)
		}
	}
}

// hostile are names that try to be more than a name.
func hostile() []string {
	return []string{
		"' OR '1'='1", "'; DROP TABLE users; --", `\' OR 1=1 -- `, `\`, `"`, "`", "''", "a'b\"c`d", "%u", "%{user}", "%%", "$1", "?", ":x",
		"*/ OR /*", "-- ", "\n", "ü€𝄞", "ʼ OR ʼ1ʼ=ʼ1", "＇", "a\u200bb", "admin'/*", strings.Repeat("'", 500), "0x27", "%27", "\u02bc",
	}
}

// CVE-2026-24031: what a peer sends comes out of the database as it went in,
// whatever it is.
func TestValuesAreData(t *testing.T) {
	db, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, template := range []string{"SELECT '%u'", "SELECT %u", "SELECT '<%u>' || '%%'", "SELECT '%u''%u' /* x */"} {
		q, err := parse(sqlpool.SQLite, template)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range hostile() {
			args, err := q.values(&request.Request{User: name})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{
				"SELECT '%u'": name, "SELECT %u": name, "SELECT '<%u>' || '%%'": "<" + name + ">%", "SELECT '%u''%u' /* x */": name + "'" + name,
			}[template]
			if got := sqliteValue(t, db, q.text, args); got != want {
				t.Errorf("%s with %q: %q", template, name, got)
			}
		}
	}
}

// sqliteValue runs a query of one value; "" when it cannot be run.
func sqliteValue(t *testing.T, db *sqlite3.Conn, text string, args []string) string {
	t.Helper()
	stmt, tail, err := db.Prepare(text)
	if err != nil || stmt == nil {
		return ""
	}
	defer stmt.Close()
	if tail != "" || stmt.BindCount() != len(args) {
		return ""
	}
	for i, a := range args {
		if err := stmt.BindText(i+1, a); err != nil {
			t.Fatal(err)
		}
	}
	if !stmt.Step() {
		return ""
	}
	return stmt.ColumnText(0)
}

// No template upsets the parser, and text inside of quotes is text: a constant
// of it, twice and a variable, becomes one parameter that says just that.
func FuzzTemplates(f *testing.F) {
	for _, s := range []string{
		"SELECT '%u'", "SELECT '/m/%d/%n' AS home", `SELECT "a", '%u''s' -- x`, "SELECT `a` /* ' */ %u", "SELECT E'%u'", "SELECT $a$ ' $a$ '%u'", "SELECT '%%%u'",
		`SELECT 'a\'%u'`, "'", "''", "'%u", "%u%u", "'%u'%u'%u'",
	} {
		f.Add(s, "o'hara")
	}
	f.Fuzz(func(t *testing.T, template, user string) {
		for _, driver := range []string{sqlpool.PgSQL, sqlpool.MySQL, sqlpool.SQLite} {
			q, err := parse(driver, template)
			if err != nil {
				continue
			}
			if args, err := q.values(&request.Request{User: user}); err == nil && len(args) != len(q.args) {
				t.Fatalf("%d values for %d parameters", len(args), len(q.args))
			}
		}
		// The template as the inside of one constant.
		if strings.ContainsAny(template+user, "\x00%") {
			return
		}
		quoted := strings.ReplaceAll(template, "'", "''")
		q, err := parse(sqlpool.SQLite, "SELECT '"+quoted+"%u"+quoted+"' AS v")
		if err != nil {
			t.Fatal(err)
		}
		args, err := q.values(&request.Request{User: user})
		if err != nil {
			t.Skip(err)
		}
		if len(args) != 1 || args[0] != template+user+template {
			t.Fatalf("%q with %q: %q in %s", template, user, args, q.text)
		}
	})
}

// Every query of every driver is refused at the start when it uses what there
// is not.
func TestUnknownVariables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	dbs, err := Open(map[string]DatabaseConfig{"mail": {Driver: sqlpool.SQLite, Path: path, Writable: true}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dbs.Close()
	ok := QueryConfig{Database: "mail", PasswordQuery: "SELECT 1", UserQuery: "SELECT 1"}
	for key, edit := range map[string]func(*QueryConfig){
		"password_query":        func(c *QueryConfig) { c.PasswordQuery = "SELECT '%{nothing}'" },
		"update_password_query": func(c *QueryConfig) { c.UpdatePasswordQuery = "SELECT '%{nothing}'" },
		"user_query":            func(c *QueryConfig) { c.UserQuery = "SELECT '%{nothing}'" },
		"iterate_query":         func(c *QueryConfig) { c.IterateQuery = "SELECT '%{nothing}'" },
		"domain_query":          func(c *QueryConfig) { c.IterateQuery, c.DomainQuery = "SELECT 1", "SELECT '%u'" },
	} {
		c := ok
		edit(&c)
		_, err := dbs.Passdb(c)
		if _, uerr := dbs.Userdb(c); err == nil {
			err = uerr
		}
		if err == nil || !strings.Contains(err.Error(), key+": there is no variable") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, err := dbs.Passdb(QueryConfig{Database: "other"}); err == nil || !strings.Contains(err.Error(), `no database "other" (known: mail)`) {
		t.Error(err)
	}
}
