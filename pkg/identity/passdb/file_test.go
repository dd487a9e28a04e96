package passdb

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/rule"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	text := `alice@example.org:{PLAIN}pw::::::nologin host=%{domain} userdb_mail=maildir:/m/%n
bob@example.org:pw
open@example.org:::::::nopassword
both@example.org:{PLAIN}pw::::::nopassword
renamed@example.org:{PLAIN}pw::::::user=Other@example.org
locked@example.org:!pw
wrong@example.org:{PLAIN}pw::::::host=%{nosuch}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := passwdfile.NewDB(passwdfile.Config{Path: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := newChain(t, Entry{Name: "passwd-file", Driver: NewFile(file, "PLAIN"), Rules: rule.Defaults()})
	for _, tc := range []struct{ user, password, want string }{
		{"alice@example.org", "pw", "ok"},
		{"bob@example.org", "pw", "ok"},
		{"bob@example.org", "no", "Password mismatch"},
		{"open@example.org", "anything", "ok"},
		{"both@example.org", "pw", "outage"},
		{"renamed@example.org", "pw", "ok"},
		{"locked@example.org", "pw", "Password mismatch (the account is locked)"},
		{"wrong@example.org", "pw", "outage"},
		{"nobody@example.org", "pw", "unknown user"},
	} {
		r := login(tc.user)
		if _, err := c.Password(t.Context(), r, tc.password); outcome(err) != tc.want {
			t.Errorf("%s: %v", tc.user, err)
		}
		switch {
		case tc.user == "alice@example.org" && (list(r.Passdb) != "nologin= host=example.org" || list(r.Userdb) != "mail=maildir:/m/alice"):
			t.Errorf("%s | %s", list(r.Passdb), list(r.Userdb))
		case tc.user == "renamed@example.org" && r.User != "other@example.org":
			t.Error(r.User)
		}
	}
	r := login("bob@example.org")
	if err := NewFile(file, "PLAIN").SetPassword(t.Context(), r, "{PLAIN}new"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Password(t.Context(), r, "new"); err != nil {
		t.Error(err)
	}
}
