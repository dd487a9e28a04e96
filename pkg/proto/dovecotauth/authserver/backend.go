package authserver

import (
	"context"
	"errors"
	"iter"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Authenticator answers the client protocol.
type Authenticator interface {
	// Mechanisms is what a new connection is offered.
	Mechanisms() []dovecotauth.Mechanism
	// Begin starts an exchange for r. fail.NotFound: no such mechanism.
	Begin(r Request) (Exchange, error)
}

// Exchange is one SASL exchange. Its steps are called one after the other.
type Exchange interface {
	// Next takes the peer's response (nil: there was no initial response).
	// A refusal is an error with a Refusal in its chain, or of kind Denied
	// or Invalid; any other error is an outage. It may block, and returns
	// when ctx ends.
	Next(ctx context.Context, response []byte) (Step, error)
}

// Immediate is an Exchange whose steps may run on the goroutine that reads the
// connection, if Immediate says so: they do not wait, or call Waiting before
// they do. That spares a goroutine for each request, and lets the replies to
// many requests leave together.
type Immediate interface {
	Exchange
	Immediate() bool
}

// Step is a challenge, or a success.
type Step struct {
	Done bool
	// Challenge goes to the peer. With Done it is the mechanism's last message
	// (SCRAM's proof of the server), nil if there is none; how it gets to the
	// peer is the protocol's business.
	Challenge []byte
	User      string             // canonical name, when Done
	Fields    dovecotauth.Fields // further fields of the OK line
	// Login is what the Directory wants back when this login is redeemed; it
	// is kept with the login and not looked at.
	Login any

	sealed string // the answer to its redemption; empty if it is to be asked for
}

// Refusal is what a FAIL line may tell.
type Refusal struct {
	User   string             // whom the peer claimed to be; empty if unknown
	Code   string             // "authz_fail", "user_disabled", "pass_expired"; may be empty
	Reason string             // for the peer's eyes; may be empty
	Fields dovecotauth.Fields // further fields of the FAIL line
}

func (r *Refusal) Error() string {
	if r.Reason != "" {
		return r.Reason
	}
	return "authentication failed"
}

// Refuse makes the error for a refusal.
func Refuse(r Refusal) error { return fail.Wrap(fail.Denied, &r, "") }

func refusalOf(err error) (Refusal, bool) {
	var r *Refusal
	if errors.As(err, &r) {
		return *r, true
	}
	switch fail.KindOf(err) {
	case fail.Denied, fail.Invalid:
		return Refusal{}, true
	}
	return Refusal{}, false
}

// Record is a user as the userdb knows it.
type Record struct {
	User   string             // canonical name
	Fields dovecotauth.Fields // uid, gid, home, …; never a password
}

// Directory answers the master and userdb protocol. Errors: fail.NotFound for
// a user that is known not to exist, anything else is an outage.
type Directory interface {
	User(ctx context.Context, q Lookup) (Record, error)
	// Exists is User for those who may only know that there is such a user.
	// Its record has the fields class ("mailbox") and, when it is known, quota
	// ("ok", "full"), and no others.
	Exists(ctx context.Context, q Lookup) (Record, error)
	// Pass returns the passdb's fields without any password.
	Pass(ctx context.Context, q Lookup) (Record, error)
	// List yields the names matching mask.
	List(ctx context.Context, mask string) iter.Seq2[string, error]
	// Redeemed is User for a login that was granted: by its Step's User, its
	// Request's Service, and its Step's Login.
	Redeemed(ctx context.Context, user, service string, login any) (Record, error)
	// Flush drops cached results, of all users when none are named, and
	// returns how many.
	Flush(users []string) int
}
