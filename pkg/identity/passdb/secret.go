package passdb

import (
	"bytes"
	"context"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// A secret that must be derived from a readable password costs as much as a
// hash. So where a policy allows such passwords, every secret costs one
// derivation at least: that of a user whose stored one serves as it is, and that
// of somebody whom no database knows. Derived ones are not remembered: an answer
// at once would tell who logs in often, and keys would lie in memory.

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
	w := walk{c: c, r: r, way: bySecret, kind: kind, name: user, realm: realm, used: new(*Alternative)}
	if user == "" {
		w.name = r.Claimed
	}
	err := w.run(ctx)
	p := Pending{v: w.v, db: w.v.DB, refusal: err, used: w.used}
	refused := RefusedOf(err)
	if err != nil && refused == nil {
		return sasl.Secret{}, p, err
	}
	if !w.derived {
		if err := c.feign(ctx, kind, w.name); err != nil {
			return sasl.Secret{}, p, err
		}
	}
	switch {
	case w.secret != nil && (refused == nil || refused.Tell):
		return *w.secret, p, nil
	case refused == nil: // let in, but nothing to compare with
		p.refusal = Refuse(w.v.DB, NoSecret)
		p.v.Refusals = append(p.v.Refusals, Refusal{DB: w.v.DB, Reason: NoSecret})
	}
	return scheme.DecoySecret(c.DecoyKey, w.name, kind), p, nil
}

// Invented is what Secret returns for somebody unknown, without asking any
// database.
func (c *Chain) Invented(ctx context.Context, r *request.Request, kind sasl.SecretKind, user string) (sasl.Secret, error) {
	if user == "" {
		user = r.Claimed
	}
	if err := c.feign(ctx, kind, user); err != nil {
		return sasl.Secret{}, err
	}
	return scheme.DecoySecret(c.DecoyKey, user, kind), nil
}

// feign costs what deriving a secret costs.
func (c *Chain) feign(ctx context.Context, kind sasl.SecretKind, user string) error {
	_, err := c.make(ctx, scheme.DeriveDecoy(kind, user, c.Policy))
	return err
}

// make makes a secret where passwords are hashed.
func (c *Chain) make(ctx context.Context, d *scheme.Derivation) (sasl.Secret, error) {
	if _, err := c.Hasher.Verify(ctx, d, ""); err != nil {
		return sasl.Secret{}, err
	}
	return d.Secret()
}

// derive finds the secret of a challenge mechanism: the stored password's, or
// the app passwords'. Those that share its salt are as good (SCRAM). Without
// one, a database that a former one has authenticated for still counts.
func (w *walk) derive(ctx context.Context, e *Entry, f *found) result {
	var s *sasl.Secret
	for i := -1; i < len(f.Alternatives); i++ {
		stored, alt := f.Stored, (*Alternative)(nil)
		if i >= 0 {
			stored, alt = f.Alternatives[i].Stored, &f.Alternatives[i]
		}
		if stored == "" {
			continue
		}
		found, err := w.secretOf(ctx, stored)
		switch {
		case fail.Is(err, fail.Permanent): // it cannot serve the mechanism
		case err != nil:
			return w.failed(fail.Wrap(fail.Unavailable, err, "%s: user %s", e.Name, f.User))
		case s == nil && alt == nil:
			s = &found
		case s == nil:
			// All are others, so that it shows which one was used.
			first, nobody := found, scheme.DecoySecret(w.c.DecoyKey, w.name, w.kind)
			first.StoredKey, first.ServerKey = nobody.StoredKey, nobody.ServerKey
			s = &first
			w.other(s, found, alt)
		default:
			w.other(s, found, alt)
		}
	}
	switch {
	case s != nil:
		w.secret = s
		return success
	case w.verified || f.NoPassword:
		return success
	case f.Stored == "":
		return w.refused(e, Locked)
	}
	return w.refused(e, NoSecret)
}

// secretOf makes the secret of a stored password.
func (w *walk) secretOf(ctx context.Context, stored string) (sasl.Secret, error) {
	d, err := scheme.Derive(stored, w.kind, w.name, w.realm, w.c.Policy)
	if err != nil {
		return sasl.Secret{}, err
	}
	w.derived = w.derived || !scheme.Cheap(d)
	return w.c.make(ctx, d)
}

// other adds an app password to a secret of the same salt.
func (w *walk) other(s *sasl.Secret, app sasl.Secret, alt *Alternative) {
	if len(app.Salt) == 0 || !bytes.Equal(s.Salt, app.Salt) || s.Iter != app.Iter {
		return
	}
	s.Others = append(s.Others, sasl.SCRAMKeys{StoredKey: app.StoredKey, ServerKey: app.ServerKey, Used: func() { *w.used = alt }})
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
