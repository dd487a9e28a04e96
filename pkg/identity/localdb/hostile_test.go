package localdb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// breakFile makes a file none of SQLite's.
func breakFile(path string) error {
	return os.WriteFile(path, []byte("This is a text, and no database of any kind, though it is long enough to have a header of one."), 0o600)
}

// sql runs statements on a file as any other program would.
func sql(t testing.TB, path, statements string) {
	t.Helper()
	db, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(statements + "; PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// overwrite fills a file with x from offset on, but for its last page.
func overwrite(t testing.TB, path string, offset int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := offset; i < len(data); i++ {
		data[i] = 'x'
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever the file is, requests fail as an outage whose text names the file
// and says what to do; nobody is refused, nothing panics.
func TestHostileFiles(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, path string)
		says   string
	}{
		{"gone", func(t *testing.T, path string) { _ = os.Remove(path) }, "authd store restore"},
		{"a text", func(t *testing.T, path string) { _ = breakFile(path) }, "is not an SQLite file"},
		{"empty", func(t *testing.T, path string) { _ = os.Truncate(path, 0) }, "it is empty"},
		{"cut", func(t *testing.T, path string) { _ = os.Truncate(path, 4096) }, "is damaged"},
		{"pages overwritten", func(t *testing.T, path string) { overwrite(t, path, 4096) }, "is damaged"},
		{"header overwritten", func(t *testing.T, path string) { overwrite(t, path, 20) }, "is not an SQLite file"},
		{"a folder", func(t *testing.T, path string) { _ = os.Remove(path); _ = os.Mkdir(path, 0o700) }, "not a regular file"},
		{"another program's", func(t *testing.T, path string) { _ = os.Remove(path); sql(t, path, "CREATE TABLE x(y)") }, "another program"},
		{"newer", func(t *testing.T, path string) { sql(t, path, "PRAGMA user_version = 1000") }, "upgrade authd"},
		{"no version", func(t *testing.T, path string) { sql(t, path, "PRAGMA user_version = 0") }, "never was"},
		{"negative version", func(t *testing.T, path string) { sql(t, path, "PRAGMA user_version = -1") }, "never was"},
		{"a table is missing", func(t *testing.T, path string) { sql(t, path, "DROP TABLE app_passwords; DROP TABLE users") }, "no such table"},
		{"fields are no object", func(t *testing.T, path string) {
			sql(t, path, "PRAGMA ignore_check_constraints = ON; UPDATE users SET fields = '[1'")
		}, "column fields"},
		{"a field is a number", func(t *testing.T, path string) { sql(t, path, `UPDATE users SET fields = '{"userdb_mail": 5}'`) }, "neither a text nor true"},
		{"a uid is root's", func(t *testing.T, path string) { sql(t, path, `UPDATE users SET fields = '{"userdb_uid": "0"}'`) }, "not a number above 0"},
		{"a home leads upwards", func(t *testing.T, path string) { sql(t, path, "UPDATE users SET home = '/a/../../etc'") }, "leads upwards"},
		{"an app password is no digest", func(t *testing.T, path string) { sql(t, path, "UPDATE app_passwords SET stored = '{PLAIN}x'") }, "not of our kind"},
		{"a value is enormous", func(t *testing.T, path string) { sql(t, path, "UPDATE users SET password = hex(zeroblob(2000000))") }, "too big"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.add(User{Address: "alice@example.org", Stored: "{PLAIN}a", Enabled: true})
			w.app("alice@example.org", "phone", "imap", noTime)
			if _, err := w.account("alice@example.org", "imap"); err != nil {
				t.Fatal(err)
			}
			check := func(s *Store) (texts string) {
				_, perr := s.Passdb().Lookup(w.ctx(), &request.Request{User: "alice@example.org", Service: "imap"})
				_, uerr := s.Userdb().Lookup(w.ctx(), &request.Request{User: "alice@example.org"})
				for _, err := range []error{perr, uerr} {
					if err == nil {
						continue
					}
					texts += err.Error() + "\n"
					if fail.Is(err, fail.NotFound) || fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), s.Path()) {
						t.Errorf("%v", err)
					}
				}
				return texts
			}
			tc.damage(t, w.Path())
			if got := check(w.Store); !strings.Contains(got, tc.says) {
				t.Errorf("with the file open: %s", got)
			}
			w.Close()
			fresh, err := Open(Config{File: w.Path()}, Options{})
			w.must(err)
			defer fresh.Close()
			if got := check(fresh); !strings.Contains(got, tc.says) {
				t.Errorf("opened anew: %s", got)
			}
		})
	}
}

// The file and its companions are nobody else's business.
func TestModes(t *testing.T) {
	w := newWorld(t, nil)
	w.add(User{Address: "alice@example.org"})
	entries, err := os.ReadDir(filepath.Dir(w.Path()))
	w.must(err)
	if len(entries) != 4 {
		t.Errorf("%v", entries)
	}
	for _, e := range entries {
		info, err := e.Info()
		w.must(err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if info, err := os.Stat(filepath.Dir(w.Path())); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if info, err := os.Stat(w.Path() + "-wal"); err != nil || info.Size() != 0 {
		t.Errorf("the log is not empty: %v", err)
	}
}
