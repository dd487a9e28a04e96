package rewrite

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Sender rewrites an envelope sender. The null sender stays and is in no table,
// and our own MAILER-DAEMON is another name of it.
func (e *Engine) Sender(ctx context.Context, a addr.Address) (addr.Address, error) {
	a = e.Complete(ctx, a)
	if strings.EqualFold(a.Local, "mailer-daemon") && (a.Domain == "" || a.Domain == e.cfg.Origin) {
		return addr.Address{}, nil
	}
	return e.place(ctx, a, EnvelopeSender)
}

// Recipient rewrites an envelope recipient up to, not including, virtual
// aliases.
func (e *Engine) Recipient(ctx context.Context, a addr.Address) (addr.Address, error) {
	return e.place(ctx, a, EnvelopeRecipient)
}

// place is canonical rewriting and masquerading of an address at a place: the
// table of its own kind first, then the common one (canonical(5)).
func (e *Engine) place(ctx context.Context, a addr.Address, at Places) (addr.Address, error) {
	a = e.Complete(ctx, a)
	if a.Null() {
		return a, nil
	}
	own := e.cfg.SenderCanonical
	if at&(EnvelopeRecipient|HeaderRecipient) != 0 {
		own = e.cfg.RecipientCanonical
	}
	var err error
	for _, c := range []Canonical{own, e.cfg.Canonical} {
		if c.Places&at == 0 || c.Map.Empty() {
			continue
		}
		if a, err = e.single(ctx, c.Map, "canonical", a, e.cfg.PropagateCanonical); err != nil {
			return a, err
		}
	}
	if e.cfg.MasqueradePlaces&at != 0 {
		a = e.masquerade(ctx, a)
	}
	return a, nil
}

// single maps one address to one, again and again until nothing changes.
func (e *Engine) single(ctx context.Context, m maps.Map, what string, a addr.Address, propagate bool) (addr.Address, error) {
	for range maxCanonical {
		to, found, err := e.once(ctx, m, what, a, propagate)
		if !found || err != nil || strings.EqualFold(to.String(), a.String()) {
			return to, err
		}
		if a = to; len(a.String()) > maxAddressLength {
			break
		}
	}
	return a, fail.Wrap(fail.Unavailable, ErrExpansion, "unreasonable %s map nesting for %.80s", m.Key, a)
}

// once maps one address to one. Of several results the first counts.
func (e *Engine) once(ctx context.Context, m maps.Map, what string, a addr.Address, propagate bool) (_ addr.Address, found bool, _ error) {
	list, err := e.mapped(ctx, m, a, propagate)
	switch {
	case fail.Is(err, fail.NotFound) || err == nil && len(list) == 0:
		return a, false, nil
	case err != nil:
		return a, false, err
	}
	if !strings.EqualFold(list[0].String(), a.String()) {
		say(ctx, m.Key, what, a, list[0])
	}
	return list[0], true, nil
}

// masquerade replaces a name below a listed domain by that domain. The first
// entry that fits decides; one with "!" leaves the address alone.
func (e *Engine) masquerade(ctx context.Context, a addr.Address) addr.Address {
	for _, name := range e.cfg.MasqueradeExcept {
		if strings.EqualFold(name, a.Local) {
			return a
		}
	}
	for _, m := range e.cfg.Masquerade {
		name, exempt := strings.CutPrefix(m, "!")
		below := strings.HasSuffix(a.Domain, "."+name)
		switch {
		case exempt && (below || a.Domain == name), a.Domain == name:
			return a
		case !exempt && below:
			was := a
			a.Domain = name
			say(ctx, "rewrite.masquerade_domains", "masquerade", was, a)
			return a
		}
	}
	return a
}

// Outbound rewrites an address of mail that leaves for another host. The result
// is not looked up again (generic(5)).
func (e *Engine) Outbound(ctx context.Context, a addr.Address) (addr.Address, error) {
	if a.Null() || e.cfg.Generic.Empty() {
		return a, nil
	}
	to, _, err := e.once(ctx, e.cfg.Generic, "generic", a, e.cfg.PropagateGeneric)
	return to, err
}

// RewritesOutbound reports whether Outbound may change anything.
func (e *Engine) RewritesOutbound() bool { return !e.cfg.Generic.Empty() }
