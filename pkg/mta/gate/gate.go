package gate

import (
	"context"
	"net/netip"

	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Recipients knows which mailboxes exist.
type Recipients interface {
	// Exists returns nil for a mailbox that takes mail now, fail.NotFound for
	// one that is known not to exist, fail.Full for one over its quota. Any
	// other error means "could not look" and defers.
	Exists(ctx context.Context, rcpt addr.Address) error
}

// Gate evaluates policies. It is immutable and safe for concurrent use.
type Gate struct {
	routes     *route.Table
	recipients Recipients
	trusted    []netip.Prefix
}

// New makes a gate. recipients may be nil: then every local recipient exists,
// which is for tests and for null clients without mailboxes only.
func New(routes *route.Table, recipients Recipients, trusted []netip.Prefix) *Gate {
	return &Gate{routes: routes, recipients: recipients, trusted: trusted}
}

// TrustedPeer reports whether ip is in a trusted network. An IPv4 address
// inside IPv6 counts as the IPv4 address.
func (g *Gate) TrustedPeer(ip netip.Addr) bool {
	ip = ip.Unmap()
	for _, p := range g.trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// Check asks one stage. The answer is Permit, Reject or Defer, never Next.
func (g *Gate) Check(ctx context.Context, p *Policy, s Stage, f Facts) Verdict {
	for _, r := range p[s] {
		v := rules[r].check(ctx, g, f)
		if v.Refused() {
			return v
		}
		if v.Action == Permit {
			break
		}
	}
	// Local programs cannot correct an address, and some take one refusal for
	// that of all recipients: the sender hears of unknown ones by mail.
	if s == Rcpt && !f.Local {
		if v := g.checkListed(ctx, f); v.Refused() {
			return v
		}
	}
	return Verdict{Action: Permit}
}

// checkListed refuses recipients that our own domains do not have, whoever
// on the network the sender is. The address is asked as given, then without its detail.
func (g *Gate) checkListed(ctx context.Context, f Facts) Verdict {
	rcpt, err := g.routes.Resolve(ctx, f.Rcpt)
	if err != nil {
		return lookupFailed(f.Rcpt.Path(), err)
	}
	class, err := g.routes.Class(ctx, rcpt.Domain)
	if err != nil {
		return lookupFailed(f.Rcpt.Path(), err)
	}
	if class != route.Mailbox || g.recipients == nil {
		return Verdict{}
	}
	return g.listed(ctx, f.Rcpt, rcpt)
}

func (g *Gate) listed(ctx context.Context, given, rcpt addr.Address) Verdict {
	err := g.recipients.Exists(ctx, rcpt)
	if base := rcpt.Base(g.routes.Delimiter()); fail.Is(err, fail.NotFound) && base != rcpt {
		err = g.recipients.Exists(ctx, base)
	}
	switch {
	case err == nil:
		return Verdict{}
	case fail.Is(err, fail.NotFound):
		return refuse(550, 5, 1, 1, given.Path()+": Recipient address rejected: User unknown in virtual mailbox table")
	case fail.Is(err, fail.Full):
		return refuse(452, 4, 2, 2, given.Path()+": Recipient address rejected: Mailbox is full")
	}
	return lookupFailed(given.Path(), err)
}
