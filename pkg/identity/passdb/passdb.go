package passdb

import (
	"context"
	"errors"
	"net/netip"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Account is what a password database knows about a user.
type Account struct {
	User   string // canonical
	Stored string // "{SCHEME}…"; empty when the account is locked
	Fields []account.Field
	Userdb []account.Field // extra fields for the user database, without "userdb_"
	// NoPassword says that any password is right (Dovecot's nopassword), as
	// behind a proxy that has checked it. Stored is empty then.
	NoPassword bool
	// Disabled says that the account is switched off: whoever knows the
	// password is refused with Disabled, others are not told.
	Disabled bool
	// Alternatives are further passwords of the account, each as good as the
	// stored one in this login. They are tried first, for they cost little.
	Alternatives []Alternative
	// Used is the Label of the alternative that was right; empty otherwise.
	Used string
}

// Alternative is an app password: one that was made by us with so many random
// bits that a slow hash would add nothing. It is therefore compared on the
// spot, without a hash slot.
type Alternative struct {
	Label   string // for the log, such as "phone"
	Matches func(password string) bool
	Stored  string // "{SCRAM-SHA-256}…" for challenge mechanisms; empty: not for them
	OnUse   func() // called when it let its user in; returns at once; may be nil
}

// DB is a password database. Names come in canonical form. Errors:
// fail.NotFound for a user that is known not to exist; anything else is an
// outage.
type DB interface {
	// Name is the driver's, for the log: "passwd-file".
	Name() string
	Lookup(ctx context.Context, user string) (Account, error)
}

// Query is one login.
type Query struct {
	User     string // canonical
	Password string
	Remote   netip.Addr // zero: not known
}

// Reason is why a login was refused.
type Reason uint8

// The reasons, in the order in which a chain prefers to tell them.
const (
	UnknownUser Reason = iota
	Locked
	Mismatch
	Net      // allow_nets excludes the peer
	Disabled // the account is switched off; the peer may be told
	Expired  // the password has expired; the peer may be told
)

func (r Reason) String() string {
	switch r {
	case UnknownUser:
		return "unknown user"
	case Locked:
		return "account is locked"
	case Mismatch:
		return "Password mismatch"
	case Net:
		return "allow_nets check failed"
	case Disabled:
		return "account is disabled"
	case Expired:
		return "password has expired"
	}
	return "refused"
}

// Refused is the error of a refusal; the peer must not learn its Reason.
type Refused struct {
	DB     string // which database said so last
	Reason Reason
}

func (r *Refused) Error() string { return r.DB + ": " + r.Reason.String() }

// Refuse makes the error for a refusal by the driver called db.
func Refuse(db string, why Reason) error {
	return fail.Wrap(fail.Denied, &Refused{db, why}, "")
}

// RefusedOf returns the refusal in err's chain, or nil for an outage.
func RefusedOf(err error) *Refused {
	var r *Refused
	if errors.As(err, &r) {
		return r
	}
	return nil
}
