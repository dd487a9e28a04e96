package gate

import (
	"context"
	"net/netip"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// Recipients knows which mailboxes exist.
type Recipients interface {
	// Exists returns nil for a mailbox that takes mail now, fail.NotFound for
	// one that is known not to exist, fail.Full for one over its quota. Any
	// other error means "could not look" and defers.
	Exists(ctx context.Context, rcpt addr.Address) error
}

// Rewriting knows the addresses that tables turn into others.
type Rewriting interface {
	// Known reports whether a table rewrites the recipient; then it exists.
	Known(ctx context.Context, rcpt addr.Address) (bool, error)
	// Moved is where a recipient has moved; fail.NotFound when it has not.
	Moved(ctx context.Context, rcpt addr.Address) (string, error)
}

// Owners knows who may use a sender address.
type Owners interface {
	// Owners are the logins that may send as sender; fail.NotFound when
	// nobody is listed for it.
	Owners(ctx context.Context, sender addr.Address) ([]string, error)
}

// Config is what a Gate is made from. Only Routes is required.
type Config struct {
	Routes *route.Table
	// Recipients know who exists in a class of ours. In a class without,
	// everybody does, but in Alias nobody beyond what Rewriting knows.
	Recipients map[route.Class]Recipients
	Rewriting  Rewriting // nil: no tables
	Owners     Owners    // nil: no sender has an owner
	Trusted    []netip.Prefix
	// Certs has the fingerprints of client certificates that PermitCert permits.
	Certs maps.Map

	// Codes are the replies to an address that does not exist, by class; 0 is
	// 550 (Postfix's unknown_local_recipient_reject_code and the like).
	Codes map[route.Class]int
	// AcceptUnlisted takes recipients that do not exist, and returns the mail
	// later. RejectUnlistedSender refuses senders in domains of ours that do not.
	AcceptUnlisted, RejectUnlistedSender bool
	// AllowRouting lets strangers name a further host in a local part
	// (user%host, host!user, "user@host"): Postfix's allow_untrusted_routing.
	AllowRouting bool
}

// Gate evaluates policies. It is immutable and safe for concurrent use.
type Gate struct {
	cfg    Config
	routes *route.Table
}

// New makes a gate.
func New(cfg Config) *Gate { return &Gate{cfg, cfg.Routes} }

// TrustedPeer reports whether ip is in a trusted network.
func (g *Gate) TrustedPeer(ip netip.Addr) bool { return netx.Among(g.cfg.Trusted, ip) }

// Check asks one stage. The answer is Permit, Reject or Defer, never Next.
func (g *Gate) Check(ctx context.Context, p *Policy, s Stage, f Facts) Verdict {
	switch {
	case s == Mail && g.routes.OptionLike(f.Sender):
		return refuse(501, 5, 1, 7, "Bad sender address syntax")
	case s == Rcpt && g.routes.OptionLike(f.Rcpt):
		return refuse(501, 5, 1, 3, "Bad recipient address syntax")
	}
	for _, r := range p[s] {
		v := rules[r].check(ctx, g, f)
		explain.Say(ctx, func() explain.Step { return explained(s, r, v) })
		if v.Refused() {
			return v
		}
		if v.Action == Permit {
			break
		}
	}
	if v := g.unlisted(ctx, s, f); v.Refused() {
		return v
	}
	return Verdict{Action: Permit}
}

// explained is the answer of one rule, for whoever asks.
func explained(s Stage, r Rule, v Verdict) explain.Step {
	result := v.String()
	switch v.Action {
	case Next:
		result = "no opinion"
	case Permit:
		result = "permit"
	}
	return explain.Step{What: "restriction", Input: s.String() + " " + r.String(), Result: result}
}
