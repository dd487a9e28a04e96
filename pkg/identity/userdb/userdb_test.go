package userdb

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestTemplate(t *testing.T) {
	for _, tc := range []struct{ text, user, want string }{
		{"/var/mail/%d/%n", "alice@example.org", "/var/mail/example.org/alice"},
		{"/m/%1n/%n", "alice@example.org", "/m/a/alice"},
		{"/m/%2n/%n", "ü@x", "/m/ü/ü"},
		{"/m/%u", "alice", "/m/alice"},
		{"/m/%{domain}/%{username}/%{user}", "a@b", "/m/b/a/a@b"},
		{"/m/%Un%Ld", "a@B", "/m/Ab"},
		{"100%%", "a@b", "100%"},
		{"", "a@b", ""},
		// Once: what a value holds is not looked at again.
		{"/m/%n", "%d%n@evil", "/m/%d%n"},
		{"%n%%n", "%u@x", "%u%n"},
	} {
		tpl, err := ParseTemplate(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if got := tpl.Expand(tc.user); got != tc.want {
			t.Errorf("%s of %s: %s", tc.text, tc.user, got)
		}
	}
	for _, bad := range []string{"%", "/%x", "%{home}", "%0n", "%65n", "%999999999999n", "%1", "%L", "%{user"} {
		if _, err := ParseTemplate(bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestExpandPath(t *testing.T) {
	tpl, _ := ParseTemplate("/var/mail/%d/%n")
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
}

func fileOf(t *testing.T, text string, d Defaults) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return NewFile(passwdfile.Open(path, nil), d)
}

func TestFile(t *testing.T) {
	home, _ := ParseTemplate("/var/mail/%d/%n")
	f := fileOf(t, `alice@example.org:x
bob@example.org:x:1000:1001::/home/bob::userdb_mail=maildir:~/M userdb_uid=1002
broken@other.example:x:abc
Cloe@XN--Bcher-KVA.example:x
bare:x
`, Defaults{UID: -1, GID: 5000, Home: home, Fields: []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}}})
	def := []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}}
	for user, want := range map[string]Record{
		"alice@example.org":   {"alice@example.org", -1, 5000, "/var/mail/example.org/alice", def},
		"bob@example.org":     {"bob@example.org", 1002, 1001, "/home/bob", []account.Field{{Key: "mail", Value: "maildir:~/M"}}},
		"cloe@bücher.example": {"cloe@bücher.example", -1, 5000, "/var/mail/bücher.example/cloe", def},
	} {
		if got, err := f.Lookup(t.Context(), user); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v", user, got, err)
		}
	}
	for user, kind := range map[string]fail.Kind{
		"nobody@example.org": fail.NotFound, "broken@other.example": fail.Unavailable, "bare": fail.Unavailable,
	} {
		if _, err := f.Lookup(t.Context(), user); !fail.Is(err, kind) {
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
	domains := Domains{Configured: []string{"Extra.example"}, Users: Chain{f}}
	for domain, want := range map[string]bool{
		"example.org": true, "EXAMPLE.ORG.": true, "extra.example": true, "other.example": true,
		"bücher.example": true, "xn--bcher-kva.example": true, "sub.example.org": false, "": false, "nobody.example": false,
	} {
		if got, err := domains.Ours(t.Context(), domain); got != want || err != nil {
			t.Errorf("%q is ours: %v %v", domain, got, err)
		}
	}
}

// down is a database that cannot be asked.
type down struct{}

func (down) Lookup(context.Context, string) (Record, error) {
	return Record{}, fail.New(fail.Unavailable, "down")
}

func (down) List(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", fail.New(fail.Unavailable, "down")) }
}

func (down) HasDomain(context.Context, string) (bool, error) {
	return false, fail.New(fail.Unavailable, "down")
}

// A database that is down hides nothing the other knows, and makes the rest
// unknown rather than absent.
func TestChain(t *testing.T) {
	f := fileOf(t, "alice@example.org:x::::/h\n", Defaults{UID: -1, GID: -1})
	for name, c := range map[string]Chain{"down first": {down{}, f}, "down last": {f, down{}}} {
		if r, err := c.Lookup(t.Context(), "alice@example.org"); err != nil || r.Home != "/h" {
			t.Errorf("%s: %+v %v", name, r, err)
		}
		if _, err := c.Lookup(t.Context(), "bob@example.org"); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if has, err := c.HasDomain(t.Context(), "example.org"); !has || err != nil {
			t.Errorf("%s: %v %v", name, has, err)
		}
		if _, err := (Domains{Users: c}).Ours(t.Context(), "example.com"); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		var last error
		for _, err := range c.List(t.Context()) {
			last = err
		}
		if last == nil {
			t.Errorf("%s: a partial list ends as if it were whole", name)
		}
	}
	if _, err := (Chain{f}).Lookup(t.Context(), "bob"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
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
