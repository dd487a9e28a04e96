package passdb

import (
	"context"
	"slices"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// way is what a request has to show.
type way uint8

const (
	byPassword way = iota
	byToken
	bySecret // it will prove to know one
	byTrust  // somebody else vouches for it
	byLookup // nothing: it is no login
)

// walk is one way through a chain.
type walk struct {
	c     *Chain
	r     *request.Request
	way   way
	token string
	kind  sasl.SecretKind
	name  string // for a secret: as the client said
	realm string

	verified bool          // a database found the password right; the next ones need not
	success  bool          // the login is granted so far
	secret   *sasl.Secret  // of the last database that had one
	used     **Alternative // the app password that the peer will have proved to know
	hashed   bool          // a password was compared, or the like of it
	derived  bool          // a secret was derived from a readable password
	asked    bool          // some database was
	unable   bool          // some database was not, because it cannot serve this way

	outage error // the first
	final  *Refused
	why    Reason // the most telling refusal so far, and whose
	whose  string
	right  *proof // what let the user in
	v      Verdict
}

// proof is what was right.
type proof struct {
	entry  *Entry
	stored string       // the stored password; empty for an alternative
	alt    *Alternative // the app password
}

// result is how one database answered, as Dovecot's rules see it.
type result uint8

const (
	success  result = iota // and nothing else forbids the login
	next                   // only extra fields were wanted
	failure                // refused, or not known
	ended                  // refused for good: no rule can change that
	internal               // nobody knows
)

// run asks the databases and returns the verdict.
func (w *walk) run(ctx context.Context) error {
	masters := w.r.LoginUser != ""
	for i := w.next(masters, 0); i >= 0; {
		e := &w.c.Entries[i]
		before := w.save()
		res := w.ask(ctx, e)
		if res == failure || res == internal {
			w.restore(before)
		}
		if res == ended {
			break
		}
		i++
		if res == success && w.r.LoginUser != "" {
			// The master is known. If the chain goes on, then with the
			// databases of the user that it wants to be.
			w.r.AuthUser, w.r.User, w.r.LoginUser = w.r.User, w.r.LoginUser, ""
			masters, i = false, 0
		}
		if !w.after(e, res) {
			break
		}
		i = w.next(masters, i)
		if i < 0 && res == next {
			w.failed(fail.New(fail.Unavailable, "%s: the last password database only sets fields (noauthenticate)", e.Name))
		}
	}
	return w.verdict(ctx)
}

// after applies the rule that a result earns and reports whether to go on.
func (w *walk) after(e *Entry, res result) bool {
	r := rule.Continue
	switch res {
	case success:
		r = e.Rules.Success
	case failure:
		r = e.Rules.Failure
	case internal:
		r = e.Rules.InternalFail
	}
	now, goOn := r.After(w.success)
	w.success = now
	if r == rule.ContinueOK || res == success && r == rule.Continue {
		w.verified = true
	}
	return goOn
}

// next finds the first database from i on that is to be asked; -1: none.
func (w *walk) next(masters bool, i int) int {
	for ; i < len(w.c.Entries); i++ {
		e := &w.c.Entries[i]
		if e.Master != masters || !e.Match.Fits(w.r) ||
			e.Skip == SkipAuthenticated && w.verified || e.Skip == SkipUnauthenticated && !w.verified {
			continue
		}
		if !w.able(e) {
			w.unable = true
			continue
		}
		return i
	}
	return -1
}

// able reports whether the driver can serve this way at all. One that hands no
// secrets out fails instead of being left out, as Dovecot's do, so that its
// rules apply.
func (w *walk) able(e *Entry) bool {
	_, looks := e.Driver.(Lookuper)
	switch w.way {
	case byPassword:
		_, verifies := e.Driver.(Verifier)
		return looks || verifies
	case byToken:
		_, verifies := e.Driver.(TokenVerifier)
		return verifies || looks && w.verified
	case bySecret:
		return true
	}
	return looks
}

// saved is what a database that failed must not have changed.
type saved struct {
	user, login    string
	passdb, userdb []account.Field
}

func (w *walk) save() saved {
	return saved{w.r.User, w.r.LoginUser, slices.Clone(w.r.Passdb), slices.Clone(w.r.Userdb)}
}

func (w *walk) restore(s saved) {
	w.r.User, w.r.LoginUser, w.r.Passdb, w.r.Userdb = s.user, s.login, s.passdb, s.userdb
}

// failed notes an outage.
func (w *walk) failed(err error) result {
	if w.outage == nil {
		w.outage = err
	}
	return internal
}

// refused notes a refusal and keeps the most telling reason of the chain.
func (w *walk) refused(e *Entry, why Reason) result {
	w.v.Refusals = append(w.v.Refusals, Refusal{DB: e.Name, Reason: why, Verbose: e.Verbose})
	if w.whose == "" || why > w.why {
		w.whose, w.why = e.Name, why
	}
	return failure
}

// end notes a refusal that no later database can lift. tell says that the
// peer knows the password, or will have proved it.
func (w *walk) end(e *Entry, why Reason, tell bool) result {
	w.refused(e, why)
	w.final = &Refused{DB: e.Name, Reason: why, Tell: tell}
	return ended
}

// verdict is the end. Every refusal has cost a hash by then.
func (w *walk) verdict(ctx context.Context) error {
	if w.final == nil && w.success {
		w.granted()
		return nil
	}
	if w.final == nil && w.outage == nil && !w.asked && w.unable {
		w.failed(fail.New(fail.Unavailable, "no password database can serve this mechanism"))
	}
	if w.final == nil && w.outage != nil {
		return w.outage
	}
	if w.way == byPassword && !w.hashed {
		if _, err := w.c.compare(ctx, "", w.r.Claimed, "", w.r.Password); err != nil {
			return err
		}
	}
	_, w.v.NoDelay = account.Get(w.r.Passdb, "nodelay")
	if w.final != nil {
		return fail.Wrap(fail.Denied, w.final, "")
	}
	return fail.Wrap(fail.Denied, &Refused{DB: w.whose, Reason: w.why}, "")
}

func (w *walk) granted() {
	if w.right == nil {
		return
	}
	w.v.DB = w.right.entry.Name
	if alt := w.right.alt; alt != nil {
		w.v.Label = alt.Label
		if alt.OnUse != nil {
			alt.OnUse()
		}
	}
}
