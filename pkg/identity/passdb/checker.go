package passdb

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Hasher compares a password with a hash, where hashing may be slow.
type Hasher interface {
	Verify(ctx context.Context, h scheme.Hash, password string) (bool, error)
}

// Checker asks its databases in turn until one confirms the password.
type Checker struct {
	DBs    []DB
	Hasher Hasher
	Cache  *Cache // nil: none
	Policy scheme.Policy
	// Decoy is hashed for users that nobody knows, so that they take as long
	// as the others. It should cost what the users' hashes cost; see
	// scheme.Decoy.
	Decoy scheme.Hash
}

// Verify returns the account that q proves. Errors: a *Refused in the chain
// when every database was asked and none confirmed, otherwise an outage.
func (c *Checker) Verify(ctx context.Context, q Query) (Account, error) {
	t := trial{c: c, q: q, why: UnknownUser}
	for _, db := range c.DBs {
		a, ok := t.ask(ctx, db)
		if ok {
			return a, nil
		}
	}
	if !t.hashed {
		if _, err := c.Hasher.Verify(ctx, c.Decoy, q.Password); err != nil {
			t.failed(err)
		}
	}
	if t.outage != nil {
		return Account{}, t.outage
	}
	return Account{}, Refuse(t.by, t.why)
}

// trial is one Verify.
type trial struct {
	c      *Checker
	q      Query
	hashed bool
	outage error  // the first
	by     string // the database whose refusal counts
	why    Reason
}

func (t *trial) failed(err error) {
	if t.outage == nil {
		t.outage = err
	}
}

// refused keeps the most telling reason of the chain.
func (t *trial) refused(db DB, why Reason) {
	if t.by == "" || why > t.why {
		t.by, t.why = db.Name(), why
	}
}

func (t *trial) ask(ctx context.Context, db DB) (Account, bool) {
	a, err := db.Lookup(ctx, t.q.User)
	switch {
	case fail.Is(err, fail.NotFound):
		t.refused(db, UnknownUser)
		return Account{}, false
	case err != nil:
		t.failed(fail.Wrap(fail.Unavailable, err, "%s", db.Name()))
		return Account{}, false
	}
	alt := alternative(a, t.q.Password)
	if alt == nil && a.Stored == "" {
		t.refused(db, Locked)
		return Account{}, false
	}
	right := alt != nil
	if !right {
		right, err = t.compare(ctx, db, a)
	}
	if err != nil {
		t.failed(err)
		return Account{}, false
	}
	if !right {
		t.refused(db, Mismatch)
		return Account{}, false
	}
	return t.admit(db, a, alt)
}

// admit decides what else counts. It comes after the password: a guesser must
// not learn that there is such a user.
func (t *trial) admit(db DB, a Account, alt *Alternative) (Account, bool) {
	allowed, err := netAllowed(a.Fields, t.q.Remote)
	if err != nil {
		t.failed(fail.Wrap(fail.Unavailable, err, "%s: user %s", db.Name(), a.User))
		return Account{}, false
	}
	switch {
	case !allowed:
		t.refused(db, Net)
		return Account{}, false
	case a.Disabled:
		t.refused(db, Disabled)
		return Account{}, false
	case alt == nil:
		return a, true
	}
	a.Used = alt.Label
	if alt.OnUse != nil {
		alt.OnUse()
	}
	return a, true
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

func (t *trial) compare(ctx context.Context, db DB, a Account) (bool, error) {
	if t.c.Cache.verified(db.Name(), a.User, a.Stored, t.q.Password) {
		return true, nil
	}
	h, err := scheme.Parse(a.Stored, t.c.Policy)
	if err != nil {
		return false, fail.Wrap(fail.Unavailable, err, "%s: user %s", db.Name(), a.User)
	}
	t.hashed = true
	right, err := t.c.Hasher.Verify(ctx, h, t.q.Password)
	if right {
		t.c.Cache.remember(db.Name(), a.User, a.Stored, t.q.Password)
	}
	return right, err
}

// Lookup finds an account without a password, for the master protocol.
func (c *Checker) Lookup(ctx context.Context, user string) (Account, error) {
	var outage error
	for _, db := range c.DBs {
		a, err := db.Lookup(ctx, user)
		if err == nil {
			return a, nil
		}
		if !fail.Is(err, fail.NotFound) && outage == nil {
			outage = fail.Wrap(fail.Unavailable, err, "%s", db.Name())
		}
	}
	if outage != nil {
		return Account{}, outage
	}
	return Account{}, fail.New(fail.NotFound, "no user %s", user)
}
