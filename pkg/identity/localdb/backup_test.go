package localdb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func (w *world) has(user string) bool {
	w.t.Helper()
	_, err := w.account(user, "imap")
	if err != nil && !fail.Is(err, fail.NotFound) {
		w.t.Error(err)
	}
	return err == nil
}

// A store in use is copied, changed, and put back in each way in which somebody
// might do it; the daemon goes on with what is there now.
func TestReplacedWhileInUse(t *testing.T) {
	move := func(t *testing.T, from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name string
		put  func(t *testing.T, w *world, from string)
	}{
		{"by authd store restore", func(t *testing.T, w *world, from string) {
			if _, err := w.Restore(w.ctx(), from); err != nil {
				t.Fatal(err)
			}
		}},
		{"by another process's restore", func(t *testing.T, w *world, from string) {
			other, err := Open(Config{File: w.Path()}, Options{})
			w.must(err)
			defer other.Close()
			if _, err := other.Restore(w.ctx(), from); err != nil {
				t.Fatal(err)
			}
		}},
		{"renamed", func(t *testing.T, w *world, from string) { move(t, from, w.Path()) }},
		{"copied over it", func(t *testing.T, w *world, from string) {
			data, err := os.ReadFile(from)
			w.must(err)
			w.must(os.WriteFile(w.Path(), data, 0o600))
		}},
		{"away and back", func(t *testing.T, w *world, from string) {
			move(t, w.Path(), from+".gone")
			if _, err := w.account("alice@example.org", "imap"); !fail.Is(err, fail.Unavailable) {
				t.Errorf("while there is none: %v", err)
			}
			if err := w.AddUser(w.ctx(), User{Address: "x@example.org"}); !fail.Is(err, fail.Unavailable) {
				t.Errorf("while there is none: %v", err)
			}
			move(t, from, w.Path())
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			backup := filepath.Join(filepath.Dir(w.Path()), "backup")
			w.add(User{Address: "alice@example.org"})
			w.fillMore("before", 300)
			w.must(w.Backup(w.ctx(), backup))
			w.add(User{Address: "bob@example.org"})
			if _, err := w.DeleteUser(w.ctx(), "alice@example.org"); err != nil {
				t.Fatal(err)
			}
			w.fillMore("after", 900)
			if w.has("alice@example.org") || !w.has("bob@example.org") {
				t.Fatal("the store is not what was written")
			}
			tc.put(t, w, backup)
			if !w.has("alice@example.org") || w.has("bob@example.org") || !w.has("before17@example.org") || w.has("after17@example.org") {
				t.Error("the daemon does not use what was restored")
			}
			w.add(User{Address: "carol@example.org"})
			if f, err := w.Check(w.ctx()); err != nil || len(f.Problems) > 0 || f.Users != 302 {
				t.Errorf("%+v %v", f, err)
			}
			w.Close()
			again, err := Open(Config{File: w.Path()}, Options{})
			w.must(err)
			defer again.Close()
			if _, err := again.User(w.ctx(), "carol@example.org"); err != nil {
				t.Errorf("what was written after the restore: %v", err)
			}
		})
	}
}

// fillMore adds n users so that the store has some hundred pages.
func (w *world) fillMore(prefix string, n int) {
	w.t.Helper()
	w.must(w.write(w.ctx(), func(c *conn) error {
		return c.run(`WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ?2)
			INSERT INTO users(address, domain, password, password_changed, created) SELECT ?1 || i || '@example.org', 'example.org', hex(randomblob(50)), 0, 0 FROM s`, prefix, n)
	}))
}

func TestRestoreRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.add(User{Address: "alice@example.org"})
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	w.must(breakFile(path("text")))
	w.must(os.WriteFile(path("empty"), nil, 0o600))
	sql(t, path("other"), "CREATE TABLE x(y)")
	w.must(w.Backup(w.ctx(), path("damaged")))
	overwrite(t, path("damaged"), 5*4096)
	w.must(w.Backup(w.ctx(), path("rows")))
	sql(t, path("rows"), `UPDATE users SET fields = '{"nopassword": true}'`)
	w.must(w.Backup(w.ctx(), path("newer")))
	sql(t, path("newer"), "PRAGMA user_version = 1000")
	for _, tc := range []struct{ file, says string }{
		{"none", "unable to open"},
		{"text", "not a database"},
		{"empty", "it is empty"},
		{"other", "another program"},
		{"damaged", "malformed"},
		{"rows", "nopassword"},
		{"newer", "version 1000"},
	} {
		if _, err := w.Restore(w.ctx(), path(tc.file)); err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path(tc.file)) {
			t.Errorf("%s: %v", tc.file, err)
		}
	}
	if !w.has("alice@example.org") {
		t.Error("a restore that failed changed the store")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(w.Path()), ".*")); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A store of whatever state is replaced.
func TestRestoreOverRuins(t *testing.T) {
	for name, ruin := range map[string]func(path string) error{
		"gone":     os.Remove,
		"a text":   breakFile,
		"empty":    func(path string) error { return os.Truncate(path, 0) },
		"cut":      func(path string) error { return os.Truncate(path, 8192) },
		"old logs": func(path string) error { return os.WriteFile(path+"-wal", []byte("what a crash left"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.add(User{Address: "alice@example.org"})
			backup := filepath.Join(t.TempDir(), "backup")
			w.must(w.Backup(w.ctx(), backup))
			w.Close()
			w.must(ruin(w.Path()))
			var err error
			w.Store, err = Open(Config{File: w.Path()}, Options{})
			w.must(err)
			defer w.Close()
			if f, err := w.Restore(w.ctx(), backup); err != nil || f.Users != 1 {
				t.Fatalf("%+v %v", f, err)
			}
			if !w.has("alice@example.org") {
				t.Error("not restored")
			}
		})
	}
}

func TestBackup(t *testing.T) {
	w := newWorld(t, nil)
	w.add(User{Address: "alice@example.org", Stored: "{PLAIN}a"})
	to := filepath.Join(t.TempDir(), "backup")
	for range 2 { // the second replaces the first
		w.must(w.Backup(w.ctx(), to))
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(to)); err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
	if err := w.Backup(w.ctx(), w.Path()); !fail.Is(err, fail.Invalid) {
		t.Errorf("onto itself: %v", err)
	}
	if err := w.Backup(w.ctx(), "/nonexistent/backup"); err == nil {
		t.Error("into nothing")
	}
}

func TestCheckFinds(t *testing.T) {
	for _, tc := range []struct{ sql, says string }{
		{"INSERT INTO users(address, password_changed, created) VALUES ('Alice', 0, 0)", "not in canonical form"},
		{"INSERT INTO users(address, password_changed, created) VALUES ('a/b', 0, 0)", "contains /"},
		{`UPDATE users SET fields = '{"nopassword": true}'`, "nopassword is not supported"},
		{"UPDATE users SET home = '../x'", "not an absolute path"},
		{"UPDATE users SET fields = '{\"x\": 1}'", "neither a text nor true"},
		{"UPDATE app_passwords SET stored = 'x'", "app password phone"},
		{"UPDATE app_passwords SET scopes = 'imap,telnet'", "telnet"},
		{"INSERT INTO aliases VALUES ('a@example.org', 'zoe@example.org', 'example.org', 1, 0, 0)", "leads to zoe@example.org"},
		{"PRAGMA foreign_keys = OFF; UPDATE users SET domain = 'other.example'", "belongs to a row of domains that is missing"},
		{"PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'users_domain'", "never used"},
	} {
		w := newWorld(t, nil)
		w.add(User{Address: "alice@example.org"})
		w.app("alice@example.org", "phone", "imap", noTime)
		if f, err := w.Check(w.ctx()); err != nil || len(f.Problems) != 0 || f.Users != 1 || f.Version != len(steps()) {
			t.Fatalf("%+v %v", f, err)
		}
		sql(t, w.Path(), tc.sql)
		if f, err := w.Check(w.ctx()); err != nil || !strings.Contains(strings.Join(f.Problems, "\n"), tc.says) {
			t.Errorf("%s: %+v %v", tc.sql, f, err)
		}
	}
}
