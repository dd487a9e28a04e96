package gate

import (
	"cmp"
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// unlisted refuses, once the rules of a stage have let it pass, an address that
// our own domains do not have. Local programs cannot correct an address, and
// some take one refusal for that of all recipients: the sender hears of
// unknown ones by mail.
func (g *Gate) unlisted(ctx context.Context, s Stage, f Facts) Verdict {
	switch {
	case f.Local:
	case s == Rcpt && !g.cfg.AcceptUnlisted:
		return g.checkListed(ctx, f.Sender, asked{f.Rcpt, "Recipient", 1})
	case s == Mail && g.cfg.RejectUnlistedSender && !f.Sender.Null():
		return g.checkListed(ctx, addr.Address{}, asked{f.Sender, "Sender", 0})
	}
	return Verdict{}
}

// asked is an address of the envelope, with what replies call it, and the
// detail of x.1.x when it does not exist.
type asked struct {
	addr.Address
	what   string
	detail int
}

// says begins a reply.
func (a asked) says() string { return a.Path() + ": " + a.what + " address rejected: " }

// checkListed refuses addresses that our own domains do not have, whoever on
// the network the sender is: Postfix's reject_unlisted_recipient and
// reject_unlisted_sender. The address is asked as given, then without its
// detail.
func (g *Gate) checkListed(ctx context.Context, sender addr.Address, given asked) Verdict {
	rcpt, err := g.routes.Resolve(ctx, given.Address)
	if err != nil {
		return lookupFailed(given.Path(), err)
	}
	if g.routes.Sink(rcpt) {
		return Verdict{}
	}
	if g.cfg.Rewriting != nil {
		if v, done := g.rewritten(ctx, given, rcpt); done {
			return v
		}
	}
	to, err := g.routes.Route(ctx, sender, rcpt)
	switch {
	case err != nil:
		return lookupFailed(given.Path(), err)
	case to.Class == route.Alias:
		return g.unknown(given, to.Class)
	case to.Hop.Transport == route.Error:
		return refuseText(550, given, to.Hop.Text)
	case to.Hop.Transport == route.Retry:
		return refuseText(450, given, to.Hop.Text)
	case g.cfg.Recipients[to.Class] == nil:
		return Verdict{}
	}
	return g.listed(ctx, given, rcpt, to.Class)
}

// rewritten decides by the tables that rewrite recipients, if they know it.
func (g *Gate) rewritten(ctx context.Context, given asked, rcpt addr.Address) (_ Verdict, done bool) {
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
	return refuse(550, 5, 1, 6, given.says()+"User has moved to "+printable(to)), true
}

// tableNames are Postfix's words for where a recipient is not.
var tableNames = map[route.Class]string{
	route.Local: "local recipient", route.Alias: "virtual alias", route.Mailbox: "virtual mailbox", route.Relay: "relay recipient",
}

func (g *Gate) unknown(given asked, class route.Class) Verdict {
	code := cmp.Or(g.cfg.Codes[class], 550)
	return refuse(code, code/100, 1, given.detail, given.says()+"User unknown in "+tableNames[class]+" table")
}

func (g *Gate) listed(ctx context.Context, given asked, rcpt addr.Address, class route.Class) Verdict {
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
		return refuse(452, 4, 2, 2, given.says()+"Mailbox is full")
	}
	return lookupFailed(given.Path(), err)
}

// refuseText is the refusal of the transports error (550) and retry (450):
// "X.Y.Z text", x.1.x when there is no code. The class is the transport's.
func refuseText(code int, given asked, text string) Verdict {
	e := [3]int{0, 1, given.detail}
	if c, rest, ok := strings.Cut(text, " "); ok {
		if parsed, ok := parseCode(c); ok {
			e, text = parsed, rest
		}
	}
	return refuse(code, code/100, e[1], e[2], given.says()+printable(text))
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
