package passdb

import (
	"reflect"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestFromFields(t *testing.T) {
	f := func(key, value string) account.Field { return account.Field{Key: key, Value: value} }
	for _, tc := range []struct {
		name   string
		fields []account.Field
		want   Account
	}{
		{"default scheme", []account.Field{f("password", "x")}, Account{User: "a@b", Stored: "{CRYPT}x"}},
		{"own scheme", []account.Field{f("password", "{PLAIN}x")}, Account{User: "a@b", Stored: "{PLAIN}x"}},
		{"locked", []account.Field{f("password", "!{PLAIN}x")}, Account{User: "a@b"}},
		{"renamed", []account.Field{f("user", "C@d"), f("password", "{PLAIN}x")}, Account{User: "c@d", Stored: "{PLAIN}x"}},
		{"two columns", []account.Field{f("username", "c"), f("domain", "d")}, Account{User: "c@d"}},
		{"domain of the request", []account.Field{f("username", "c")}, Account{User: "c@b"}},
		{"userdb and extra", []account.Field{f("userdb_home", "/h"), f("allow_nets", "::1")}, Account{
			User: "a@b", Fields: []account.Field{f("allow_nets", "::1")}, Userdb: []account.Field{f("home", "/h")},
		}},
		{"nopassword", []account.Field{{Key: "nopassword", Flag: true}}, Account{User: "a@b", NoPassword: true}},
		{"nopassword from a column", []account.Field{f("nopassword", "N")}, Account{User: "a@b"}},
	} {
		got, err := FromFields("a@b", "CRYPT", tc.fields)
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v %v", tc.name, got, err)
		}
	}
	if _, err := FromFields("a", "", []account.Field{f("password", "x"), f("nopassword", "y")}); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}
