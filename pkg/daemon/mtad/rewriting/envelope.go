package rewriting

import (
	"context"
	"net/netip"
	"strings"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// Rcpt is one recipient as the queue gets it.
type Rcpt struct {
	Addr  addr.Address
	Given int // index of the recipient it came from; -1 for a blind copy
}

// Recipients turns the recipients of a message into those it is sent to, each
// of them once. sender is the one that Sender gave. Errors: a table could not
// be asked, or an expansion has no end.
func (r *Rewriter) Recipients(ctx context.Context, sender addr.Address, given []addr.Address) ([]Rcpt, error) {
	out := make([]Rcpt, 0, len(given))
	seen := make(map[addr.Address]bool, len(given))
	canonical := make([]addr.Address, len(given))
	for i, a := range given {
		var err error
		if canonical[i], err = r.recipient(ctx, a); err != nil {
			return nil, err
		}
		if out, err = r.expand(ctx, out, seen, canonical[i], i); err != nil {
			return nil, err
		}
	}
	if !r.copies {
		return out, nil
	}
	copies, err := r.Copies(ctx, sender, canonical)
	if err != nil {
		return nil, err
	}
	for _, a := range copies {
		if out, err = r.expand(ctx, out, seen, a, -1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *Rewriter) expand(ctx context.Context, out []Rcpt, seen map[addr.Address]bool, a addr.Address, given int) ([]Rcpt, error) {
	list, err := r.Expand(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, to := range list {
		if !seen[to] {
			seen[to] = true
			out = append(out, Rcpt{to, given})
		}
	}
	return out, nil
}

// recipient is Engine.Recipient behind SRS.
func (r *Rewriter) recipient(ctx context.Context, a addr.Address) (addr.Address, error) {
	if r.srs != nil && r.srs.Is(a) {
		if to, err := r.srs.Reverse(a); err == nil {
			explain.Say(ctx, func() explain.Step {
				return explain.Step{Key: "rewrite.srs", What: "bounce of forwarded mail", Input: a.String(), Result: to.String()}
			})
			a = to
		}
	}
	return r.Recipient(ctx, a)
}

// Known implements gate.Rewriting.
func (r *Rewriter) Known(ctx context.Context, a addr.Address) (bool, error) {
	if r.srs != nil && r.srs.Is(a) {
		if _, err := r.srs.Reverse(a); err == nil {
			return true, nil
		}
	}
	return r.Engine.Known(ctx, r.Complete(ctx, a))
}

// Forwarded is the sender under which mail of sender goes to rcpt, which
// stands for the recipient original: our SRS address if the mail leaves us
// because of an address of ours, and the sender is a stranger.
func (r *Rewriter) Forwarded(ctx context.Context, sender, rcpt, original addr.Address) (addr.Address, error) {
	if r.srs == nil || sender.Null() || original.Null() {
		return sender, nil
	}
	for _, c := range []struct {
		domain string
		ours   bool
	}{{sender.Domain, false}, {rcpt.Domain, false}, {original.Domain, true}} {
		class, err := r.routes.Class(ctx, c.domain)
		if err != nil || class.Ours() != c.ours {
			return sender, err
		}
	}
	to, err := r.srs.Forward(sender)
	if err != nil {
		return sender, nil // too long to be rewritten; it is better sent than not
	}
	explain.Say(ctx, func() explain.Step {
		return explain.Step{Key: "rewrite.srs", What: "sender of forwarded mail", Input: sender.String(), Result: to.String()}
	})
	return to, nil
}

// Home reports whether a client is one of this site's own, whose headers are
// rewritten.
func (r *Rewriter) Home(local bool, user string, ip netip.Addr) bool {
	return local || user != "" && r.authed || netx.Among(r.clients, ip)
}

// FieldFor is what rewrites the fields of a message's header: of this site's
// own clients, or of others. nil for nothing.
func (r *Rewriter) FieldFor(home bool) func(ctx context.Context, name, value string) (out string, changed bool, err error) {
	switch {
	case home:
		return r.Field
	case r.remote != nil:
		return r.remote.Field
	}
	return nil
}

// Owners implements gate.Owners.
func (r *Rewriter) Owners(ctx context.Context, sender addr.Address) ([]string, error) {
	local, err := r.routes.Class(ctx, sender.Domain)
	if err != nil {
		return nil, err
	}
	found, err := r.logins.Find(ctx, sender, maps.Query{Delims: r.delims, Bare: local == route.Local || strings.EqualFold(sender.Domain, r.origin)})
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(found.Value, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }), nil
}
