package userdb

import (
	"context"
	"iter"
	"slices"
	"strconv"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Lookup finds r's user. r.Userdb is what the password databases gave, at a
// login; afterwards it holds all fields. Errors: fail.NotFound for a user that
// is known not to exist; anything else is an outage.
func (c *Chain) Lookup(ctx context.Context, r *request.Request) (Record, error) {
	return c.Trace(ctx, r, nil)
}

// Trace is Lookup that reports what each database answered: nil, or the error.
// report may be nil.
func (c *Chain) Trace(ctx context.Context, r *request.Request, report func(db string, err error)) (Record, error) {
	w := walk{c: c, r: r}
	for i := w.next(0); i >= 0; i = w.next(i + 1) {
		e := &c.Entries[i]
		user, fields := r.User, slices.Clone(r.Userdb)
		err := w.ask(ctx, e)
		if err != nil {
			r.User, r.Userdb = user, fields
		}
		if report != nil {
			report(e.Name, err)
		}
		if !w.after(e, err) {
			break
		}
	}
	switch {
	case w.found:
		return c.record(r)
	case w.outage != nil:
		return Record{}, w.outage
	}
	return Record{}, fail.New(fail.NotFound, "no user %s", r.User)
}

// walk is one way through a chain.
type walk struct {
	c      *Chain
	r      *request.Request
	found  bool
	outage error // the first
}

// next finds the first database from i on that is to be asked; -1: none.
func (w *walk) next(i int) int {
	for ; i < len(w.c.Entries); i++ {
		e := &w.c.Entries[i]
		if e.Match.Fits(w.r) && !(e.Skip == SkipFound && w.found) && !(e.Skip == SkipNotFound && !w.found) {
			return i
		}
	}
	return -1
}

// after applies the rule that an answer earns and reports whether to go on.
func (w *walk) after(e *Entry, err error) bool {
	var r rule.Rule
	switch {
	case err == nil:
		r = e.Rules.Success
	case fail.Is(err, fail.NotFound):
		r = e.Rules.Failure
	default:
		r = e.Rules.InternalFail
		if w.outage == nil {
			w.outage = fail.Wrap(fail.Unavailable, err, "%s", e.Name)
		}
	}
	var goOn bool
	w.found, goOn = r.After(w.found)
	return goOn
}

// ask merges what a database says into the request.
func (w *walk) ask(ctx context.Context, e *Entry) error {
	if err := w.merge(e.Default); err != nil {
		return fail.Wrap(fail.Unavailable, err, "default_fields")
	}
	rec, err := w.c.find(ctx, e, w.r)
	if err != nil {
		return err
	}
	if rec.User != "" {
		w.r.User = rec.User
	}
	for _, id := range []struct {
		key string
		n   int
	}{{"uid", rec.UID}, {"gid", rec.GID}} {
		if id.n > 0 {
			w.r.AddUserdb(account.Field{Key: id.key, Value: strconv.Itoa(id.n)})
		}
	}
	if rec.Home != "" {
		w.r.AddUserdb(account.Field{Key: "home", Value: rec.Home})
	}
	for _, f := range rec.Fields {
		w.r.AddUserdb(f)
	}
	if err := w.merge(e.Override); err != nil {
		return fail.Wrap(fail.Unavailable, err, "override_fields")
	}
	if _, down := account.Get(w.r.Userdb, "tempfail"); down {
		return fail.New(fail.Unavailable, "user %s: the database says so (tempfail)", w.r.User)
	}
	return nil
}

// merge takes fields from the configuration.
func (w *walk) merge(fs request.Fields) error {
	if len(fs) == 0 {
		return nil
	}
	fields, err := fs.Expand(w.r)
	for _, f := range fields {
		w.r.AddUserdb(f)
	}
	return err
}

// find asks the driver, or remembers what it said.
func (c *Chain) find(ctx context.Context, e *Entry, r *request.Request) (Record, error) {
	parts := c.parts(e, r)
	if parts == nil {
		return e.Driver.Lookup(ctx, r)
	}
	key := c.Cache.Key(parts...)
	if v, ok := c.Cache.Get(key); ok {
		if rec, known := v.(Record); known {
			return rec, nil
		}
		return Record{}, fail.New(fail.NotFound, "no user %s", r.User)
	}
	user := r.User
	rec, err := e.Driver.Lookup(ctx, r)
	switch {
	case err == nil:
		c.Cache.Put(key, rec, rec.size(), c.TTL.Positive, user, rec.User)
	case fail.Is(err, fail.NotFound):
		c.Cache.Put(key, nil, 0, c.TTL.Negative, user)
	}
	return rec, err
}

// parts is the question for the cache; nil when its answer must not be kept.
func (c *Chain) parts(e *Entry, r *request.Request) []string {
	cacheable, ok := e.Driver.(Cacheable)
	if !ok || c.Cache == nil || c.TTL == (TTL{}) {
		return nil
	}
	parts := []string{"userdb", e.ID}
	for _, name := range cacheable.Variables() {
		value, ok := r.Var(name)
		if !ok {
			return nil
		}
		parts = append(parts, name, value)
	}
	return parts
}

func (r *Record) size() int {
	n := len(r.User) + len(r.Home)
	for _, f := range r.Fields {
		n += len(f.Key) + len(f.Value) + 48
	}
	return n
}

// record makes the answer of all fields, and fills in the defaults.
func (c *Chain) record(r *request.Request) (Record, error) {
	rec, err := FromFields(r.User, r.Userdb)
	if err != nil {
		return Record{}, err
	}
	if rec.UID < 0 {
		rec.UID = c.Defaults.UID
	}
	if rec.GID < 0 {
		rec.GID = c.Defaults.GID
	}
	if rec.Home == "" && !c.Defaults.Home.Empty() {
		if rec.Home, err = c.Defaults.Home.PathFor(r); err != nil {
			return Record{}, fail.Wrap(fail.Unavailable, err, "user %s", rec.User)
		}
	}
	more, err := c.Fields.Expand(r)
	if err != nil {
		return Record{}, fail.Wrap(fail.Unavailable, err, "user %s", rec.User)
	}
	for _, f := range append(more, c.Defaults.Fields...) {
		if !rec.Has(f.Key) {
			rec.Fields = append(rec.Fields, f)
		}
	}
	return rec, nil
}

// List yields the users of all databases that can list theirs; one that two of
// them have comes twice. An error is the last thing yielded.
func (c *Chain) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		able := false
		for i := range c.Entries {
			lister, ok := c.Entries[i].Driver.(Lister)
			if !ok {
				continue
			}
			able = true
			for user, err := range lister.List(ctx) {
				if !yield(user, err) || err != nil {
					return
				}
			}
		}
		if !able {
			yield("", fail.New(fail.Permanent, "no user database can list its users"))
		}
	}
}

// HasDomain is true if one database says so, and unknown if one that could
// not be asked might have said so.
func (c *Chain) HasDomain(ctx context.Context, domain string) (bool, error) {
	var outage error
	for i := range c.Entries {
		finder, ok := c.Entries[i].Driver.(DomainFinder)
		if !ok {
			continue
		}
		has, err := finder.HasDomain(ctx, domain)
		if has && err == nil {
			return true, nil
		}
		if err != nil && outage == nil && !fail.Is(err, fail.NotFound) {
			outage = err
		}
	}
	return false, outage
}

// Addresses lists the databases that know of addresses, in order.
func (c *Chain) Addresses() []Addresses {
	var all []Addresses
	for i := range c.Entries {
		if a, ok := c.Entries[i].Driver.(Addresses); ok {
			all = append(all, a)
		}
	}
	return all
}
