package userdb

import (
	"context"
	"iter"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Record is a user. An id of -1 is not known.
type Record struct {
	User     string
	UID, GID int
	Home     string
	Fields   []account.Field
}

// DB is a user database. Names come in canonical form. Errors: fail.NotFound
// for a user that is known not to exist; anything else is an outage.
type DB interface {
	Lookup(ctx context.Context, user string) (Record, error)
	// List yields all names; an error is the last thing yielded.
	List(ctx context.Context) iter.Seq2[string, error]
	// HasDomain reports whether some user is of this domain.
	HasDomain(ctx context.Context, domain string) (bool, error)
}

// Chain asks its databases in turn.
type Chain []DB

// Lookup returns the first record found. When none is, but a database could
// not be asked, nobody knows.
func (c Chain) Lookup(ctx context.Context, user string) (Record, error) {
	var outage error
	for _, db := range c {
		r, err := db.Lookup(ctx, user)
		if err == nil {
			return r, nil
		}
		if !fail.Is(err, fail.NotFound) && outage == nil {
			outage = err
		}
	}
	if outage != nil {
		return Record{}, outage
	}
	return Record{}, fail.New(fail.NotFound, "no user %s", user)
}

// List yields the users of all databases; one that two of them have comes
// twice.
func (c Chain) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, db := range c {
			for user, err := range db.List(ctx) {
				if !yield(user, err) || err != nil {
					return
				}
			}
		}
	}
}

// HasDomain is true if one database says so, and unknown if one that could
// not be asked might have said so.
func (c Chain) HasDomain(ctx context.Context, domain string) (bool, error) {
	var outage error
	for _, db := range c {
		has, err := db.HasDomain(ctx, domain)
		if has {
			return true, nil
		}
		if err != nil && outage == nil {
			outage = err
		}
	}
	return false, outage
}
