package rewrite

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Complete gives an address the domain that it lacks. The null sender and a
// domain literal stay as they are.
func (e *Engine) Complete(ctx context.Context, a addr.Address) addr.Address {
	return e.complete(ctx, a, e.cfg.Origin, e.cfg.Domain, "rewrite.myorigin")
}

// completeField is Complete for an address in a header.
func (e *Engine) completeField(ctx context.Context, a addr.Address) addr.Address {
	if e.cfg.FieldDomain == "" {
		return e.Complete(ctx, a)
	}
	return e.complete(ctx, a, e.cfg.FieldDomain, e.cfg.FieldDomain, "rewrite.remote_header_rewrite_domain")
}

func (e *Engine) complete(ctx context.Context, a addr.Address, origin, domain, key string) addr.Address {
	if a.Null() {
		return a
	}
	was := a
	if a.Domain == "" {
		a, key = e.oldForms(a, key)
	}
	if a.Domain == "" && origin != "" && !e.cfg.KeepBare {
		a.Domain = origin
	}
	if a.Domain != "" && e.cfg.AppendDot && domain != "" && !strings.ContainsAny(a.Domain, ".:[") {
		a.Domain += "." + domain
		key = "rewrite.append_dot_mydomain"
	}
	if a != was {
		say(ctx, key, "complete", was, a)
	}
	return a
}

// oldForms reads host!user and user%host, where the operator wants them. A
// host that is no name leaves the local part alone.
func (e *Engine) oldForms(a addr.Address, usual string) (_ addr.Address, key string) {
	if host, user, ok := strings.Cut(a.Local, "!"); e.cfg.SwapBang && ok && user != "" {
		if d, err := addr.Domain(host); err == nil {
			return addr.Address{Local: user, Domain: d}, "rewrite.swap_bangpath"
		}
	}
	if i := strings.LastIndexByte(a.Local, '%'); e.cfg.PercentHack && i > 0 {
		if d, err := addr.Domain(a.Local[i+1:]); err == nil {
			return addr.Address{Local: a.Local[:i], Domain: d}, "rewrite.allow_percent_hack"
		}
	}
	return a, usual
}
