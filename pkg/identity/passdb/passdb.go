package passdb

import (
	"errors"

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

// Reason is why a login was refused.
type Reason uint8

// The reasons, in the order in which a chain prefers to tell them.
const (
	UnknownUser Reason = iota
	Locked
	NoSecret // the stored password cannot serve the mechanism
	Mismatch
	Net       // allow_nets excludes the peer
	Forbidden // a field says so
	Listed    // the user is in a database of those who may not log in
	Ruled     // a rule of the configuration excludes the service, the network or the user
	Policed   // the auth policy server says no
	BadName   // no user can have this name
	NoCert    // the peer has no certificate with a name
	Disabled  // the account is switched off; who knows the password may be told
	Expired   // the password has expired; the same
)

func (r Reason) String() string {
	switch r {
	case UnknownUser:
		return "unknown user"
	case Locked:
		return "Password mismatch (the account is locked)"
	case NoSecret:
		return "stored password cannot serve the mechanism"
	case Mismatch:
		return "Password mismatch"
	case Net:
		return "allow_nets check failed"
	case Forbidden:
		return "login is forbidden by a field"
	case Listed:
		return "User found from deny passdb"
	case Ruled:
		return "a login rule forbids it"
	case Policed:
		return "the auth policy server forbids it"
	case BadName:
		return "unknown user (the name is not allowed)"
	case NoCert:
		return "no client certificate with a user name"
	case Disabled:
		return "account is disabled"
	case Expired:
		return "password has expired"
	}
	return "refused"
}

// Refused is the error of a refusal. The peer must not learn its Reason unless
// Tell is set.
type Refused struct {
	DB     string // the database whose refusal counts
	Reason Reason
	Tell   bool // Reason is Disabled or Expired, and the peer knows the password
	// Detail is more than Reason says, for the log only; it may be empty.
	Detail string
}

func (r *Refused) Error() string {
	if r.Detail != "" {
		return r.DB + ": " + r.Reason.String() + " (" + r.Detail + ")"
	}
	return r.DB + ": " + r.Reason.String()
}

// Refuse makes the error for a refusal by the driver called db.
func Refuse(db string, why Reason) error {
	return fail.Wrap(fail.Denied, &Refused{DB: db, Reason: why}, "")
}

// RefusedOf returns the refusal in err's chain, or nil for an outage.
func RefusedOf(err error) *Refused {
	if err == nil {
		return nil
	}
	var r *Refused
	if errors.As(err, &r) {
		return r
	}
	return nil
}
