package userdb

import (
	"context"
	"iter"

	"github.com/postcote/postcote/pkg/identity/request"
)

// Driver is a user database. It may also be a Lister, a DomainFinder, a
// Cacheable and an io.Closer. All are safe for concurrent use, and calls return
// when ctx ends.
//
// Errors: fail.NotFound for a user (or domain) that is known not to exist;
// anything else is an outage.
type Driver interface {
	// Name is Dovecot's name of the driver, for the log: "sql".
	Name() string
	Lookup(ctx context.Context, r *request.Request) (Record, error)
}

// Lister can list its users.
type Lister interface {
	// List yields all names; an error is the last thing yielded.
	List(ctx context.Context) iter.Seq2[string, error]
}

// DomainFinder knows which domains its users are of.
type DomainFinder interface {
	HasDomain(ctx context.Context, domain string) (bool, error)
}

// Cacheable is a driver whose records may be kept for a while. What it answers
// depends on its settings and on the variables that it lists, by the names of
// request.Var ("user" among them), and on nothing else.
type Cacheable interface {
	Variables() []string
}
