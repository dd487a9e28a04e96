package userdb

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestExpandPath(t *testing.T) {
	tpl, err := ParseTemplate("/var/mail/%d/%n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tpl.ExpandPath("a@b"); got != "/var/mail/b/a" || err != nil {
		t.Error(got, err)
	}
	for _, user := range []string{"", "../../etc@b", "a/b@c", "a@..", ".@b", "bare", "a\x00@b"} {
		if got, err := tpl.ExpandPath(user); err == nil {
			t.Errorf("%q lives in %s", user, got)
		}
	}
	rel, _ := ParseTemplate("mail/%n")
	if _, err := rel.ExpandPath("a@b"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	// What a peer says of itself is a part of a path at most.
	host, _ := ParseTemplate("/m/%{local_name}/%n")
	if got, err := host.PathFor(&request.Request{User: "a@b", LocalName: "/etc/x"}); got != "/m/_etc_x/a" || err != nil {
		t.Error(got, err)
	}
	if got, err := host.PathFor(&request.Request{User: "a@b", LocalName: ".."}); err == nil {
		t.Error(got)
	}
	if _, err := ParseTemplate("/m/%{nosuch}"); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
}

func fileOf(t *testing.T, text string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := passwdfile.NewDB(passwdfile.Config{Path: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewFile(db)
}

func TestFile(t *testing.T) {
	home, _ := ParseTemplate("/var/mail/%d/%n")
	f := fileOf(t, `alice@example.org:x
bob@example.org:x:1000:1001::/home/bob::userdb_mail=maildir:~/%n userdb_uid=1002
broken@other.example:x:abc
Cloe@XN--Bcher-KVA.example:x
bare:x
`)
	c := &Chain{
		Entries:  []Entry{{Name: "passwd-file", Driver: f, Rules: rule.Defaults()}},
		Defaults: Defaults{UID: -1, GID: 5000, Home: home, Fields: []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}}},
	}
	def := []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}}
	for user, want := range map[string]Record{
		"alice@example.org":   {"alice@example.org", -1, 5000, "/var/mail/example.org/alice", def},
		"bob@example.org":     {"bob@example.org", 1002, 1001, "/home/bob", []account.Field{{Key: "mail", Value: "maildir:~/bob"}}},
		"cloe@bücher.example": {"cloe@bücher.example", -1, 5000, "/var/mail/bücher.example/cloe", def},
	} {
		if got, err := c.Lookup(t.Context(), lookup(user)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v", user, got, err)
		}
	}
	for user, kind := range map[string]fail.Kind{
		"nobody@example.org": fail.NotFound, "broken@other.example": fail.Unavailable, "bare": fail.Unavailable,
	} {
		if _, err := c.Lookup(t.Context(), lookup(user)); !fail.Is(err, kind) {
			t.Errorf("%s: %v", user, err)
		}
	}
	var names []string
	for name, err := range f.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "alice@example.org bob@example.org cloe@bücher.example bare" {
		t.Error(got)
	}
	domains := Domains{Configured: []string{"Extra.example"}, Users: c}
	for domain, want := range map[string]bool{
		"example.org": true, "EXAMPLE.ORG.": true, "extra.example": true, "other.example": true,
		"bücher.example": true, "xn--bcher-kva.example": true, "sub.example.org": false, "": false, "nobody.example": false,
	} {
		if got, err := domains.Ours(t.Context(), domain); got != want || err != nil {
			t.Errorf("%q is ours: %v %v", domain, got, err)
		}
	}
}

// A file for each domain: one that is missing has no users.
func TestFileOfDomain(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "example.org"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "example.org", "users"), []byte("alice:x::::/h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := passwdfile.NewDB(passwdfile.Config{Path: dir + "/%{domain}/users", Username: "%{username}"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := NewFile(db)
	if rec, err := f.Lookup(t.Context(), lookup("alice@example.org")); err != nil || rec.Home != "/h" || rec.User != "alice@example.org" {
		t.Errorf("%+v %v", rec, err)
	}
	for _, user := range []string{"bob@example.org", "alice@example.com", "alice", "alice@..", "alice@.", "alice@a/../example.org"} {
		if _, err := f.Lookup(t.Context(), lookup(user)); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", user, err)
		}
	}
	for domain, want := range map[string]bool{"example.org": true, "example.com": false, "..": false} {
		if got, err := f.HasDomain(t.Context(), domain); got != want || err != nil {
			t.Errorf("%s: %v %v", domain, got, err)
		}
	}
	for _, err := range f.List(t.Context()) {
		if !fail.Is(err, fail.Permanent) {
			t.Error(err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("/m/%d/%2n", "a@b")
	f.Fuzz(func(t *testing.T, text, user string) {
		tpl, err := ParseTemplate(text)
		if err != nil {
			return
		}
		if home, err := tpl.ExpandPath(user); err == nil && account.CheckHome(home) != nil {
			t.Fatalf("%q of %q: %q", text, user, home)
		}
	})
}
