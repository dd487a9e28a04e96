package prefetch

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Users is the user database. The zero value is ready.
type Users struct{}

// Name is Dovecot's name of the driver.
func (Users) Name() string { return "prefetch" }

// Lookup takes the fields of the request; fail.NotFound when it has none.
func (Users) Lookup(_ context.Context, r *request.Request) (userdb.Record, error) {
	if len(r.Userdb) == 0 {
		return userdb.Record{}, fail.New(fail.NotFound, "user %s: the password database gave no userdb_ fields", r.User)
	}
	return userdb.FromFields(r.User, r.Userdb)
}
