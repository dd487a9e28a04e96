package drivers

import (
	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/prefetch"
	"github.com/postcote/postcote/pkg/identity/static"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// simple is databases that are no more than their configuration.
func simple() []driver {
	return []driver{
		{
			name: "static",
			passdb: func(_ *builder, e *authconf.Passdb) (passdb.Driver, error) {
				if e.Static == nil {
					return nil, errNoStatic()
				}
				return static.NewPass(*e.Static)
			},
			userdb: func(b *builder, e *authconf.Userdb) (userdb.Driver, error) {
				if e.Static == nil {
					return nil, errNoStatic()
				}
				return static.NewUsers(*e.Static, b.deps.Exists)
			},
		},
		{name: "prefetch", userdb: func(*builder, *authconf.Userdb) (userdb.Driver, error) { return prefetch.Users{}, nil }},
	}
}

func errNoStatic() error { return fail.New(fail.Invalid, "the section static is missing") }
