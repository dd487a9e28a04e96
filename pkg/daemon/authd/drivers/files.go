package drivers

import (
	"context"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// files are users in files of ours.
func files() []driver {
	return []driver{
		{
			name: "passwd-file",
			passdb: func(b *builder, e *authconf.Passdb) (passdb.Driver, error) {
				c := authconf.PasswdFile(e.PasswdFile, b.cfg)
				db, err := b.passwdFile(c)
				return passdb.NewFile(db, c.Scheme), err
			},
			userdb: func(b *builder, e *authconf.Userdb) (userdb.Driver, error) {
				db, err := b.passwdFile(authconf.PasswdFile(e.PasswdFile, b.cfg))
				return userdb.NewFile(db), err
			},
		},
		{
			name: "local",
			passdb: func(b *builder, e *authconf.Passdb) (passdb.Driver, error) {
				if b.deps.Dry {
					return unopened{}, nil
				}
				s, err := b.local(authconf.Local(e.Local))
				if err != nil {
					return nil, err
				}
				return s.Passdb(), nil
			},
			userdb: func(b *builder, e *authconf.Userdb) (userdb.Driver, error) {
				if b.deps.Dry {
					return unopened{}, nil
				}
				s, err := b.local(authconf.Local(e.Local))
				if err != nil {
					return nil, err
				}
				return s.Userdb(), nil
			},
		},
	}
}

// unopened stands for a store where opening, which may make it, is too much.
type unopened struct{}

func (unopened) Name() string { return "local" }

func (unopened) Lookup(context.Context, *request.Request) (userdb.Record, error) {
	return userdb.Record{}, fail.New(fail.Unavailable, "the users store is not open")
}

func (b *builder) passwdFile(c passwdfile.Config) (*passwdfile.DB, error) {
	c.Scheme = "" // the same file, whatever its passwords are taken for
	r, err := b.keep("passwd-file", c, func() (*resource, error) {
		db, err := passwdfile.NewDB(c, b.deps.UsersRead)
		if err != nil {
			return nil, err
		}
		r := &resource{name: c.Path, value: db}
		if file := db.File(); file != nil {
			r.health = func() error { _, err := file.Get(); return err }
			r.status = func() any {
				s, err := file.Get()
				if err != nil {
					return map[string]any{"error": err.Error()}
				}
				return map[string]any{"count": len(s.Entries()), "problems": len(s.Problems)}
			}
		}
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	db, _ := r.value.(*passwdfile.DB)
	return db, nil
}

func (b *builder) local(c localdb.Config) (*localdb.Store, error) {
	r, err := b.keep("local", c, func() (*resource, error) {
		s, err := localdb.Open(c, localdb.Options{Create: true, Now: b.deps.Now, Report: b.deps.Report})
		if err != nil {
			return nil, err
		}
		return &resource{
			name: c.File, value: s, close: s.Close,
			health: func() error { return s.Ready(context.Background()) },
		}, nil
	})
	if err != nil {
		return nil, err
	}
	s, _ := r.value.(*localdb.Store)
	return s, nil
}
