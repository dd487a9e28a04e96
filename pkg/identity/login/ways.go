package login

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Password is a login with a password in plain text.
func (a *Attempt) Password(ctx context.Context, c sasl.Credentials) error {
	a.name(c.Authcid, c.Authzid)
	if err := a.wait(ctx, c.Password); err != nil {
		return a.end(ctx, passdb.Verdict{}, err, c.Password)
	}
	if a.barred != nil {
		return a.refuseBarred(ctx, c.Password)
	}
	v, err := a.s.Chain.Password(ctx, a.R, c.Password)
	return a.end(ctx, v, err, c.Password)
}

// Secret is the first half of a challenge mechanism: what the proof is
// compared with. An error is an outage.
func (a *Attempt) Secret(ctx context.Context, id sasl.Identity, kind sasl.SecretKind) (sasl.Secret, error) {
	name, user := id.Authcid, ""
	if kind == sasl.SecretDigestMD5 {
		user = id.Authcid
		if _, domain := account.Split(name); domain == "" && id.Realm != "" {
			name += "@" + id.Realm
		}
	}
	a.name(name, id.Authzid)
	if err := a.wait(ctx, ""); err != nil {
		return sasl.Secret{}, a.end(ctx, passdb.Verdict{}, err, "")
	}
	if a.barred != nil {
		s, err := a.s.Chain.Invented(ctx, a.R, kind, user)
		if err != nil {
			err = a.end(ctx, passdb.Verdict{}, err, "")
		}
		return s, err
	}
	s, p, err := a.s.Chain.Secret(ctx, a.R, kind, user, id.Realm)
	if err != nil {
		return s, a.end(ctx, passdb.Verdict{}, err, "")
	}
	a.pending = p
	return s, nil
}

// Proved is the second half: ok says whether the proof was right. Each wrong
// one counts: there is no telling an old password from a guess.
func (a *Attempt) Proved(ctx context.Context, ok bool) error {
	guess := a.began.String()
	if a.barred != nil {
		return a.end(ctx, barredVerdict(a.barred), fail.Wrap(fail.Denied, a.barred, ""), guess)
	}
	v, err := a.pending.Proved(ok)
	return a.end(ctx, v, err, guess)
}

func barredVerdict(r *passdb.Refused) passdb.Verdict {
	return passdb.Verdict{Refusals: []passdb.Refusal{{DB: r.DB, Reason: r.Reason}}}
}

// Token is a login with an OAuth2 token.
func (a *Attempt) Token(ctx context.Context, t sasl.Token) error {
	a.name(t.User, "")
	if err := a.wait(ctx, ""); err != nil {
		return a.end(ctx, passdb.Verdict{}, err, "")
	}
	if a.barred != nil {
		return a.refuseBarred(ctx, t.Value)
	}
	v, err := a.s.Chain.Token(ctx, a.R, t.Value)
	return a.end(ctx, v, err, t.Value)
}

// External is a login with a TLS client certificate. The name is the
// certificate's; what the peer calls itself only says whom it wants to be.
func (a *Attempt) External(ctx context.Context, authzid string) error {
	user := a.R.CertUser
	if !a.R.ClientCert || user == "" {
		user = authzid
		a.refuse(passdb.NoCert)
	}
	a.name(user, authzid)
	if err := a.wait(ctx, ""); err != nil {
		return a.end(ctx, passdb.Verdict{}, err, "")
	}
	if a.barred != nil {
		return a.refuseBarred(ctx, "")
	}
	v, err := a.s.Chain.Trust(ctx, a.R)
	return a.end(ctx, v, err, "")
}

// Anonymous lets a guest in. No database is asked: the guest is nobody's user.
func (a *Attempt) Anonymous(ctx context.Context) error {
	r := a.R
	r.User, r.Claimed, r.Original = a.s.Guest, a.s.Guest, a.s.Guest
	a.bar()
	if a.s.Guest == "" {
		a.refuse(passdb.Ruled)
	}
	if a.barred != nil {
		return a.refuseBarred(ctx, "")
	}
	r.Add(account.Field{Key: "anonymous", Flag: true})
	if a.Decided != nil {
		a.Decided(passdb.Verdict{DB: by(r)}, nil)
	}
	return nil
}
