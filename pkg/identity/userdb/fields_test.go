package userdb

import (
	"reflect"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestFromFields(t *testing.T) {
	f := func(key, value string) account.Field { return account.Field{Key: key, Value: value} }
	got, err := FromFields("a@b", []account.Field{f("uid", "1000"), f("gid", ""), f("home", "/h"), f("quota_rule", "*:bytes=1G")})
	want := Record{User: "a@b", UID: 1000, GID: -1, Home: "/h", Fields: []account.Field{f("quota_rule", "*:bytes=1G")}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	for _, tc := range []struct{ key, value, want string }{
		{"user", "C@D", "c@d"}, {"username", "c", "c@b"}, {"username", "c@d", "c@d"}, {"domain", "d", "a@d"}, {"user", "", "a@b"},
	} {
		if got, err := FromFields("a@b", []account.Field{f(tc.key, tc.value)}); err != nil || got.User != tc.want {
			t.Errorf("%s=%s: %+v %v", tc.key, tc.value, got, err)
		}
	}
	for _, bad := range []account.Field{f("uid", "0"), f("gid", "-1"), f("uid", "root"), f("home", "relative"), f("home", "/a/../b")} {
		if _, err := FromFields("a", []account.Field{bad}); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
