package login

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/policy"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/identity/waits"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Service is safe for concurrent use.
type Service struct {
	Chain     *passdb.Chain
	Names     Names
	Separator string // between user and master in "user*master"; empty: none
	Guest     string // whom ANONYMOUS logs in; empty: nobody
	Rules     []Rule
	Delay     throttle.Delay
	Guard     *throttle.Guard // nil: none
	Policy    *policy.Client  // nil: none
	Now       func() time.Time
}

// Rule excludes logins before any database is asked. The first one that fits
// decides.
type Rule struct {
	Match   rule.Match
	Deny    bool // nobody may log in this way
	Secured bool // only over a connection that is encrypted, or local
}

// ErrActAs is in the chain when a user wants to be somebody else.
var ErrActAs = errors.New("may not act as another user")

// maxDelay caps how long a database may hold a success back (delay_until), as
// in Dovecot.
const maxDelay = 5 * time.Minute

// Attempt is one login. Its methods are called one after the other.
type Attempt struct {
	// R says who it is about. After a success its User is who has logged in.
	R *request.Request
	// NoPenalty says that the peer vouches for R.Remote (a proxy, webmail).
	NoPenalty bool
	// Decided, if not nil, is called as soon as the verdict is known, before a
	// refusal's delay.
	Decided func(v passdb.Verdict, err error)

	s       *Service
	began   time.Time
	actAs   bool // the user wants to be another, and there are no masters
	barred  *passdb.Refused
	pending passdb.Pending
}

// Begin starts a login. r is filled in but for the names. Errors of Attempt's
// methods: fail.Denied for a refusal, with *passdb.Refused or ErrActAs in its
// chain; anything else is an outage.
func (s *Service) Begin(r *request.Request) *Attempt {
	return &Attempt{R: r, s: s, began: s.Now()}
}

// name sets who it is about, and applies what needs no database: afterwards
// a.barred says why the login will be refused, if it will.
func (a *Attempt) name(authcid, authzid string) {
	r := a.R
	r.Original = authcid
	user, as := authcid, authzid
	if s := a.s.Separator; s != "" && strings.Contains(authcid, s) {
		as, user, _ = strings.Cut(authcid, s)
		if as == "" {
			user = ""
		}
		if authzid != "" && authzid != authcid {
			as = authzid
		}
	}
	var err error
	if authcid != "" { // else a token names the user
		r.User, err = a.s.Names.Canonical(r, user)
	}
	r.Claimed = r.User
	if err == nil && as != "" {
		r.LoginUser, err = a.s.Names.Canonical(r, as)
	}
	if err != nil {
		r.Claimed = strings.ToLower(user)
		a.refuse(passdb.BadName)
		return
	}
	if r.LoginUser == r.User {
		r.LoginUser = ""
	}
	if r.LoginUser != "" && !a.s.Chain.HasMasters() {
		a.actAs, r.LoginUser = true, ""
	}
	a.bar()
}

// bar applies the rules.
func (a *Attempt) bar() {
	r := a.R
	for _, x := range a.s.Rules {
		if !x.Match.Fits(r) {
			continue
		}
		if x.Deny || x.Secured && !r.Secured {
			a.refuse(passdb.Ruled)
		}
		return
	}
}

// refuse notes why the login will be refused, unless it will be already.
func (a *Attempt) refuse(why passdb.Reason) {
	if a.barred == nil {
		a.barred = &passdb.Refused{DB: by(a.R), Reason: why}
	}
}

// by names in the log who refused: the mechanism.
func by(r *request.Request) string { return strings.ToLower(r.Mech) }

// wait holds a try back as the peer's failures, and the policy server, demand.
// An error is an outage.
func (a *Attempt) wait(ctx context.Context, password string) error {
	if a.s.Guard != nil && !a.NoPenalty {
		a.s.Guard.Wait(ctx, a.peer())
	}
	if a.s.Policy == nil || a.barred != nil {
		return nil
	}
	v, err := a.s.Policy.Before(ctx, a.R, password)
	if v.Reject {
		a.refuse(passdb.Policed)
	}
	if !a.NoPenalty {
		waits.For(ctx, v.Tarpit)
	}
	return err
}

func (a *Attempt) peer() throttle.Peer {
	return throttle.Peer{Addr: a.R.Remote.Addr(), User: a.R.Claimed}
}

// end takes the verdict out. password is what a failure is counted by.
func (a *Attempt) end(ctx context.Context, v passdb.Verdict, err error, password string) error {
	if err == nil {
		err = a.admit(ctx, &v, password)
	}
	if a.Decided != nil {
		a.Decided(v, err)
	}
	refused := fail.Is(err, fail.Denied)
	if a.s.Policy != nil && (err == nil || refused) {
		why := passdb.RefusedOf(err)
		a.s.Policy.Report(a.R, password, policy.Outcome{Success: err == nil, PolicyReject: why != nil && why.Reason == passdb.Policed})
	}
	switch {
	case err == nil:
		if a.s.Guard != nil {
			a.s.Guard.Succeeded(ctx, a.peer())
		}
		a.hold(ctx, v.DelayUntil)
	case refused:
		if a.s.Guard != nil && !a.NoPenalty {
			a.s.Guard.Failed(ctx, a.peer(), password)
		}
		if !v.NoDelay {
			a.s.Delay.WaitFrom(ctx, a.began)
		}
	}
	return err
}

// admit decides what else counts once the databases have agreed. The rules
// hold for whom they made of the peer, too.
func (a *Attempt) admit(ctx context.Context, v *passdb.Verdict, password string) error {
	if a.actAs {
		return fail.Wrap(fail.Denied, ErrActAs, "user %s", a.R.User)
	}
	if a.R.User != a.R.Claimed {
		a.bar()
	}
	if a.s.Guest != "" && a.R.User == a.s.Guest {
		a.refuse(passdb.BadName)
	}
	if a.barred == nil && a.s.Policy != nil {
		answer, err := a.s.Policy.After(ctx, a.R, password)
		if err != nil {
			return err
		}
		if answer.Reject {
			a.refuse(passdb.Policed)
		}
	}
	if a.barred == nil {
		return nil
	}
	v.Refusals = append(v.Refusals, passdb.Refusal{DB: a.barred.DB, Reason: a.barred.Reason})
	return fail.Wrap(fail.Denied, a.barred, "")
}

// hold waits until a database's delay is over.
func (a *Attempt) hold(ctx context.Context, until time.Time) {
	if !until.IsZero() {
		waits.For(ctx, min(until.Sub(a.s.Now()), maxDelay))
	}
}

// refuseBarred ends an attempt that no database need be asked about.
func (a *Attempt) refuseBarred(ctx context.Context, password string) error {
	v, err := a.s.Chain.Nobody(ctx, a.R, password, a.barred)
	return a.end(ctx, v, err, password)
}
