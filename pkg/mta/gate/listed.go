package gate

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// checkListed refuses recipients that our own domains do not have, whoever
// on the network the sender is: Postfix's reject_unlisted_recipient. The address is asked as
// given, then without its detail.
func (g *Gate) checkListed(ctx context.Context, f Facts) Verdict {
	rcpt, err := g.routes.Resolve(ctx, f.Rcpt)
	if err != nil {
		return lookupFailed(f.Rcpt.Path(), err)
	}
	if g.cfg.Rewriting != nil {
		if v, done := g.rewritten(ctx, f.Rcpt, rcpt); done {
			return v
		}
	}
	to, err := g.routes.Route(ctx, f.Sender, rcpt)
	switch {
	case err != nil:
		return lookupFailed(f.Rcpt.Path(), err)
	case to.Class == route.Alias:
		return g.unknown(f.Rcpt, to.Class)
	case to.Hop.Transport == route.Error:
		return refuseText(f.Rcpt.Path()+": Recipient address rejected: ", to.Hop.Text)
	case g.cfg.Recipients[to.Class] == nil:
		return Verdict{}
	}
	return g.listed(ctx, f.Rcpt, rcpt, to.Class)
}

// rewritten decides by the tables that rewrite recipients, if they know it.
func (g *Gate) rewritten(ctx context.Context, given, rcpt addr.Address) (_ Verdict, done bool) {
	known, err := g.cfg.Rewriting.Known(ctx, rcpt)
	if err != nil {
		return lookupFailed(given.Path(), err), true
	}
	if known {
		return Verdict{}, true
	}
	to, err := g.cfg.Rewriting.Moved(ctx, rcpt)
	switch {
	case fail.Is(err, fail.NotFound):
		return Verdict{}, false
	case err != nil:
		return lookupFailed(given.Path(), err), true
	}
	return refuse(550, 5, 1, 6, given.Path()+": Recipient address rejected: User has moved to "+printable(to)), true
}

// tableNames are Postfix's words for where a recipient is not.
var tableNames = map[route.Class]string{
	route.Local: "local recipient", route.Alias: "virtual alias", route.Mailbox: "virtual mailbox", route.Relay: "relay recipient",
}

func (g *Gate) unknown(given addr.Address, class route.Class) Verdict {
	return refuse(550, 5, 1, 1, given.Path()+": Recipient address rejected: User unknown in "+tableNames[class]+" table")
}

func (g *Gate) listed(ctx context.Context, given, rcpt addr.Address, class route.Class) Verdict {
	who := g.cfg.Recipients[class]
	err := who.Exists(ctx, rcpt)
	if base := rcpt.Base(g.routes.Delimiter()); fail.Is(err, fail.NotFound) && base != rcpt {
		err = who.Exists(ctx, base)
	}
	switch {
	case err == nil:
		return Verdict{}
	case fail.Is(err, fail.NotFound):
		return g.unknown(given, class)
	case fail.Is(err, fail.Full):
		return refuse(452, 4, 2, 2, given.Path()+": Recipient address rejected: Mailbox is full")
	}
	return lookupFailed(given.Path(), err)
}

// refuseText is the refusal of an error transport: "X.Y.Z text", 5.0.0 when
// there is no code.
func refuseText(before, text string) Verdict {
	code, e := 550, [3]int{5, 0, 0}
	if c, rest, ok := strings.Cut(text, " "); ok {
		if parsed, ok := parseCode(c); ok {
			e, text = parsed, rest
		}
	}
	if e[0] == 4 {
		code = 450
	}
	return refuse(code, e[0], e[1], e[2], before+printable(text))
}

// parseCode reads "X.Y.Z" of class 4 or 5.
func parseCode(s string) (e [3]int, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != "4" && parts[0] != "5" {
		return e, false
	}
	for i, p := range parts {
		if p == "" || len(p) > 3 {
			return e, false
		}
		for _, c := range p {
			if c < '0' || c > '9' {
				return e, false
			}
			e[i] = e[i]*10 + int(c-'0')
		}
	}
	return e, true
}

// printable keeps text of a table from breaking a reply.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}
