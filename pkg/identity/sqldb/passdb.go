package sqldb

import (
	"context"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// driverName is Dovecot's name of the driver.
const driverName = "sql"

// passwords is a passdb.
type passwords struct {
	pool   *sqlpool.Pool
	find   *query
	scheme string
}

// updater is a passdb whose passwords can be replaced.
type updater struct {
	*passwords
	update *query
}

func newPasswords(pool *sqlpool.Pool, q QueryConfig) (passdb.Driver, error) {
	find, err := prepare(pool, "password_query", q.PasswordQuery)
	if err != nil {
		return nil, err
	}
	if find == nil {
		return nil, fail.New(fail.Invalid, "password_query is missing")
	}
	p := &passwords{pool: pool, find: find, scheme: q.DefaultScheme}
	if p.scheme == "" {
		p.scheme = defaultScheme
	}
	update, err := prepare(pool, "update_password_query", q.UpdatePasswordQuery)
	switch {
	case err != nil:
		return nil, err
	case update == nil:
		return p, nil
	case pool.ReadOnly():
		return nil, fail.New(fail.Invalid, "update_password_query needs a database that is writable")
	}
	return &updater{p, update}, nil
}

// Name is the driver's.
func (*passwords) Name() string { return driverName }

// Variables is what an answer depends on.
func (p *passwords) Variables() []string { return p.find.names }

// Lookup finds r's user by the password_query.
func (p *passwords) Lookup(ctx context.Context, r *request.Request) (passdb.Account, error) {
	if p.find.uses("password") && r.Password == "" {
		return passdb.Account{}, fail.New(fail.Unavailable, "user %s: password_query compares the password itself (%%w), and there is none: limit this database to mechanisms PLAIN and LOGIN", r.User)
	}
	a, err := one(ctx, p.pool, p.find, r)
	if err != nil {
		return passdb.Account{}, err
	}
	if !a.has("password", "password_noscheme", "nopassword", "noauthenticate") {
		return passdb.Account{}, fail.New(fail.Unavailable, "password_query returns no column password")
	}
	for i, f := range a.fields {
		if f.Key == "password_noscheme" {
			a.fields[i] = account.Field{Key: "password", Value: "{" + p.scheme + "}" + f.Value}
		}
	}
	return passdb.FromFields(r.User, p.scheme, a.fields)
}

// SetPassword replaces the stored password by the update_password_query.
// Errors: fail.NotFound when no row is the user's; anything else is an outage.
// Nothing is changed then.
func (u *updater) SetPassword(ctx context.Context, r *request.Request, stored string) error {
	args, err := arguments(u.update, withPassword{r, stored}, r.User)
	if err != nil {
		return err
	}
	return u.pool.Exec(ctx, u.update.stmt, args, func(rows int64) error {
		switch rows {
		case 1:
			return nil
		case 0:
			return fail.New(fail.NotFound, "update_password_query finds no user %s", r.User)
		}
		return fail.New(fail.Unavailable, "update_password_query would change %d rows, not one: look at its WHERE", rows)
	})
}

// answer is the one row of a lookup.
type answer struct {
	columns []string
	fields  []account.Field
}

// has reports whether there is a column with one of the names, NULL or not.
func (a answer) has(names ...string) bool {
	return slices.ContainsFunc(a.columns, func(c string) bool { return slices.Contains(names, strings.ToLower(c)) })
}

// one asks for r's user.
func one(ctx context.Context, pool *sqlpool.Pool, q *query, r *request.Request) (answer, error) {
	args, err := arguments(q, r, r.User)
	if err != nil {
		return answer{}, err
	}
	rows, err := pool.Rows(ctx, q.stmt, args, 2)
	switch {
	case err != nil:
		return answer{}, err
	case len(rows) == 0:
		return answer{}, fail.New(fail.NotFound, "no user %s", r.User)
	case len(rows) > 1:
		return answer{}, fail.New(fail.Unavailable, "user %s: the query returns more than one row, and only one could be right", r.User)
	}
	fs, err := fields(rows[0])
	return answer{rows[0].Columns, fs}, fail.Wrap(fail.Unavailable, err, "user %s", r.User)
}

// arguments are the parameters of q. A name that no database can hold is
// nobody's.
func arguments(q *query, v expand.Values, user string) ([]string, error) {
	if unaskable(user) {
		return nil, fail.New(fail.NotFound, "no user %q", user)
	}
	args, err := q.values(v)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "user %s", user)
	}
	for _, a := range args {
		if unaskable(a) {
			return nil, fail.New(fail.Unavailable, "user %s: a parameter contains NUL or is not UTF-8", user)
		}
	}
	return args, nil
}
