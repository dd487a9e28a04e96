package rewrite

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// ErrExpansion says that tables lead from one address to others without end.
var ErrExpansion = errors.New("the tables have no end")

// Expand follows virtual aliases until no address changes any more. Without
// an alias the result is a itself. An address that expands into itself,
// alone or among others, is delivered as it stands. Too large or too deep an
// expansion, and one that goes round in circles without such an address, is
// ErrExpansion of kind fail.Unavailable: the message must not be taken in part.
func (e *Engine) Expand(ctx context.Context, a addr.Address) ([]addr.Address, error) {
	if e.cfg.VirtualAlias.Empty() {
		return []addr.Address{a}, nil
	}
	x := &expansion{e: e, list: []addr.Address{a}}
	for i := 0; i < len(x.list); i++ {
		if err := x.follow(ctx, i); err != nil {
			return nil, err
		}
	}
	return x.final(), nil
}

type expansion struct {
	e    *Engine
	list []addr.Address  // its first members are final
	self map[string]bool // addresses that expand into themselves
}

// follow makes list[i] final: it becomes the first of its results again and
// again, and the others go to the end of the list. This is Postfix's way, and
// decides which tables with circles in them come to an end.
func (x *expansion) follow(ctx context.Context, i int) error {
	cfg := &x.e.cfg
	var before []string // what list[i] has been
	for {
		a := x.list[i]
		k := a.Key()
		if x.self[k] {
			return nil
		}
		if len(before) >= cfg.RecursionLimit || slices.Contains(before, k) {
			return fail.Wrap(fail.Unavailable, ErrExpansion, "unreasonable %s map nesting for %.80s", cfg.VirtualAlias.Key, a)
		}
		list, err := x.e.mapped(ctx, cfg.VirtualAlias, a, cfg.PropagateVirtual)
		switch {
		case fail.Is(err, fail.NotFound) || err == nil && len(list) == 0:
			return nil
		case err != nil:
			return err
		}
		say(ctx, cfg.VirtualAlias.Key, "virtual alias", a, list...)
		for _, r := range list {
			if len(r.String()) > maxAddressLength {
				return fail.Wrap(fail.Unavailable, ErrExpansion, "unreasonable %s map result length for %.80s", cfg.VirtualAlias.Key, a)
			}
			if r.Key() == k {
				if x.self == nil {
					x.self = map[string]bool{}
				}
				x.self[k] = true
			}
		}
		x.list[i] = list[0]
		x.list = append(x.list, list[1:]...)
		if len(x.list) > cfg.ExpansionLimit {
			return fail.Wrap(fail.Unavailable, ErrExpansion, "unreasonable %s map expansion size for %.80s", cfg.VirtualAlias.Key, a)
		}
		before = append(before, k)
	}
}

// final are the results, each of them once.
func (x *expansion) final() []addr.Address {
	if len(x.list) == 1 {
		return x.list
	}
	seen := make(map[string]bool, len(x.list))
	return slices.DeleteFunc(x.list, func(a addr.Address) bool {
		k := a.Key()
		was := seen[k]
		seen[k] = true
		return was
	})
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
