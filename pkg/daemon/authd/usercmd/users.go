package usercmd

import (
	"context"
	"iter"

	"github.com/postcote/postcote/pkg/identity/localdb"
)

// user is one user of either kind of database.
type user struct {
	localdb.User
	line int // of a passwd-file; 0 in a store
}

// locked reports whether the main password lets nobody in.
func (u user) locked() bool { return u.Stored == "" || u.Stored[0] == '!' || u.Stored[0] == '*' }

// users is a users database of either kind. Names are canonical. Errors are
// those of localdb.Store.
type users interface {
	add(ctx context.Context, u localdb.User) error
	get(ctx context.Context, name string) (user, error)
	all(ctx context.Context) iter.Seq2[user, error]
	// remove returns what else went with the user, one line each.
	remove(ctx context.Context, name string) (besides []string, err error)
	setPassword(ctx context.Context, name, stored string) error
	enable(ctx context.Context, name string, on bool) error
	setQuota(ctx context.Context, name string, q localdb.Quota) error
	close()
}

// users is the database that t names.
func (t Target) users(create bool) (users, error) {
	if t.Store.File == "" && t.File != "" {
		return file{t.File}, nil
	}
	s, err := t.open(create)
	if err != nil {
		return nil, err
	}
	return store{s}, nil
}
