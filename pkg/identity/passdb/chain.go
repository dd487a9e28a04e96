package passdb

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Hasher compares a password with a hash, where hashing may be slow. Secrets
// are made there too, see scheme.Derivation.
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
