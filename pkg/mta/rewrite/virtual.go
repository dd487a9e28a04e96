package rewrite

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Expand follows virtual aliases until no address changes any more. Without
// an alias the result is a itself. An address that expands into itself,
// alone or among others, is delivered as it stands. Too large or too deep an
// expansion, and one that goes round in circles, is an error of kind
// fail.Unavailable: the message must not be taken in part.
func (e *Engine) Expand(ctx context.Context, a addr.Address) ([]addr.Address, error) {
	if e.cfg.VirtualAlias.Empty() {
		return []addr.Address{a}, nil
	}
	x := &expansion{e: e, seen: map[string]bool{}, self: map[string]bool{}}
	if err := x.add(ctx, a, nil, 0); err != nil {
		return nil, err
	}
	return x.out, nil
}

type expansion struct {
	e     *Engine
	out   []addr.Address
	seen  map[string]bool // results
	self  map[string]bool // addresses that expand into themselves
	count int
}

// chain is the addresses that led to one.
type chain struct {
	key  string
	next *chain
}

func (c *chain) has(key string) bool {
	for ; c != nil; c = c.next {
		if c.key == key {
			return true
		}
	}
	return false
}

// add expands a, which the addresses of from have led to.
func (x *expansion) add(ctx context.Context, a addr.Address, from *chain, depth int) error {
	key := x.e.cfg.VirtualAlias.Key
	switch {
	case x.self[a.Key()]:
		return nil
	case depth > x.e.cfg.RecursionLimit || len(a.String()) > maxAddressLength || from.has(a.Key()):
		return fail.New(fail.Unavailable, "unreasonable %s map nesting for %.80s", key, a)
	}
	list, err := x.e.mapped(ctx, x.e.cfg.VirtualAlias, a, x.e.cfg.PropagateVirtual)
	if fail.Is(err, fail.NotFound) || err == nil && len(list) == 0 {
		x.final(a)
		return nil
	}
	if err != nil {
		return err
	}
	if x.count += len(list); x.count > x.e.cfg.ExpansionLimit {
		return fail.New(fail.Unavailable, "unreasonable %s map expansion size for %.80s", key, a)
	}
	say(ctx, key, "virtual alias", a, list...)
	from = &chain{a.Key(), from}
	for _, r := range list {
		if r.Key() == a.Key() {
			x.self[a.Key()] = true
			x.final(r)
		}
	}
	for _, r := range list {
		if err := x.add(ctx, r, from, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// final keeps an address once.
func (x *expansion) final(a addr.Address) {
	if k := a.Key(); !x.seen[k] {
		x.seen[k] = true
		x.out = append(x.out, a)
	}
}

// Known reports whether a table rewrites the recipient, so that it exists
// whatever its own domain's tables say. Errors: a table could not be asked.
func (e *Engine) Known(ctx context.Context, a addr.Address) (bool, error) {
	for _, m := range []Canonical{e.cfg.RecipientCanonical, e.cfg.Canonical, {Map: e.cfg.VirtualAlias, Places: EnvelopeRecipient}} {
		if m.Places&EnvelopeRecipient == 0 || m.Map.Empty() {
			continue
		}
		q, err := e.query(ctx, a)
		if err != nil {
			return false, err
		}
		switch _, err := m.Map.Find(ctx, a, q); {
		case err == nil:
			return true, nil
		case !fail.Is(err, fail.NotFound):
			return false, err
		}
	}
	return false, nil
}

// errNotMoved is the answer where there is no table: it costs nothing.
var errNotMoved = fail.New(fail.NotFound, "relocated_maps is empty")

// Moved is the text of relocated_maps for a recipient. Errors: fail.NotFound
// when it has not moved.
func (e *Engine) Moved(ctx context.Context, a addr.Address) (string, error) {
	if e.cfg.Relocated.Empty() {
		return "", errNotMoved
	}
	q, err := e.query(ctx, a)
	if err != nil {
		return "", err
	}
	found, err := e.cfg.Relocated.Find(ctx, a, q)
	return strings.TrimSpace(found.Value), err
}
