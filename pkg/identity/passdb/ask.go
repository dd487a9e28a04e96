package passdb

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// found is an account, and what of it is proven.
type found struct {
	Account
	proven bool         // the driver compared the password itself, or the cache knows the verdict
	alt    *Alternative // which one was right
}

// ask asks one database and checks everything but the chain's rules.
func (w *walk) ask(ctx context.Context, e *Entry) result {
	defaults, err := w.expand(e.Default)
	if err != nil {
		return w.failed(fail.Wrap(fail.Unavailable, err, "%s: default_fields", e.Name))
	}
	var fx effects
	fx.take(w.r, defaults)
	f, err := w.find(ctx, e)
	w.asked = w.asked || !errors.Is(err, errUnable)
	if refused := RefusedOf(err); refused != nil && !e.Deny {
		return w.refusedAs(e, refused)
	}
	switch {
	case errors.Is(err, errUnable):
		w.unable = true
		return failure // as its rules may want to know
	case fail.Is(err, fail.NotFound) && e.Deny:
		return failure // as it should be
	case fail.Is(err, fail.NotFound):
		return w.refused(e, UnknownUser)
	case e.Deny && (err == nil || RefusedOf(err) != nil):
		return w.end(e, Listed, false)
	case err != nil && e.Deny:
		w.failed(fail.Wrap(fail.Unavailable, err, "%s", e.Name))
		return ended
	case err != nil:
		return w.failed(fail.Wrap(fail.Unavailable, err, "%s", e.Name))
	}
	f.NoPassword = f.NoPassword || defaults.NoPassword
	if f.Stored == "" && !f.NoPassword {
		f.Stored = defaults.Stored
	}
	return w.judge(ctx, e, f, fx)
}

// refusedAs notes a refusal that a driver decided.
func (w *walk) refusedAs(e *Entry, r *Refused) result {
	var res result
	if r.Reason >= Disabled {
		res = w.end(e, r.Reason, r.Tell || w.way == byPassword || w.way == byToken)
	} else {
		res = w.refused(e, r.Reason)
	}
	w.v.Refusals[len(w.v.Refusals)-1].Detail = r.Detail
	return res
}

// judge proves the account and then applies what else it says: a guesser must
// not learn from a field that there is such a user.
func (w *walk) judge(ctx context.Context, e *Entry, f found, fx effects) result {
	_, onlyFields := account.Get(f.Fields, "noauthenticate")
	if !onlyFields && !fx.next {
		if res := w.prove(ctx, e, &f); res != success {
			return res
		}
	}
	fx.take(w.r, f.Account)
	override, err := w.expand(e.Override)
	if err != nil {
		return w.failed(fail.Wrap(fail.Unavailable, err, "%s: override_fields", e.Name))
	}
	fx.take(w.r, override)
	switch {
	case fx.err != nil:
		return w.failed(fail.Wrap(fail.Unavailable, fx.err, "%s: user %s", e.Name, w.r.User))
	case fx.refuse:
		return w.refused(e, fx.why)
	case f.Disabled && w.way != byLookup:
		return w.end(e, Disabled, true)
	case fx.next:
		w.r.Passdb = account.Remove(w.r.Passdb, "noauthenticate")
		return next
	case w.r.LoginUser != "" && w.r.AuthUser != "":
		return w.failed(fail.New(fail.Unavailable, "%s: user %s: login_user is set for a login by a master user", e.Name, w.r.User))
	}
	if fx.delayUntil.After(w.v.DelayUntil) {
		w.v.DelayUntil = fx.delayUntil
	}
	if w.right == nil {
		w.right = &proof{entry: e, stored: f.Stored, alt: f.alt}
	}
	w.v.DB = e.Name
	return success
}

// prove compares what the request has to show with the account.
func (w *walk) prove(ctx context.Context, e *Entry, f *found) result {
	switch {
	case w.way == bySecret:
		return w.derive(ctx, e, f)
	case w.way == byTrust && f.Stored == "" && !f.NoPassword:
		return w.refused(e, Locked)
	case f.proven || w.verified || f.NoPassword:
		return success
	}
	if f.alt = alternative(f.Account, w.r.Password); f.alt != nil {
		return success
	}
	if f.Stored == "" {
		return w.refused(e, Locked)
	}
	w.hashed = true
	right, err := w.c.compare(ctx, e.ID, f.User, f.Stored, w.r.Password)
	if err != nil {
		return w.failed(fail.Wrap(fail.Unavailable, err, "%s: user %s", e.Name, f.User))
	}
	w.keep(e, f, right)
	if !right {
		return w.refused(e, Mismatch)
	}
	return success
}

// alternative is the one of the account's that password is, or nil.
func alternative(a Account, password string) *Alternative {
	for i := range a.Alternatives {
		if a.Alternatives[i].Matches(password) {
			return &a.Alternatives[i]
		}
	}
	return nil
}

// expand makes an account of fields from the configuration.
func (w *walk) expand(fs request.Fields) (Account, error) {
	if len(fs) == 0 {
		return Account{}, nil
	}
	fields, err := fs.Expand(w.r)
	if err != nil {
		return Account{}, err
	}
	return FromFields(w.r.User, "", fields)
}

// effects are what extra fields do beside being told to the peer.
type effects struct {
	refuse     bool
	why        Reason
	next       bool
	delayUntil time.Time
	err        error
}

// take hands what a database knows over to the request.
func (fx *effects) take(r *request.Request, a Account) {
	for _, f := range a.Fields {
		fx.field(r, f)
	}
	for _, f := range a.Userdb {
		r.AddUserdb(f)
	}
	if a.User != "" {
		r.User = a.User
	}
}

func (fx *effects) field(r *request.Request, f account.Field) {
	switch f.Key {
	case "allow_nets":
		fx.net(f.Value, r.Remote.Addr())
	case "allow_real_nets":
		peer := r.RealRemote
		if !peer.IsValid() {
			peer = r.Remote
		}
		fx.net(f.Value, peer.Addr())
	case "fail":
		fx.refuse, fx.why = true, Forbidden
	case "noauthenticate":
		fx.next = true
	case "login_user":
		r.LoginUser = account.Canonical(f.Value)
	case "delay_until":
		fx.delay(f.Value)
	case "passdb_import":
		for _, word := range strings.Split(f.Value, "\t") {
			key, value, found := strings.Cut(word, "=")
			fx.field(r, account.Field{Key: key, Value: value, Flag: !found})
		}
		return
	}
	r.Add(f)
}

func (fx *effects) net(list string, peer netip.Addr) {
	allowed, err := listed(list, peer)
	switch {
	case err != nil:
		fx.err = err
	case !allowed:
		fx.refuse, fx.why = true, Net
	}
}

// delay reads a time in seconds since 1970; what follows a plus sign is how
// many seconds more may be added at random, which we leave out.
func (fx *effects) delay(value string) {
	stamp, _, _ := strings.Cut(value, "+")
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		fx.err = fail.New(fail.Unavailable, "delay_until %.30q is no time", value)
		return
	}
	fx.delayUntil = time.Unix(n, 0)
}
