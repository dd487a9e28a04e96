package sqltable

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// newDatabase makes a file with the tables that installations have.
func newDatabase(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mail.sqlite")
	c, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Exec(`CREATE TABLE alias (address TEXT, goto TEXT, active INT);
		INSERT INTO alias VALUES ('joe@a.example', 'joe@b.example', 1), ('list@a.example', 'x@b.example', 1), ('list@a.example', 'y@b.example', 1),
			('old@a.example', 'z@b.example', 0), ('o''hara@a.example', 'ok@b.example', 1), ('null@a.example', NULL, 1), ('@c.example', '@d.example', 1);
		CREATE TABLE domain (name TEXT);
		INSERT INTO domain VALUES ('a.example'), ('b.example')`); err != nil {
		t.Fatal(err)
	}
	return path
}

// open makes a table of the settings.
func open(t *testing.T, kind, settings string) lookup.Table {
	t.Helper()
	file := filepath.Join(t.TempDir(), "table.cf")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := lookup.Open(kind+":"+file, lookup.Options{Drivers: map[string]lookup.Driver{kind: Driver(kind, &Pools{})}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.(interface{ Close() error }).Close() })
	return table
}

func answer(t *testing.T, table lookup.Table, key string) string {
	t.Helper()
	value, err := table.Lookup(t.Context(), key)
	if err != nil {
		return fail.KindOf(err).String()
	}
	return value
}

func TestLookup(t *testing.T) {
	path := "dbpath = " + newDatabase(t) + "\n"
	const forward = "query = SELECT goto FROM alias WHERE address = '%s' AND active = 1\n"
	for _, tc := range []struct{ settings, key, want string }{
		{forward, "joe@a.example", "joe@b.example"},
		{forward, "JOE@A.Example", "joe@b.example"},
		{forward, "list@a.example", "x@b.example,y@b.example"},
		{forward, "old@a.example", "not found"},
		{forward, "null@a.example", "not found"},
		{forward, "@c.example", "@d.example"},
		{forward + "result_format = %u\n", "joe@a.example", "joe"},
		{forward + "expansion_limit = 1\n", "list@a.example", "invalid"},
		{forward + "domain = b.example\n", "joe@a.example", "not found"},
		{forward + "domain = a.example, b.example\n", "joe@a.example", "joe@b.example"},
		{forward + "domain = c.example\n", "@c.example", "not found"},
		{forward + "domain = fail:x\n", "joe@a.example", "unavailable"},
		// The settings from before there was query.
		{"table = alias\nselect_field = goto\nwhere_field = address\nadditional_conditions = AND active = 1\n", "joe@a.example", "joe@b.example"},
		{"table = alias\nselect_field = goto\nwhere_field = address\nadditional_conditions = AND active = 1\n", "old@a.example", "not found"},
		// A key without what the query needs.
		{"query = SELECT goto FROM alias WHERE address = '%u@%d'\n", "joe", "not found"},
		{"query = SELECT goto FROM alias WHERE address = '%u@%d'\n", "joe@a.example", "joe@b.example"},
		{"query = SELECT name FROM domain WHERE name = '%2.%1'\n", "joe@sub.a.example", "a.example"},
		{"query = SELECT name FROM domain WHERE name = '%s' OR '%2' = 'a'\n", "a.example", "not found"},
		{"query = SELECT 'yes' FROM domain WHERE name = '%s'\n", "a.example", "yes"},
		// Quotes that the key brings along stay in the value.
		{forward, "o'hara@a.example", "ok@b.example"},
		{forward, "' OR '1'='1", "not found"},
		{forward, "'; DROP TABLE alias; --", "not found"},
		{forward, `\' OR 1=1 -- `, "not found"},
		{forward, "joe@a.example\x00", "not found"},
		{forward, "joe\xff@a.example", "not found"},
		{"query = SELECT goto FROM alias WHERE address = %s\n", "1 OR 1=1", "not found"},
		{"query = SELECT '%u' || '@' || name FROM domain WHERE name = '%d'\n", "x' || 'y@a.example", "x' || 'y@a.example"},
		// What is wrong with a file or a query is an outage, too.
		{"query = SELECT goto FROM nowhere\n", "joe@a.example", "unavailable"},
		{"query = SELECT '%x'\n", "joe@a.example", "unavailable"},
		{"", "joe@a.example", "unavailable"},
		{"expansion_limit = many\n" + forward, "joe@a.example", "unavailable"},
	} {
		table := open(t, "sqlite", path+tc.settings)
		if got := answer(t, table, tc.key); got != tc.want {
			t.Errorf("%s%q: %s, want %s", tc.settings, tc.key, got, tc.want)
		}
	}
	if got := answer(t, open(t, "sqlite", "dbpath = /nonexistent/db\n"+forward), "a@b"); got != "unavailable" {
		t.Error(got)
	}
}

// No key makes the database do anything but compare.
func TestHostileKeys(t *testing.T) {
	path := newDatabase(t)
	table := open(t, "sqlite", "dbpath = "+path+"\nquery = SELECT goto FROM alias WHERE address = '%s' OR address = '%u@%d'\n")
	for _, a := range []string{"'", `"`, "\\", ";", "--", "/*", "%s", "$1", "?", "\n", "||", "''", "x' UNION SELECT name FROM domain --"} {
		for _, key := range []string{a, a + "@a.example", "joe" + a + "@a.example", "joe@" + a} {
			if got := answer(t, table, key); got != "not found" {
				t.Errorf("%q: %s", key, got)
			}
		}
	}
	if got := answer(t, table, "joe@a.example"); got != "joe@b.example" {
		t.Error(got)
	}
}

// A file that was changed is read again, and its old connections are closed.
func TestFileChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.cf")
	write := func(query string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("dbpath = "+newDatabase(t)+"\nquery = "+query+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().Add(time.Hour)
	pools := &Pools{}
	o := lookup.Options{Now: func() time.Time { return now }, Drivers: map[string]lookup.Driver{"sqlite": Driver("sqlite", pools)}}
	table, err := lookup.Open("sqlite:"+file, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer(t, table, "x"); got != "unavailable" {
		t.Error(got)
	}
	for _, want := range []string{"one", "second"} {
		write("SELECT '" + want + "'")
		now = now.Add(time.Minute)
		if got := answer(t, table, "x"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if len(pools.Status()) != 1 {
			t.Errorf("%d pools", len(pools.Status()))
		}
	}
	if err := table.(interface{ Close() error }).Close(); err != nil || len(pools.Status()) != 0 {
		t.Errorf("%v, %d pools", err, len(pools.Status()))
	}
	if got := answer(t, table, "x"); got != "unavailable" {
		t.Error(got)
	}
}

// Tables of the same database share its connections.
func TestPoolsAreShared(t *testing.T) {
	path := newDatabase(t)
	pools := &Pools{}
	for _, query := range []string{"SELECT 'a'", "SELECT 'b'"} {
		file := filepath.Join(t.TempDir(), "table.cf")
		if err := os.WriteFile(file, []byte("dbpath = "+path+"\nquery = "+query+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := Driver("sqlite", pools)(file, lookup.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := lookup.Check(t.Context(), table); err != nil {
			t.Error(err)
		}
	}
	if n := len(pools.Status()); n != 1 {
		t.Errorf("%d pools", n)
	}
}

// How Postfix's settings reach a server.
func TestConfig(t *testing.T) {
	for _, tc := range []struct{ kind, settings, hosts, rest string }{
		{"mysql", "hosts = inet:db1:3307, unix:/run/x.sock db2", "/run/x.sock db1:3307 db2", "u d disable "},
		{"mysql", "hosts = a b", "a b", "u d disable round_robin"},
		{"mysql", "hosts = a\ntls_CAfile = /ca", "a", "u d require "},
		{"mysql", "hosts = a\ntls_CAfile = /ca\ntls_verify_cert = yes", "a", "u d verify-full "},
		{"pgsql", "", "/var/run/postgresql", "u d prefer "},
		{"pgsql", "hosts = unix:/run/pg localhost", "/run/pg localhost", "u d prefer "},
		{"pgsql", "hosts = postgresql://me:pw@db.example/mail?sslmode=require", "db.example:5432", "me mail require "},
		{"pgsql", "hosts = postgresql:///mail", "/var/run/postgresql", "u mail prefer "},
	} {
		f, err := cf.Read("f", strings.NewReader("user = u\ndbname = d\npassword = p\n"+tc.settings), func(text.Problem) {})
		if err != nil {
			t.Fatal(err)
		}
		cfg, identity := database(tc.kind, f)
		if err := f.Err(); err != nil {
			t.Error(err)
		}
		if got := strings.Join(cfg.Hosts, " "); got != tc.hosts {
			t.Errorf("%s: hosts %s, want %s", tc.settings, got, tc.hosts)
		}
		if got := cfg.User + " " + cfg.DBName + " " + cfg.TLS.Mode + " " + cfg.Balance; got != tc.rest {
			t.Errorf("%s: %s, want %s", tc.settings, got, tc.rest)
		}
		if identity == "" {
			t.Error("no identity")
		}
	}
	if got := answer(t, open(t, sqlpool.MySQL, "hosts = unix:/nonexistent/socket\nuser = u\ndbname = d\nquery = SELECT '%s'\n"), "x"); got != "unavailable" {
		t.Error(got)
	}
}
