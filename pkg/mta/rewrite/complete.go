package rewrite

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Complete gives an address the domain that it lacks. The null sender and a
// domain literal stay as they are.
func (e *Engine) Complete(ctx context.Context, a addr.Address) addr.Address {
	if a.Null() {
		return a
	}
	was := a
	key := "rewrite.myorigin"
	if a.Domain == "" {
		a, key = e.oldForms(a)
	}
	switch {
	case a.Domain == "" && e.cfg.Origin != "" && !e.cfg.KeepBare:
		a.Domain = e.cfg.Origin
	case a.Domain != "" && e.cfg.AppendDot && e.cfg.Domain != "" && !strings.ContainsAny(a.Domain, ".:["):
		a.Domain += "." + e.cfg.Domain
		key = "rewrite.append_dot_mydomain"
	}
	if a != was {
		say(ctx, key, "complete", was, a)
	}
	return a
}

// oldForms reads host!user and user%host, where the operator wants them. A
// host that is no name leaves the local part alone.
func (e *Engine) oldForms(a addr.Address) (_ addr.Address, key string) {
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
	return a, "rewrite.myorigin"
}
