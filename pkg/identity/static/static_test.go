package static

import (
	"context"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestPass(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := disk.WriteFile(disk.OS(), file, []byte("{PLAIN}pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &request.Request{User: "alice@example.org"}
	for _, tc := range []struct {
		name string
		conf PassConfig
		want passdb.Account
	}{
		{"one password", PassConfig{PasswordFile: conf.SecretFile(file)}, passdb.Account{User: r.User, Stored: "{PLAIN}pw"}},
		{"proxy", PassConfig{NoPassword: true, Fields: map[string]string{"host": "%{domain}", "userdb_home": "/h/%n"}}, passdb.Account{
			User: r.User, NoPassword: true, Fields: []account.Field{{Key: "host", Value: "example.org"}}, Userdb: []account.Field{{Key: "home", Value: "/h/alice"}},
		}},
	} {
		p, err := NewPass(tc.conf)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Lookup(t.Context(), r); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v %v", tc.name, got, err)
		}
	}
	if _, err := NewPass(PassConfig{PasswordFile: "/nonexistent"}); err == nil {
		t.Error("a password file that is missing")
	}
}

func TestUsers(t *testing.T) {
	exists := func(_ context.Context, r *request.Request) error {
		switch r.User {
		case "alice@example.org":
			return nil
		case "down@example.org":
			return fail.New(fail.Unavailable, "down")
		}
		return fail.New(fail.NotFound, "no user")
	}
	u, err := NewUsers(UserConfig{Fields: map[string]string{"uid": "5000", "gid": "5001", "home": "/m/%d/%n", "mail": "maildir:~/Maildir"}}, exists)
	if err != nil {
		t.Fatal(err)
	}
	got, err := u.Lookup(t.Context(), &request.Request{User: "alice@example.org"})
	want := userdb.Record{
		User: "alice@example.org", UID: 5000, GID: 5001, Home: "/m/example.org/alice",
		Fields: []account.Field{{Key: "mail", Value: "maildir:~/Maildir"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	for user, kind := range map[string]fail.Kind{"bob@example.org": fail.NotFound, "down@example.org": fail.Unavailable} {
		if _, err := u.Lookup(t.Context(), &request.Request{User: user}); !fail.Is(err, kind) {
			t.Errorf("%s: %v", user, err)
		}
	}
	// A name cannot lead a home elsewhere.
	all, err := NewUsers(UserConfig{Fields: map[string]string{"home": "/m/%u"}, AllowAllUsers: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := all.Lookup(t.Context(), &request.Request{User: "../../etc"}); !fail.Is(err, fail.Unavailable) {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := NewUsers(UserConfig{}, nil); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
}
