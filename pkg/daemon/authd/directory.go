package authd

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
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
		r, err := st.lookup(ctx, lookupOf(&q))
		return recordOf(r), err
	})
}

// Exists says that there is a user, and of which class, and how its quota is
// if the database knows.
func (dir directory) Exists(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	return dir.counted("exists", func(st *state) (authserver.Record, error) {
		r, err := st.lookup(ctx, lookupOf(&q))
		fs := dovecotauth.Fields{}.Add("class", "mailbox")
		if quota := quotaOf(r.Fields); quota != "" {
			fs = fs.Add("quota", quota)
		}
		return authserver.Record{User: r.User, Fields: fs}, err
	})
}

// quotaOf is what the fields quota (ok, full) or Dovecot's quota_over_flag say.
func quotaOf(fields []account.Field) string {
	if f, ok := account.Get(fields, "quota"); ok && (f.Value == "ok" || f.Value == "full") {
		return f.Value
	}
	if f, ok := account.Get(fields, "quota_over_flag"); ok {
		if f.No() {
			return "ok"
		}
		return "full"
	}
	return ""
}

// Pass gives the passdb's fields, which never hold the password.
func (dir directory) Pass(ctx context.Context, q authserver.Lookup) (authserver.Record, error) {
	return dir.counted("pass", func(st *state) (authserver.Record, error) {
		r := lookupOf(&q)
		if err := st.name(r); err != nil {
			return authserver.Record{}, err
		}
		_, err := st.chain.Lookup(ctx, r)
		if refused := passdb.RefusedOf(err); refused != nil && refused.Reason == passdb.UnknownUser {
			err = fail.New(fail.NotFound, "no user %s", r.User)
		}
		return authserver.Record{User: r.User, Fields: fit(shown(r.Passdb))}, err
	})
}

// Redeemed is User for a login that was granted.
func (dir directory) Redeemed(ctx context.Context, user, service string, login any) (authserver.Record, error) {
	return dir.counted("redeem", func(st *state) (authserver.Record, error) {
		r := &request.Request{User: user, Claimed: user, Original: user, Service: service}
		if g, ok := login.(*request.Request); ok {
			*r = *g
			r.Userdb = append([]account.Field(nil), g.Userdb...)
		}
		if !st.usersAtHand { // this may be the step of a login, see authserver.Immediate
			authserver.Waiting(ctx)
		}
		found, err := st.users.Lookup(ctx, r)
		rec := recordOf(found)
		if r.AuthUser != "" {
			rec.Fields = rec.Fields.Add("auth_user", r.AuthUser).Add("master_user", r.AuthUser)
		}
		return rec, err
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

// Flush forgets answers and checks.
func (dir directory) Flush(users []string) int {
	st := dir.d.state.Load()
	names := make([]string, 0, len(users))
	for _, u := range users {
		if u == "" {
			continue
		}
		name, err := st.login.Names.Canonical(&request.Request{}, u)
		if err != nil {
			name = account.Canonical(u)
		}
		names = append(names, name)
	}
	return st.chain.Cache.Flush(names)
}

func (dir directory) counted(kind string, find func(*state) (authserver.Record, error)) (authserver.Record, error) {
	r, err := find(dir.d.state.Load())
	dir.d.metrics.lookup(kind, err)
	return r, err
}

// lookupOf is what identity knows of a USER or PASS line.
func lookupOf(q *authserver.Lookup) *request.Request {
	return &request.Request{
		User: q.User, Original: q.User, Service: q.Service, Session: q.Session, LocalName: q.LocalName, ClientID: q.ClientID,
		Local: q.Local, Remote: q.Remote, RealLocal: q.RealLocal, RealRemote: q.RealRemote, Forward: accountFields(q.Forward),
	}
}

// name makes r's name canonical. A name that no user can have is known not to
// exist.
func (st *state) name(r *request.Request) error {
	name, err := st.login.Names.Canonical(r, r.User)
	if err == nil {
		err = account.CheckName(name)
	}
	r.User, r.Claimed = name, name
	return fail.Wrap(fail.NotFound, err, "no user %q", r.Original)
}

// lookup finds a user by what a peer calls it.
func (st *state) lookup(ctx context.Context, r *request.Request) (userdb.Record, error) {
	if err := st.name(r); err != nil {
		return userdb.Record{}, err
	}
	return st.users.Lookup(ctx, r)
}

// recordOf is a record as the protocol has it.
func recordOf(r userdb.Record) authserver.Record {
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
	return authserver.Record{User: r.User, Fields: fs}
}
