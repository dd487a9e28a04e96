package authserver

import (
	"context"
	"encoding/base64"
	"runtime/debug"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/seal"
)

// exchange is one AUTH from its line to OK or FAIL. Between two steps it is
// an entry in a map and a timer, no goroutine.
type exchange struct {
	c       *clientConn
	ex      Exchange
	id      uint32
	mech    string
	service string
	session string
	noLogin bool
	finalOK bool // the OK may carry the last challenge
	seal    string

	// Under c.mu:
	step  *stepContext // the one that runs; nil between two
	oob   chan<- []byte
	final *Step // granted; the peer has to acknowledge the last challenge
	known bool  // is in the map
	gone  bool  // cancelled, timed out or answered: say nothing more
	timer *time.Timer
	round int // counts challenges, so that a late timer knows it is not meant
}

// run runs the first step of an exchange: here, if the exchange promises not
// to wait, otherwise on a goroutine of its own.
func (c *clientConn) run(req *Request, ex Exchange) (detached bool, err error) {
	x := &exchange{
		c: c, ex: ex, id: req.ID, mech: req.Mech, service: req.Service, session: req.Session,
		noLogin: req.NoLogin, finalOK: req.FinalOK, seal: req.Seal,
	}
	x.step = &stepContext{x: x}
	return x.resume(x.step, req.Initial)
}

// resume runs a step whose context the caller has set.
func (x *exchange) resume(step *stepContext, response []byte) (detached bool, err error) {
	if im, ok := x.ex.(Immediate); ok && im.Immediate() {
		step.inline = true
		err = x.do(step, response)
		if step.detached {
			defer x.c.running.Done()
			x.closeOn(err)
			return true, nil
		}
		return false, err
	}
	x.c.register(x)
	x.c.running.Add(1)
	go func() {
		defer x.c.running.Done()
		x.closeOn(x.do(step, response))
	}()
	return false, nil
}

func (x *exchange) closeOn(err error) {
	if err != nil {
		x.c.abort(err)
	}
}

// register makes x known to CONT and CANCEL.
func (c *clientConn) register(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.know(x)
}

// know is register for holders of c.mu.
func (c *clientConn) know(x *exchange) {
	if !x.known && !x.gone {
		x.known = true
		if c.active == nil {
			c.active = make(map[uint32]*exchange)
		}
		c.active[x.id] = x
	}
}

// expire drops an exchange whose peer did not respond to challenge number round.
func (c *clientConn) expire(x *exchange, round int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.round == round && x.step == nil {
		c.drop(x)
	}
}

// remove takes x out; false when that was done before.
func (c *clientConn) remove(x *exchange) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.gone {
		return false
	}
	c.drop(x)
	return true
}

// drop is remove for holders of c.mu.
func (c *clientConn) drop(x *exchange) {
	x.gone = true
	if x.timer != nil {
		x.timer.Stop()
	}
	if x.step != nil && x.step.cancel != nil {
		x.step.cancel()
	}
	if x.known {
		delete(c.active, x.id)
	}
}

func (c *clientConn) stopTimers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.active {
		if x.timer != nil {
			x.timer.Stop()
		}
	}
}

// do is one step, wherever it runs.
func (x *exchange) do(step *stepContext, response []byte) error {
	result, err := x.next(step, response)
	step.end()
	if x.c.ctx.Err() != nil || x.isGone() {
		return nil // cancelled, or the connection is gone
	}
	if err == nil {
		return x.answer(result)
	}
	return x.failed(err)
}

func (x *exchange) isGone() bool {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.gone
}

// next guards the connection's other exchanges against a fault in this one.
func (x *exchange) next(ctx context.Context, response []byte) (step Step, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fail.New(fail.Temporary, "fault in mechanism %s: %v\n%s", x.mech, p, debug.Stack())
		}
	}()
	if step, err = x.ex.Next(ctx, response); err == nil && step.Done && step.User != "" {
		x.sealed(ctx, &step)
	}
	return step, err
}

// sealed puts the answer to the login's redemption into step, if it can be had
// now and somebody can open it. If not, the login waits to be redeemed.
func (x *exchange) sealed(ctx context.Context, step *Step) {
	s := x.c.s
	sealer := s.seals.get(x.seal)
	if sealer == nil || !x.redeemed(*step) || step.Challenge != nil && !x.finalOK || step.Fields.Has("instance") {
		return
	}
	gr := x.grant(*step)
	r, err := s.cfg.Directory.Redeemed(ctx, gr.user, gr.service, gr.login)
	if err != nil {
		return
	}
	line := recordLine(nil, "USER", dovecotauth.FormatID(x.id), r.User, gr.fields(r))
	step.sealed = sealer.Seal(seal.Login{ClientPID: x.c.pid, RequestID: x.id}, line, s.cfg.Now().Add(s.cfg.RedeemWithin))
}

// redeemed: the session role will ask who logged in.
func (x *exchange) redeemed(step Step) bool {
	return x.c.kind == Login && !x.noLogin && redeemable(step)
}

func (x *exchange) grant(step Step) grant {
	return grant{id: x.id, service: x.service, mech: x.mech, session: x.session, user: step.User, login: step.Login}
}

func (x *exchange) answer(step Step) error {
	switch {
	case !step.Done:
		return x.challenge(step.Challenge, nil)
	case step.User == "":
		return x.failed(fail.New(fail.Temporary, "mechanism %s named no user", x.mech))
	case step.Challenge != nil && !x.finalOK:
		final := step
		return x.challenge(step.Challenge, &final)
	}
	return x.granted(step)
}

// granted keeps the login, if it can be redeemed, and tells the peer.
func (x *exchange) granted(step Step) error {
	c := x.c
	if step.sealed == "" && x.redeemed(step) && !c.s.logins.grant(c.pid, x.grant(step)) {
		return x.failed(fail.New(fail.Unavailable, "too many logins of client with pid %d wait to be redeemed", c.pid))
	}
	if !c.remove(x) {
		return nil
	}
	b := appendVerb(c.out.open(), "OK", x.id)
	b = step.Fields.AppendTo(dovecotauth.AppendField(b, "user", step.User))
	if step.Challenge != nil && x.finalOK {
		b = base64.StdEncoding.AppendEncode(append(b, "\tresp="...), step.Challenge)
	}
	if step.sealed != "" {
		b = dovecotauth.AppendField(b, "sealed", step.sealed)
	}
	return c.out.close(append(b, '\n'))
}

// redeemable: Dovecot keeps no login that its client said it would not use, or
// that goes to another server.
func redeemable(s Step) bool { return !s.Fields.Has("nologin") && !s.Fields.Has("proxy") }

// challenge sends CONT and starts the clock for the peer's response. final is
// the success that the response will only acknowledge.
func (x *exchange) challenge(b []byte, final *Step) error {
	c := x.c
	c.mu.Lock()
	if x.gone {
		c.mu.Unlock()
		return nil
	}
	c.know(x)
	x.step, x.final = nil, final
	x.round++
	round := x.round
	x.timer = time.AfterFunc(c.s.cfg.RequestTimeout, func() { c.expire(x, round) })
	c.mu.Unlock()
	out := append(appendVerb(c.out.open(), "CONT", x.id), '\t')
	return c.out.close(append(base64.StdEncoding.AppendEncode(out, b), '\n'))
}

func (x *exchange) failed(err error) error {
	if !x.c.remove(x) {
		return nil
	}
	if r, ok := refusalOf(err); ok {
		return x.c.refuse(x.id, r)
	}
	return x.c.outage(x.id, "", err)
}
