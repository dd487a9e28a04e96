package sqldb

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// users is a userdb that looks up only.
type users struct {
	pool *sqlpool.Pool
	find *query
}

// finder is a userdb that knows its domains by domain_query.
type finder struct {
	*users
	*domains
}

// lister is a userdb that lists its users, and knows their domains.
type lister struct {
	*users
	*list
	*domains
}

// The same three with answers about addresses.
type (
	usersAddresses struct {
		*users
		*addresses
	}
	finderAddresses struct {
		*finder
		*addresses
	}
	listerAddresses struct {
		*lister
		*addresses
	}
)

func newUsers(pool *sqlpool.Pool, c QueryConfig, now func() time.Time) (userdb.Driver, error) {
	find, err := prepare(pool, "user_query", c.UserQuery)
	if err != nil {
		return nil, err
	}
	if find == nil {
		return nil, fail.New(fail.Invalid, "user_query is missing")
	}
	iterate, err := prepare(pool, "iterate_query", c.IterateQuery)
	if err != nil {
		return nil, err
	}
	domain, err := prepare(pool, "domain_query", c.DomainQuery)
	if err != nil {
		return nil, err
	}
	about, err := newAddresses(pool, c)
	if err != nil {
		return nil, err
	}
	u := &users{pool, find}
	l := &list{pool, iterate}
	switch {
	case iterate != nil && about != nil:
		return &listerAddresses{&lister{u, l, newDomains(pool, domain, l, now)}, about}, nil
	case iterate != nil:
		return &lister{u, l, newDomains(pool, domain, l, now)}, nil
	case domain != nil && about != nil:
		return &finderAddresses{&finder{u, newDomains(pool, domain, nil, now)}, about}, nil
	case domain != nil:
		return &finder{u, newDomains(pool, domain, nil, now)}, nil
	case about != nil:
		return &usersAddresses{u, about}, nil
	}
	return u, nil
}

// Name is the driver's.
func (*users) Name() string { return driverName }

// Variables is what an answer depends on.
func (u *users) Variables() []string { return u.find.names }

// Lookup finds r's user by the user_query.
func (u *users) Lookup(ctx context.Context, r *request.Request) (userdb.Record, error) {
	a, err := one(ctx, u.pool, u.find, r)
	if err != nil {
		return userdb.Record{}, err
	}
	// A SELECT * finds the password too, which is no business of those who
	// ask where the mail is.
	fs := slices.DeleteFunc(a.fields, func(f account.Field) bool { return f.Key == "password" })
	return userdb.FromFields(r.User, fs)
}

// list lists users by the iterate_query.
type list struct {
	pool *sqlpool.Pool
	all  *query
}

// List yields the users as the database sends them.
func (l *list) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		args, err := l.all.values(&request.Request{})
		if err != nil {
			yield("", fail.Wrap(fail.Unavailable, err, "iterate_query"))
			return
		}
		for row, err := range l.pool.Each(ctx, l.all.stmt, args) {
			name := ""
			if err == nil {
				name, err = nameOf(row)
			}
			if !yield(name, err) || err != nil {
				return
			}
		}
	}
}

// nameOf is the user that a row of iterate_query names.
func nameOf(row sqlpool.Row) (string, error) {
	fs, err := fields(row)
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "iterate_query")
	}
	if name, _ := find(fs, "user"); name != "" {
		return account.Canonical(name), nil
	}
	name, _ := find(fs, "username")
	if name == "" {
		return "", fail.New(fail.Unavailable, "iterate_query returns a row without a user (columns: %s)", strings.Join(row.Columns, ", "))
	}
	if domain, _ := find(fs, "domain"); domain != "" && !strings.Contains(name, "@") {
		name += "@" + domain
	}
	return account.Canonical(name), nil
}
