package passdb

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Hasher compares a password with a hash, where hashing may be slow.
type Hasher interface {
	Verify(ctx context.Context, h scheme.Hash, password string) (bool, error)
}

// Rehash returns a better stored form of a password that was just found right,
// or "" when the one it has will do.
type Rehash func(ctx context.Context, user, stored, password string) (string, error)

// The methods below ask the chain about r. On success r.User is whom the peer
// is from now on, and r.Passdb, r.Userdb and r.AuthUser say the rest. Errors: a
// *Refused in the chain for a refusal, anything else is an outage.

// Password checks a password in plain text.
func (c *Chain) Password(ctx context.Context, r *request.Request, password string) (Verdict, error) {
	r.Password = password
	defer func() { r.Password = "" }()
	w := walk{c: c, r: r, way: byPassword}
	err := w.run(ctx)
	if err == nil {
		w.rehash(ctx, password)
	}
	return w.v, err
}

// Token checks an OAuth2 token. r.User may be empty; the token names it then.
func (c *Chain) Token(ctx context.Context, r *request.Request, token string) (Verdict, error) {
	w := walk{c: c, r: r, way: byToken, token: token}
	err := w.run(ctx)
	return w.v, err
}

// Trust lets in a user who was identified otherwise, such as by a certificate,
// if there is such a user who could log in.
func (c *Chain) Trust(ctx context.Context, r *request.Request) (Verdict, error) {
	w := walk{c: c, r: r, way: byTrust, verified: true}
	err := w.run(ctx)
	return w.v, err
}

// Lookup finds the extra fields of a user, with no password at hand.
func (c *Chain) Lookup(ctx context.Context, r *request.Request) (Verdict, error) {
	w := walk{c: c, r: r, way: byLookup, verified: true}
	err := w.run(ctx)
	return w.v, err
}

// Nobody refuses r as somebody whom no database knows is refused, without
// asking any.
func (c *Chain) Nobody(ctx context.Context, r *request.Request, password string, why *Refused) (Verdict, error) {
	v := Verdict{Refusals: []Refusal{{DB: why.DB, Reason: why.Reason}}}
	if _, err := c.compare(ctx, "", r.Claimed, "", password); err != nil {
		return v, err
	}
	return v, fail.Wrap(fail.Denied, why, "")
}

// Invented is what Secret returns for somebody unknown.
func (c *Chain) Invented(r *request.Request, kind sasl.SecretKind, user string) sasl.Secret {
	if user == "" {
		user = r.Claimed
	}
	return scheme.DecoySecret(c.DecoyKey, user, kind)
}

// Pending is an exchange between the secret and its proof.
type Pending struct {
	v       Verdict
	db      string
	refusal error // even if the proof is right
	used    **Alternative
}

// Secret returns what a challenge mechanism compares a proof with: for users
// who are unknown, or who will be refused whatever they prove, an invented one
// that never changes. user and realm are what the client said in DIGEST-MD5;
// elsewhere they are empty. An error is an outage.
func (c *Chain) Secret(ctx context.Context, r *request.Request, kind sasl.SecretKind, user, realm string) (sasl.Secret, Pending, error) {
	claimed := *r
	w := walk{c: c, r: r, way: bySecret, kind: kind, name: user, realm: realm, used: new(*Alternative)}
	if user == "" {
		w.name = r.Claimed
	}
	err := w.run(ctx)
	p := Pending{v: w.v, db: w.v.DB, refusal: err, used: w.used}
	switch refused := RefusedOf(err); {
	case err != nil && refused == nil:
		return sasl.Secret{}, p, err
	case w.secret != nil && (refused == nil || refused.Tell):
		return *w.secret, p, nil
	case refused == nil: // let in, but nothing to compare with
		p.refusal = Refuse(w.v.DB, NoSecret)
		p.v.Refusals = append(p.v.Refusals, Refusal{DB: w.v.DB, Reason: NoSecret})
	}
	return c.Invented(&claimed, kind, user), p, nil
}

// Proved ends the exchange: the error is nil only if the proof was right and
// nothing else forbids the login.
func (p Pending) Proved(ok bool) (Verdict, error) {
	switch {
	case ok:
		if alt := *p.used; alt != nil && p.refusal == nil {
			p.v.Label = alt.Label
			if alt.OnUse != nil {
				alt.OnUse()
			}
		}
		return p.v, p.refusal
	case p.refusal != nil && !RefusedOf(p.refusal).Tell:
		return p.v, p.refusal
	}
	p.v.Refusals = append(p.v.Refusals, Refusal{DB: p.db, Reason: Mismatch})
	return p.v, Refuse(p.db, Mismatch)
}
