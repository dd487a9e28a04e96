package prefetch

import (
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestLookup(t *testing.T) {
	r := &request.Request{User: "alice@example.org"}
	if _, err := (Users{}).Lookup(t.Context(), r); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	r.AddUserdb(account.Field{Key: "uid", Value: "1000"})
	r.AddUserdb(account.Field{Key: "home", Value: "/h"})
	got, err := Users{}.Lookup(t.Context(), r)
	if err != nil || got.User != "alice@example.org" || got.UID != 1000 || got.GID != -1 || got.Home != "/h" {
		t.Errorf("%+v %v", got, err)
	}
	r.AddUserdb(account.Field{Key: "uid", Value: "0"})
	if _, err := (Users{}).Lookup(t.Context(), r); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}
