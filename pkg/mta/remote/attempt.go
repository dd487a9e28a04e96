package remote

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/mta/remote/tlspolicy"
	"github.com/postcote/postcote/pkg/mta/route"
)

// Deliver makes one attempt for recipients that share the next hop. The
// outcomes match rcpts by index.
func (c *Client) Deliver(ctx context.Context, hop route.Hop, msg Message, rcpts []Recipient) []Outcome {
	a := &attempt{c: c, hop: hop, msg: msg, rcpts: rcpts, out: make([]Outcome, len(rcpts)), heard: make([]bool, len(rcpts)), start: c.cfg.Now()}
	for i := range rcpts {
		a.todo = append(a.todo, i)
	}
	switch hop.Transport {
	case route.Error:
		a.conclude(fate(Bounced, 5, hop.Text))
	case route.Retry:
		a.conclude(fate(Deferred, 4, hop.Text))
	case route.Discard:
		a.conclude(fate(Delivered, 2, cmp.Or(hop.Text, "discarded")))
	default:
		a.run(ctx)
	}
	return a.out
}

// codeAndText is how a next hop says what becomes of mail.
var codeAndText = regexp.MustCompile(`^[245]\.(\d{1,3})\.(\d{1,3}) +(.+)$`)

// fate is what the operator has decided in a next hop, "X.Y.Z text" or text
// alone. The class is that of the transport, whatever the code says.
func fate(status Status, class int, text string) Outcome {
	o := Outcome{Status: status, DSN: smtp.EnhancedCode{class, 0, 0}, Text: text, Relay: "none"}
	if m := codeAndText.FindStringSubmatch(text); m != nil {
		o.DSN[1], _ = strconv.Atoi(m[1])
		o.DSN[2], _ = strconv.Atoi(m[2])
		o.Text = m[3]
	}
	return o
}

// attempt is the state of one Deliver.
type attempt struct {
	c     *Client
	hop   route.Hop
	msg   Message
	rcpts []Recipient
	out   []Outcome
	heard []bool // a host has decided about the recipient, if only for now
	todo  []int  // recipients that may still be tried at another host
	start time.Time
	login *Credentials // at the host that is spoken to
	tls   tlspolicy.Policy
	plain target // is spoken to in the clear, as its encryption breaks
	key   string // what an idle session must match to be used again
}

// conclude gives o to every recipient that is still to do.
func (a *attempt) conclude(o Outcome) {
	for _, i := range a.todo {
		a.out[i] = o
	}
	a.todo = nil
}

// run tries the next hops in turn, then the fallbacks. What a host said about
// a recipient outweighs that later hosts could not be reached.
func (a *attempt) run(ctx context.Context) {
	lost := true
	for i, hop := range slices.Concat(a.hop.Each(), a.c.cfg.Fallback) {
		if i > 0 && (len(a.todo) == 0 || !lost || ctx.Err() != nil) {
			return
		}
		a.hop = hop
		lost = a.runHop(ctx)
	}
}

// runHop tries an idle session, then the hosts of the hop, best first. lost
// says that another hop may do better: the destination was not found, was not
// reached, or has put recipients off.
func (a *attempt) runHop(ctx context.Context) (lost bool) {
	if !a.secure(ctx) {
		return false
	}
	a.key = a.hop.String() + " tls " + a.tls.Level.String()
	if a.tryIdle(ctx); len(a.todo) == 0 {
		return false
	}
	targets, t := a.c.targets(ctx, a.hop)
	if t != nil {
		a.note(t.outcome())
		return t.DSN[1] == 4 && t.DSN[2] != 6 // a loop stays one
	}
	if a.hop.Socket != "" {
		// The delivery agent was perhaps just restarted: the second try meets
		// its successor, and spares the message a whole back-off.
		targets = append(targets, targets[0])
	}
	for sessions := 0; len(targets) > 0 && len(a.todo) > 0 && sessions < a.c.cfg.Sessions; targets = targets[1:] {
		if ctx.Err() != nil {
			a.note(canceled().outcome())
			return false
		}
		if a.tryHost(ctx, targets[0]) {
			sessions++
		}
	}
	return true
}

// logIn finds the credentials for a host. Where they are not known, nothing is
// sent to it: it would refuse that, and for good.
func (a *attempt) logIn(ctx context.Context, host string) (err error) {
	a.login = nil
	if a.msg.Login != nil {
		a.login, err = a.msg.Login(ctx, a.hop, host)
	}
	return err
}

// Policy is what is demanded of TLS with a hop. Errors: as those
// of [tlspolicy.Defaults.Find].
func (c *Client) Policy(ctx context.Context, hop route.Hop) (tlspolicy.Policy, error) {
	return c.cfg.Levels.Find(ctx, c.cfg.Policies, hop.Next(), c.cfg.TLS)
}

// secure finds what the hop demands of TLS. Where that is not known, nothing
// is sent: it might be sent to the wrong host, or for all to read.
func (a *attempt) secure(ctx context.Context) bool {
	if a.tls = (tlspolicy.Policy{}); a.hop.Socket != "" {
		return true
	}
	var err error
	if a.tls, err = a.c.Policy(ctx, a.hop); err != nil {
		t := deferral(7, 5, "TLS policy for "+a.hop.Next()+" cannot be found: "+err.Error())
		t.Site = false
		a.note(t.outcome())
		return false
	}
	return true
}

// canceled is the trouble of a daemon that stops: nobody's fault.
func canceled() trouble {
	t := deferral(3, 2, "delivery was interrupted: the mail system is stopping")
	t.Site = false
	return t
}

// note records trouble that concerns no recipient in particular, for those
// about which nothing better is known.
func (a *attempt) note(o Outcome) {
	for _, i := range a.todo {
		if !a.heard[i] {
			a.out[i] = o
		}
	}
}

// tryIdle uses a session that an earlier message left, at a host where it has
// the credentials of this one. That such a session turns out to be dead, or
// that the credentials are not known, means nothing.
func (a *attempt) tryIdle(ctx context.Context) {
	for _, host := range a.c.idle.hosts(a.key) {
		if a.logIn(ctx, host) != nil {
			continue
		}
		for ctx.Err() == nil {
			s := a.c.idle.take(a.key, func(s *session) bool { return s.target.Host == host && s.login.same(a.login) })
			if s == nil {
				break
			}
			if s.transact(ctx, a) {
				return
			}
		}
	}
}

// tryHost runs a transaction with one host and reports whether there was a
// session at all. A session may learn that the host does not know BDAT, or that
// its encryption breaks; the third knows both, and so has an outcome.
func (a *attempt) tryHost(ctx context.Context, t target) bool {
	for range 3 {
		s, o, met := a.c.connect(ctx, a, t)
		if s == nil {
			a.note(o)
			return met
		}
		if s.transact(ctx, a) {
			break
		}
	}
	return true
}
