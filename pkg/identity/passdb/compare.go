package passdb

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/cache"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// compare is a hash, or the memory of one; an empty stored password stands for
// the decoy. What is remembered depends on the stored password, so that a
// changed one takes effect at once; wrong ones are remembered too, so that a
// phone with an old password costs no hash each time.
func (c *Chain) compare(ctx context.Context, id, user, stored, password string) (bool, error) {
	return c.comparison(ctx, c.verified(id, user, stored, password), user, stored, password)
}

// comparison is compare for a key that is known already.
func (c *Chain) comparison(ctx context.Context, key cache.Key, user, stored, password string) (bool, error) {
	if v, ok := c.Cache.Get(key); ok {
		right, _ := v.(bool)
		return right, nil
	}
	h := c.decoy()
	if stored != "" {
		var err error
		if h, err = scheme.ParseFor(stored, user, c.Policy); err != nil {
			return false, err
		}
		c.sample.Store(&h)
	}
	right, err := c.Hasher.Verify(ctx, h, password)
	right = right && stored != ""
	if err == nil {
		c.Cache.Put(key, right, 0, c.TTL.Verified, user)
	}
	return right, err
}

// decoy is the last stored password that was compared with, whosever it is: it
// costs what the passwords of this site cost, whatever the scheme. Its verdict
// counts for nothing. Decoy serves until there was one.
func (c *Chain) decoy() scheme.Hash {
	if h := c.sample.Load(); h != nil {
		return *h
	}
	return c.Decoy
}

// verified is the question whether a password is the stored one.
func (c *Chain) verified(id, user, stored, password string) cache.Key {
	return c.Cache.Key("verified", id, user, stored, password)
}

// answer is what is kept of a Cacheable driver's: never a stored password.
type answer struct {
	account  Account
	why      Reason // when it was a refusal
	refused  bool
	compared cache.Key // of a wrong password: where it is remembered that it was hashed
}

// size is about what an answer takes.
func (a answer) size() int {
	n := len(a.account.User)
	for _, f := range append(a.account.Fields, a.account.Userdb...) {
		n += len(f.Key) + len(f.Value) + 48
	}
	return n
}

// parts is the question for the cache; nil when its answer must not be kept.
func (w *walk) parts(e *Entry, more ...string) []string {
	cacheable, ok := e.Driver.(Cacheable)
	if !ok || w.c.Cache == nil || w.c.TTL.Positive <= 0 && w.c.TTL.Negative <= 0 {
		return nil
	}
	parts := append(more, e.ID)
	for _, name := range cacheable.Variables() {
		value, ok := w.r.Var(name)
		if !ok {
			return nil
		}
		parts = append(parts, name, value)
	}
	return parts
}

// recall looks the question up.
func (w *walk) recall(parts []string) (answer, bool) {
	if parts == nil {
		return answer{}, false
	}
	v, ok := w.c.Cache.Get(w.c.Cache.Key(parts...))
	a, _ := v.(answer)
	return a, ok
}

// keep remembers whether a looked-up account's password was right, without the
// stored one.
func (w *walk) keep(e *Entry, f *found, right bool) {
	if f.Alternatives != nil {
		return
	}
	parts := w.parts(e, "password", w.r.Password)
	if parts == nil {
		return
	}
	a := answer{account: f.Account, refused: !right, why: Mismatch}
	a.account.Stored = ""
	ttl := w.c.TTL.Positive
	if !right {
		a.account, ttl = Account{}, w.c.TTL.Negative
		a.compared = w.c.verified(e.ID, f.User, f.Stored, w.r.Password)
	}
	w.c.Cache.Put(w.c.Cache.Key(parts...), a, a.size(), ttl, w.r.User, f.User)
}

// errUnable: the driver cannot serve this way.
var errUnable = fail.New(fail.Permanent, "cannot serve this mechanism")

// find asks the driver, or remembers what it said.
func (w *walk) find(ctx context.Context, e *Entry) (found, error) {
	unknown := w.parts(e, "unknown")
	if _, ok := w.recall(unknown); ok {
		return found{}, fail.New(fail.NotFound, "no user %s", w.r.User)
	}
	f, err := w.query(ctx, e)
	if fail.Is(err, fail.NotFound) && unknown != nil {
		w.c.Cache.Put(w.c.Cache.Key(unknown...), answer{refused: true}, 0, w.c.TTL.Negative, w.r.User)
	}
	return f, err
}

func (w *walk) query(ctx context.Context, e *Entry) (found, error) {
	lookuper, looks := e.Driver.(Lookuper)
	verifier, verifies := e.Driver.(Verifier)
	tokens, _ := e.Driver.(TokenVerifier)
	switch {
	case looks && (w.verified || e.Deny || w.way == bySecret):
		a, err := lookuper.Lookup(ctx, w.r)
		return found{Account: a}, err
	case w.way == byToken:
		a, err := tokens.VerifyToken(ctx, w.r, w.token)
		return found{Account: a, proven: true}, err
	case w.way == byPassword && verifies:
		return w.verify(ctx, e, verifier)
	case looks:
		if a, ok := w.recall(w.parts(e, "password", w.r.Password)); ok {
			return w.recalled(ctx, e, a)
		}
		a, err := lookuper.Lookup(ctx, w.r)
		return found{Account: a}, err
	}
	return found{}, errUnable
}

// verify lets the driver compare the password.
func (w *walk) verify(ctx context.Context, e *Entry, v Verifier) (found, error) {
	parts := w.parts(e, "password", w.r.Password)
	if a, ok := w.recall(parts); ok {
		return w.recalled(ctx, e, a)
	}
	account, err := v.Verify(ctx, w.r, w.r.Password)
	refused := RefusedOf(err)
	if parts != nil && (err == nil || refused != nil && refused.Reason == Mismatch) {
		a, ttl := answer{account: account}, w.c.TTL.Positive
		if err != nil {
			a, ttl = answer{refused: true, why: Mismatch}, w.c.TTL.Negative
		}
		w.c.Cache.Put(w.c.Cache.Key(parts...), a, a.size(), ttl, w.r.User, account.User)
	}
	return found{Account: account, proven: true}, err
}

// recalled is an answer from memory. A refusal costs what it costs for users
// that nobody knows: a hash, unless there was one lately.
func (w *walk) recalled(ctx context.Context, e *Entry, a answer) (found, error) {
	if !a.refused {
		return found{Account: a.account, proven: true}, nil
	}
	if a.compared != (cache.Key{}) {
		w.hashed = true
		if _, err := w.c.comparison(ctx, a.compared, w.r.Claimed, "", w.r.Password); err != nil {
			return found{}, err
		}
	}
	return found{}, Refuse(e.Name, a.why)
}

// rehash stores the password that was just right in a better form.
func (w *walk) rehash(ctx context.Context, password string) {
	if w.c.Rehash == nil || w.right == nil || w.right.stored == "" || w.right.alt != nil {
		return
	}
	db, ok := w.right.entry.Driver.(Rehasher)
	lookuper, looks := w.right.entry.Driver.(Lookuper)
	if !ok || !looks {
		return
	}
	better, err := w.c.Rehash(ctx, w.r.User, w.right.stored, password)
	if err != nil || better == "" {
		w.trouble(err)
		return
	}
	r := request.Request{User: w.r.User, Claimed: w.r.Claimed, Original: w.r.Original, Service: w.r.Service}
	// The password may have been changed while we hashed.
	if a, err := lookuper.Lookup(ctx, &r); err != nil || a.Stored != w.right.stored {
		w.trouble(err)
		return
	}
	w.trouble(db.SetPassword(ctx, &r, better))
}

func (w *walk) trouble(err error) {
	if err != nil {
		w.v.Trouble = append(w.v.Trouble, fail.Wrap(fail.Unavailable, err, "%s: storing the password of user %s in a better form", w.right.entry.Name, w.r.User))
	}
}
