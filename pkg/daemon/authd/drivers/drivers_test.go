package drivers

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// Each driver that a configuration may name can be made, and no other.
func TestTable(t *testing.T) {
	for _, side := range []struct {
		entry any
		has   func(driver) bool
	}{
		{authconf.Passdb{}, func(d driver) bool { return d.passdb != nil }},
		{authconf.Userdb{}, func(d driver) bool { return d.userdb != nil }},
	} {
		typ := reflect.TypeOf(side.entry)
		f, _ := typ.FieldByName("Driver")
		names := strings.Split(f.Tag.Get("oneof"), "|")
		for _, name := range names {
			if d, err := find(name); err != nil || !side.has(d) {
				t.Errorf("%s: driver %s is allowed and not there: %v", typ, name, err)
			}
		}
		n := 0
		for _, d := range table() {
			if side.has(d) {
				n++
			}
		}
		if n != len(names) {
			t.Errorf("%s: %d drivers for %d names", typ, n, len(names))
		}
	}
}

// site is a configuration with everything that can be kept and needs no server.
const site = `databases:
  mail: {driver: sqlite, path: DIR/mail.sqlite}
passdb:
  - {driver: sql, sql: {database: mail, password_query: "SELECT password FROM users WHERE name = '%u'"}}
  - {driver: passwd-file, passwd_file: {path: DIR/users}}
  - {driver: local, local: {file: DIR/users.sqlite}}
userdb:
  - {driver: sql, sql: {database: mail, user_query: "SELECT home FROM users WHERE name = '%u'"}}
  - {driver: passwd-file, passwd_file: {path: DIR/users}}
  - {driver: local, local: {file: DIR/users.sqlite}}
`

// build reads a configuration with DIR replaced and makes its databases.
func build(t *testing.T, dir, text string, old *Set, dry bool) *Set {
	t.Helper()
	c := authconf.Default()
	if err := conf.Parse("f", []byte(strings.ReplaceAll(text, "DIR", dir)), &c); err != nil {
		t.Fatal(err)
	}
	s, err := Build(&c, old, Deps{Now: time.Now, Dry: dry, Report: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Both lists stand on the same connection, file and store. A reload keeps what
// did not change, and closes the rest.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	one := build(t, dir, site, nil, false)
	if len(one.kept) != 3 {
		t.Fatalf("%d resources", len(one.kept))
	}
	two := build(t, dir, site, one, false)
	for key, r := range one.kept {
		if two.kept[key] != r {
			t.Errorf("%s was made anew", key)
		}
	}
	one.CloseUnless(two)
	changed := strings.ReplaceAll(strings.ReplaceAll(site, "mail.sqlite", "other.sqlite"), "  - {driver: local, local: {file: DIR/users.sqlite}}\n", "")
	var local *resource
	for _, r := range two.kept {
		if strings.HasSuffix(r.name, "users.sqlite") {
			local = r
		}
	}
	if err := local.health(); err != nil && !strings.Contains(err.Error(), "empty") {
		t.Errorf("the store was closed too early: %v", err)
	}
	three := build(t, dir, changed, two, false)
	same := 0
	for key, r := range three.kept {
		if two.kept[key] == r {
			same++
		}
	}
	if same != 1 || len(three.kept) != 2 {
		t.Errorf("%d of %d kept, want the file alone", same, len(three.kept))
	}
	two.CloseUnless(three)
	if err := local.health(); err == nil || strings.Contains(err.Error(), "empty") {
		t.Errorf("the store is open still: %v", err)
	}
	three.CloseUnless(nil)
}

// Answers are told apart by all that they depend on, Dovecot's files too.
func TestID(t *testing.T) {
	dir := t.TempDir()
	ids := map[string]string{}
	look := func(what, text string) {
		t.Helper()
		s := build(t, dir, text, nil, true)
		defer s.CloseUnless(nil)
		id := s.Passdb[0].ID
		if other, ok := ids[id]; ok {
			t.Errorf("%s has the id of %s", what, other)
		}
		ids[id] = what
	}
	look("the site", site)
	look("another query", strings.Replace(site, "SELECT password FROM", "SELECT password, 1 AS nologin FROM", 1))
	look("another connection", strings.Replace(site, "mail.sqlite", "other.sqlite", 1))
	look("other schemes", site+"passwords: {allow_schemes: [PLAIN]}\n")
	file := filepath.Join(dir, "sql.ext")
	for _, query := range []string{"SELECT 1", "SELECT 2"} {
		text := "driver = sqlite\nconnect = " + dir + "/mail.sqlite\npassword_query = " + query + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		look("Dovecot's file with "+query, "passdb: [{driver: sql, sql: {dovecot_file: DIR/sql.ext}}]")
	}
	a, b := build(t, dir, site, nil, true), build(t, dir, site, nil, true)
	if a.Passdb[0].ID != b.Passdb[0].ID || a.Passdb[0].ID == a.Userdb[0].ID {
		t.Error("ids of the same, or of the two sides")
	}
}

// To try settings changes nothing.
func TestDry(t *testing.T) {
	dir := t.TempDir()
	s := build(t, dir, site, nil, true)
	s.CloseUnless(nil)
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Error(files, err)
	}
	if _, err := s.Userdb[2].Driver.Lookup(t.Context(), &request.Request{}); err == nil {
		t.Error("a store that was not opened answers")
	}
}

// A database that cannot be asked is visible before anybody asks.
func TestHealth(t *testing.T) {
	dir := t.TempDir()
	s := build(t, dir, "passdb: [{driver: passwd-file, passwd_file: {path: DIR/missing}}]\nuserdb: [{driver: passwd-file, passwd_file: {path: DIR/missing}}]", nil, false)
	if err := s.Health()[dir+"/missing"]; err == nil {
		t.Error("a missing file is healthy")
	}
	if err := os.WriteFile(filepath.Join(dir, "missing"), []byte("a:{PLAIN}x:::::\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Health()[dir+"/missing"]; err != nil {
		t.Error(err)
	}
	if got, want := s.Status()[dir+"/missing"], map[string]any{"count": 1, "problems": 0}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

// What of Dovecot's settings means something else here is said once.
func TestNotes(t *testing.T) {
	dir := t.TempDir()
	text := "uris = ldap://localhost\nbase = dc=x\nuser_filter = (uid=%u)\npass_filter = (uid=%u)\nblocking = yes\ndebug_level = 1\n"
	if err := os.WriteFile(filepath.Join(dir, "ldap.ext"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := "passdb: [{driver: ldap, ldap: {dovecot_file: DIR/ldap.ext}}]\nuserdb: [{driver: ldap, ldap: {dovecot_file: DIR/ldap.ext}}]"
	one := build(t, dir, cfg, nil, false)
	defer one.CloseUnless(nil)
	if notes := one.Notes(nil); len(notes) == 0 || !strings.HasPrefix(notes[0], dir+"/ldap.ext: ") {
		t.Error(notes)
	}
	if notes := build(t, dir, cfg, one, false).Notes(one); len(notes) != 0 {
		t.Error("said again:", notes)
	}
}

// Mistakes that only making the databases shows name the entry.
func TestBuildErrors(t *testing.T) {
	c := authconf.Default()
	c.Userdb[0].Driver = "static"
	c.Userdb[0].Static = nil
	if _, err := Build(&c, nil, Deps{Now: time.Now, Dry: true}); err == nil || !strings.HasPrefix(err.Error(), "userdb[0]: ") {
		t.Error(err)
	}
	c = authconf.Default()
	c.Passdb[0].Driver = "prefetch"
	if _, err := Build(&c, nil, Deps{Now: time.Now, Dry: true}); err == nil || !strings.Contains(err.Error(), "knows no passwords") {
		t.Error(err)
	}
}
