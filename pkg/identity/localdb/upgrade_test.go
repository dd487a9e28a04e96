package localdb

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// old puts a store of an earlier version into a folder of the test.
func old(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".sqlite.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users.sqlite")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file of version 1 says what it always said, and takes what is new.
func TestUpgradeFromVersion1(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Options) { c.File = old(t, "version-1") })
	ctx := w.ctx()
	for _, tc := range []struct{ user, service, password, want string }{
		{"alice@example.org", "imap", "main", "main"},
		{"bob@example.org", "imap", "abcd-efgh-jkmn-pqrs-tuvw", "phone"},
		{"bob@example.org", "pop3", "abcd-efgh-jkmn-pqrs-tuvw", "no"},
	} {
		if got, err := w.verify(tc.user, tc.service, tc.password); got != tc.want || err != nil {
			t.Errorf("%+v: %s %v", tc, got, err)
		}
	}
	alice, err := w.User(ctx, "alice@example.org")
	if err != nil || alice.Quota != (Quota{1 << 30, 1000}) || alice.UID != 1000 || alice.GID != 1001 || alice.Home != "/home/alice" || len(alice.Fields) != 2 ||
		!alice.Created.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v %v", alice, err)
	}
	if off, err := w.account("off@example.org", "imap"); err != nil || !off.Disabled {
		t.Errorf("%+v %v", off, err)
	}
	if got := names(w.Aliases(ctx, "info@example.net")) + ", " + names(w.Senders(ctx, "info@example.net")); got != "alice@example.org x@elsewhere.example, alice@example.org" {
		t.Error(got)
	}
	if list, err := w.AppPasswords(ctx, "bob@example.org"); err != nil || len(list) != 3 || list[1].Revoked.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
	f, err := w.Check(ctx)
	if err != nil || f.Version != len(steps()) || len(f.Problems) != 0 || f.Users != 3 || f.Domains != 3 || f.Aliases != 1 || f.AppPasswords != 3 {
		t.Errorf("%+v %v", f, err)
	}
	w.app("bob@example.org", "new", "imap", noTime)
	a, err := w.account("bob@example.org", "imap")
	if err != nil || len(a.Alternatives) != 2 || a.Alternatives[0].Stored != "" || !strings.HasPrefix(a.Alternatives[1].Stored, "{SCRAM-SHA-256}") {
		t.Errorf("%+v %v", a, err)
	}
}

// A step that fails leaves the version that was.
func TestUpgradeIsWholeOrNot(t *testing.T) {
	path := old(t, "version-1")
	broken := append(steps(), "CREATE TABLE new(x) STRICT; this is no SQL")
	if _, err := openConn(t.Context(), path, broken, 0); err == nil {
		t.Fatal("upgraded")
	}
	c, err := openConn(t.Context(), path, steps()[:1], 0)
	if err != nil {
		t.Fatal(err)
	}
	c.close()
	c, err = openConn(t.Context(), path, append(steps(), "CREATE TABLE new(x ANY) STRICT"), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if when, err := c.text("SELECT value FROM meta WHERE key = 'version_3'"); when != "7" || err != nil {
		t.Errorf("%s %v", when, err)
	}
	if _, err := openConn(t.Context(), path, steps(), 0); !fail.Is(err, fail.Unavailable) || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("an older authd: %v", err)
	}
}
