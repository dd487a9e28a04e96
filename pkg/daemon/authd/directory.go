package authd

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
)

// directory answers the master and userdb protocol.
type directory struct{ d *daemon }

// User says where a user's mail is.
func (dir directory) User(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	return dir.counted("user", func(st *state) (authserver.Record, error) {
		return st.record(ctx, q.User)
	})
}

// Exists says that there is a user, and of which class.
func (dir directory) Exists(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	return dir.counted("exists", func(st *state) (authserver.Record, error) {
		r, err := st.lookup(ctx, q.User)
		return authserver.Record{User: r.User, Fields: dovecotauth.Fields{}.Add("class", "mailbox")}, err
	})
}

// Pass gives the passdb's fields, which never hold the password.
func (dir directory) Pass(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	return dir.counted("pass", func(st *state) (authserver.Record, error) {
		a, err := st.checker.Lookup(ctx, account.Qualify(q.User, st.cfg.Users.DefaultDomain))
		return authserver.Record{User: a.User, Fields: okFields(a)}, err
	})
}

// Redeemed is User for a login that was granted.
func (dir directory) Redeemed(ctx context.Context, user, _ string, _ any) (authserver.Record, error) {
	return dir.counted("redeem", func(st *state) (authserver.Record, error) {
		return st.record(ctx, user)
	})
}

// List yields the names that match mask.
func (dir directory) List(ctx context.Context, mask string) iter.Seq2[string, error] {
	st := dir.d.state.Load()
	mask = strings.ToLower(mask)
	return func(yield func(string, error) bool) {
		for name, err := range st.users.List(ctx) {
			if err != nil {
				dir.d.metrics.lookup("list", err)
				yield("", err)
				return
			}
			if account.Match(mask, name) && !yield(name, nil) {
				return
			}
		}
		dir.d.metrics.lookup("list", nil)
	}
}

// Flush forgets successful checks.
func (dir directory) Flush(users []string) int {
	st := dir.d.state.Load()
	names := make([]string, 0, len(users))
	for _, u := range users {
		if u != "" {
			names = append(names, account.Qualify(u, st.cfg.Users.DefaultDomain))
		}
	}
	return st.checker.Cache.Flush(names)
}

func (dir directory) counted(kind string, find func(*state) (authserver.Record, error)) (authserver.Record, error) {
	r, err := find(dir.d.state.Load())
	dir.d.metrics.lookup(kind, err)
	return r, err
}

// lookup finds a user by what a peer calls it. A name that no user can have is
// known not to exist.
func (st *state) lookup(ctx context.Context, name string) (userdb.Record, error) {
	name = account.Qualify(name, st.cfg.Users.DefaultDomain)
	if err := account.CheckName(name); err != nil {
		return userdb.Record{}, fail.Wrap(fail.NotFound, err, "no user %q", name)
	}
	return st.users.Lookup(ctx, name)
}

func (st *state) record(ctx context.Context, name string) (authserver.Record, error) {
	r, err := st.lookup(ctx, name)
	if err != nil {
		return authserver.Record{}, err
	}
	var fs dovecotauth.Fields
	for _, id := range []struct {
		key string
		n   int
	}{{"uid", r.UID}, {"gid", r.GID}} {
		if id.n > 0 {
			fs = fs.Add(id.key, strconv.Itoa(id.n))
		}
	}
	if r.Home != "" {
		fs = fs.Add("home", r.Home)
	}
	for _, f := range r.Fields {
		fs = append(fs, dovecotauth.Field{Key: f.Key, Value: f.Value, Flag: f.Flag})
	}
	return authserver.Record{User: r.User, Fields: fs}, nil
}
