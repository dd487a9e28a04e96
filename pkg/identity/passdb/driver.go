package passdb

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/request"
)

// Driver is a password database of whatever kind. What it can do shows in the
// further interfaces that it has: Lookuper, Verifier, TokenVerifier, of which
// it has at least one, and Cacheable, Rehasher, io.Closer. All are safe for
// concurrent use.
//
// Errors of all their methods: fail.NotFound for a user that is known not to
// exist; *Refused in the chain (see Refuse) for a user who may not log in;
// anything else is an outage. Calls return when ctx ends.
type Driver interface {
	// Name is Dovecot's name of the driver, for the log: "passwd-file".
	Name() string
}

// Lookuper hands out stored passwords.
type Lookuper interface {
	Lookup(ctx context.Context, r *request.Request) (Account, error)
}

// Verifier checks passwords itself (LDAP bind, PAM, IMAP) and shows none. The
// account it returns has no Stored.
type Verifier interface {
	Verify(ctx context.Context, r *request.Request, password string) (Account, error)
}

// TokenVerifier checks OAuth2 bearer tokens.
type TokenVerifier interface {
	VerifyToken(ctx context.Context, r *request.Request, token string) (Account, error)
}

// Cacheable is a driver whose answers may be kept for a while: one that asks
// over a network or runs a program. What it answers depends on its settings
// and on the variables that it lists, by the names of request.Var ("user"
// among them), and on nothing else.
type Cacheable interface {
	Variables() []string
}

// Rehasher stores the password of r's user anew, in the place where Lookup
// found it, when it was stored in a weaker form. It is the same password.
type Rehasher interface {
	SetPassword(ctx context.Context, r *request.Request, stored string) error
}
