package sqlpool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// create makes a database file of statements.
func create(t *testing.T, path string, statements ...string) {
	t.Helper()
	c, err := sqlite3.OpenFlags(path, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range statements {
		if err := c.Exec(s); err != nil {
			t.Fatal(s, err)
		}
	}
}

func openFile(t *testing.T, cfg Config) *Pool {
	t.Helper()
	cfg.Driver = SQLite
	p, err := Open(cfg, Options{Name: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// value asks for one value; errors are values too.
func value(p *Pool, text string, args ...string) string {
	rows, err := p.Rows(context.Background(), NewStatement(text, len(args)), args, 2)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case len(rows) == 0:
		return "no row"
	case rows[0].Values[0].Null:
		return "NULL"
	}
	return rows[0].Values[0].Text
}

func TestSQLiteValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	create(t, path, "CREATE TABLE u (name TEXT, home TEXT)", "INSERT INTO u VALUES ('a', '/a'), ('b', NULL)")
	p := openFile(t, Config{Path: path})
	wide := "SELECT " + strings.Repeat("1,", MaxColumns) + "1"
	for _, tc := range []struct {
		text string
		args []string
		want string
	}{
		{"SELECT home FROM u WHERE name = ?", []string{"a"}, "/a"},
		{"SELECT home FROM u WHERE name = ?", []string{"b"}, "NULL"},
		{"SELECT home FROM u WHERE name = ?", []string{"c"}, "no row"},
		{"SELECT home FROM u WHERE name = ?", []string{"' OR '1' = '1"}, "no row"},
		{"SELECT ?", []string{"\x00\"'\\%u ü"}, "\x00\"'\\%u ü"},
		{"SELECT 42", nil, "42"},
		{"SELECT 1.5", nil, "1.5"},
		{"SELECT x'6162'", nil, `error: database mail: host PATH: column "x'6162'" is of type BLOB, which is no text: convert it in the query`},
		{"SELECT printf('%.*c', 16384, 'x') AS home", nil, strings.Repeat("x", MaxValue)},
		{"SELECT printf('%.*c', 16385, 'x') AS home", nil, `error: database mail: host PATH: column "home" holds 16385 bytes, more than 16384`},
		{wide, nil, "error: database mail: host PATH: the query returns 65 columns, more than 64"},
		{"SELECT ?, ?", []string{"a"}, "error: database mail: host PATH: the database sees 2 parameters in the query, it should have 1: look for stray question marks, dollar signs and quotes"},
		{"SELECT 1; DROP TABLE u", nil, "error: database mail: host PATH: there is more than one statement in the query"},
		{"-- nothing", nil, "error: database mail: host PATH: the query is empty"},
		{"SELECT * FROM nowhere", nil, "error: database mail: host PATH: sqlite3: SQL logic error: no such table: nowhere"},
		{"DELETE FROM u", nil, "error: database mail: host PATH: sqlite3: attempt to write a readonly database"},
		{"SELECT count(*) FROM u", nil, "2"},
	} {
		got := strings.ReplaceAll(value(p, tc.text, tc.args...), path, "PATH")
		if got != tc.want && !strings.HasPrefix(got, tc.want+" (") {
			t.Errorf("%.60s %q:\n got %.300s\nwant %.300s", tc.text, tc.args, got, tc.want)
		}
	}
	if rows := p.Status(); rows.Hosts[0].Idle != 1 {
		t.Errorf("%+v", rows)
	}
}

// A file that is replaced, by rename or after it was gone, is read anew by the
// next request.
func TestSQLiteReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	p := openFile(t, Config{Path: path})
	if got := value(p, "SELECT v FROM t"); !strings.Contains(got, "no such file") {
		t.Error(got)
	}
	for i := range 3 {
		next := fmt.Sprintf("%s.%d", path, i)
		create(t, next, "CREATE TABLE t (v)", fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := value(p, "SELECT v FROM t"); got != fmt.Sprint(i) {
				t.Errorf("file %d: %s", i, got)
			}
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := value(p, "SELECT v FROM t"); !strings.Contains(got, "no such file") || p.Status().Hosts[0].Up {
		t.Errorf("whoever was in a file that is gone must not live on: %s", got)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file was made anew")
	}
}

func TestSQLiteGarbage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	for _, content := range []string{strings.Repeat("garbage ", 1000), "SQLite format 3\x00" + strings.Repeat("\xff", 8000)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		p := openFile(t, Config{Path: path})
		if _, err := p.Rows(context.Background(), NewStatement("SELECT 1 FROM t", 0), nil, 1); !fail.Is(err, fail.Unavailable) {
			t.Error(err)
		}
	}
	p := openFile(t, Config{Path: filepath.Dir(path)})
	if got := value(p, "SELECT 1"); !strings.Contains(got, "not a regular file") {
		t.Error(got)
	}
}

// Readers see what a writer in WAL mode has committed, and are not kept
// waiting by it.
func TestSQLiteWAL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	writer, err := sqlite3.OpenFlags(path, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	run := func(s string) {
		if err := writer.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	run("PRAGMA journal_mode = WAL; CREATE TABLE t (v); INSERT INTO t VALUES (1)")
	p := openFile(t, Config{Path: path})
	run("BEGIN IMMEDIATE; UPDATE t SET v = 2")
	if got := value(p, "SELECT v FROM t"); got != "1" {
		t.Error(got)
	}
	run("COMMIT")
	if got := value(p, "SELECT v FROM t"); got != "2" {
		t.Error(got)
	}
}

// A file that stays locked is an outage after query_timeout; the lock's end is
// waited for until then.
func TestSQLiteLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	create(t, path, "CREATE TABLE t (v)", "INSERT INTO t VALUES (1)")
	writer, err := sqlite3.OpenFlags(path, sqlite3.OPEN_READWRITE)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := writer.Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	p := openFile(t, Config{Path: path, QueryTimeout: short(50 * time.Millisecond)})
	if _, err := p.Rows(context.Background(), NewStatement("SELECT v FROM t", 0), nil, 1); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	patient := openFile(t, Config{Path: path})
	done := make(chan string)
	go func() { done <- value(patient, "SELECT v FROM t") }()
	if err := writer.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != "1" {
		t.Error(got)
	}
}

func TestSQLiteCancel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	create(t, path, "CREATE TABLE t (v)")
	p := openFile(t, Config{Path: path, QueryTimeout: short(50 * time.Millisecond)})
	endless := NewStatement("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", 0)
	if _, err := p.Rows(context.Background(), endless, nil, 1); !errors.Is(err, errQuery) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	p = openFile(t, Config{Path: path})
	if _, err := p.Rows(ctx, endless, nil, 1); !fail.Is(err, fail.Temporary) {
		t.Error(err)
	}
	if got := value(p, "SELECT 7"); got != "7" {
		t.Error(got)
	}
}

// An update is kept only if it changed as many rows as it should.
func TestSQLiteExec(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	create(t, path, "CREATE TABLE u (name TEXT, pw TEXT)", "INSERT INTO u VALUES ('a', '1'), ('b', '2')")
	p := openFile(t, Config{Path: path, Writable: true})
	one := func(n int64) error {
		if n != 1 {
			return fail.New(fail.Unavailable, "%d rows", n)
		}
		return nil
	}
	set := func(text string, args ...string) error {
		return p.Exec(context.Background(), NewStatement(text, len(args)), args, one)
	}
	if err := set("UPDATE u SET pw = ? WHERE name = ?", "x", "a"); err != nil {
		t.Error(err)
	}
	if err := set("UPDATE u SET pw = ?", "y"); err == nil || !strings.HasSuffix(err.Error(), "2 rows") {
		t.Error(err)
	}
	if got := value(p, "SELECT group_concat(pw) FROM u"); got != "x,2" {
		t.Error(got)
	}
}

// A long answer is read as it goes.
func TestSQLiteEach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	create(t, path, "CREATE TABLE u AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) SELECT 'user' || i AS name FROM n")
	p := openFile(t, Config{Path: path})
	n := 0
	for row, err := range p.Each(context.Background(), NewStatement("SELECT name FROM u", 0), nil) {
		if n++; err != nil || row.Values[0].Text != fmt.Sprintf("user%d", n) {
			t.Fatal(n, row, err)
		}
	}
	if n != 5000 {
		t.Error(n)
	}
}
