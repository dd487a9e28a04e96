package gate

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Rule names one restriction.
type Rule uint8

// The rules.
const (
	PermitTrusted       Rule = iota // the peer is in a trusted network
	PermitAuthenticated             // the session is authenticated
	PermitLocal                     // the session came by the submit socket
	DenyRelay                       // the recipient's domain is not ours
	NeedTLS                         // the session is not encrypted
	NeedAuth                        // the session is not authenticated
	NeedLocal                       // the session did not come by the submit socket
	NeedFullSender                  // the sender has no domain (the null sender passes)
	NeedFullRecipient               // the recipient has no domain (postmaster passes)

	RejectSenderMismatch                // the sender belongs to somebody else, or the user has no right to it
	RejectKnownSenderMismatch           // the same, but an address that nobody is listed for passes
	RejectAuthenticatedSenderMismatch   // RejectSenderMismatch for those who have logged in
	RejectUnauthenticatedSenderMismatch // the sender belongs to somebody, and the client has not logged in
	PermitCert                          // the client has shown one of the certificates that are listed
	numRules
)

type rule struct {
	name  string
	check func(context.Context, *Gate, Facts) Verdict
}

// rules is the table; a rule added here is available to every policy.
var rules = [numRules]rule{
	PermitTrusted:       {"permit_trusted", permitTrusted},
	PermitAuthenticated: {"permit_authenticated", permitAuthenticated},
	PermitLocal:         {"permit_local", permitLocal},
	DenyRelay:           {"deny_relay", denyRelay},
	NeedTLS:             {"need_tls", needTLS},
	NeedAuth:            {"need_auth", needAuth},
	NeedLocal:           {"need_local", needLocal},
	NeedFullSender:      {"need_full_sender", needFullSender},
	NeedFullRecipient:   {"need_full_recipient", needFullRecipient},

	PermitCert: {"permit_tls_clientcerts", permitCert},

	RejectSenderMismatch:                {"reject_sender_login_mismatch", rejectMismatch},
	RejectKnownSenderMismatch:           {"reject_known_sender_login_mismatch", rejectKnownMismatch},
	RejectAuthenticatedSenderMismatch:   {"reject_authenticated_sender_login_mismatch", rejectAuthenticatedMismatch},
	RejectUnauthenticatedSenderMismatch: {"reject_unauthenticated_sender_login_mismatch", rejectUnauthenticatedMismatch},
}

// String returns the rule's name.
func (r Rule) String() string {
	if r < numRules {
		return rules[r].name
	}
	return "unknown"
}

func permitIf(ok bool) Verdict {
	if ok {
		return Verdict{Action: Permit}
	}
	return Verdict{}
}

func permitTrusted(_ context.Context, g *Gate, f Facts) Verdict {
	return permitIf(g.TrustedPeer(f.Peer))
}

func permitAuthenticated(_ context.Context, _ *Gate, f Facts) Verdict { return permitIf(f.User != "") }

func permitLocal(_ context.Context, _ *Gate, f Facts) Verdict { return permitIf(f.Local) }

// permitCert knows a certificate by its fingerprint or by that of its key;
// whose authority it is from does not matter.
func permitCert(ctx context.Context, g *Gate, f Facts) Verdict {
	for _, print := range f.Prints {
		_, err := g.cfg.Certs.Lookup(ctx, print)
		if !fail.Is(err, fail.NotFound) {
			if err != nil {
				return lookupFailed(f.Rcpt.Path(), err)
			}
			return Verdict{Action: Permit}
		}
	}
	return Verdict{}
}

func denyRelay(ctx context.Context, g *Gate, f Facts) Verdict {
	rcpt, err := g.routes.Resolve(ctx, f.Rcpt)
	if err != nil {
		return lookupFailed(f.Rcpt.Path(), err)
	}
	class, err := g.routes.Class(ctx, rcpt.Domain)
	switch {
	case err != nil:
		return lookupFailed(f.Rcpt.Path(), err)
	case class == route.Default, !g.cfg.AllowRouting && routed(rcpt):
		return refuse(554, 5, 7, 1, f.Rcpt.Path()+": Relay access denied")
	}
	return Verdict{}
}

// routed reports whether a local part names a further host: user%host,
// host!user, "user@host". We look no further than the last @, but the host
// behind us may, and trusts us.
func routed(a addr.Address) bool { return strings.ContainsAny(a.Local, "%!@") }

func needTLS(_ context.Context, _ *Gate, f Facts) Verdict {
	if f.TLS {
		return Verdict{}
	}
	return refuse(530, 5, 7, 0, "Must issue a STARTTLS command first") // RFC 3207 section 4
}

func needAuth(_ context.Context, _ *Gate, f Facts) Verdict {
	if f.User != "" {
		return Verdict{}
	}
	return refuse(530, 5, 7, 0, "Authentication required") // RFC 4954 section 6
}

func needLocal(_ context.Context, _ *Gate, f Facts) Verdict {
	if f.Local {
		return Verdict{}
	}
	return refuse(554, 5, 7, 1, "Client host rejected: Access denied")
}

func needFullSender(_ context.Context, _ *Gate, f Facts) Verdict {
	if f.Sender.Null() || f.Sender.Domain != "" {
		return Verdict{}
	}
	return refuse(504, 5, 5, 2, f.Sender.Path()+": Sender address rejected: need fully-qualified address")
}

func needFullRecipient(ctx context.Context, g *Gate, f Facts) Verdict {
	rcpt, err := g.routes.Resolve(ctx, f.Rcpt)
	switch {
	case err != nil:
		return lookupFailed(f.Rcpt.Path(), err)
	case rcpt.Domain == "":
		return refuse(504, 5, 5, 2, f.Rcpt.Path()+": Recipient address rejected: need fully-qualified address")
	}
	return Verdict{}
}
