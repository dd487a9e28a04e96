package authserver

import (
	"context"
	"encoding/base64"
	"runtime/debug"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// exchange is one AUTH from its line to OK or FAIL. Between two steps it is
// an entry in a map and a timer, no goroutine.
type exchange struct {
	c      *clientConn
	req    Request
	ex     Exchange
	ctx    context.Context
	cancel context.CancelFunc

	// Under c.mu:
	busy  bool // a step is running
	gone  bool // cancelled, timed out or answered: say nothing more
	timer *time.Timer
	round int // counts challenges, so that a late timer knows it is not meant
}

// start adds an exchange and runs its first step.
func (c *clientConn) start(req Request, ex Exchange) {
	x := &exchange{c: c, req: req, ex: ex, busy: true}
	x.ctx, x.cancel = context.WithCancel(c.ctx)
	initial := req.Initial
	x.req.Initial = nil // a secret; the mechanism has what it needs
	c.mu.Lock()
	c.active[req.ID] = x
	c.mu.Unlock()
	x.resume(initial)
}

// claim takes the exchange id for its next step. ready is false while a step
// of it runs already; nil means that there is none.
func (c *clientConn) claim(id uint32) (x *exchange, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x = c.active[id]
	if x == nil || x.busy {
		return x, false
	}
	x.busy = true
	x.timer.Stop()
	return x, true
}

// resume runs the next step of a claimed exchange.
func (x *exchange) resume(response []byte) {
	x.c.running.Add(1)
	go x.run(response)
}

// expire drops an exchange whose peer did not respond to challenge number round.
func (c *clientConn) expire(x *exchange, round int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.round == round && !x.busy {
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
	x.cancel()
	delete(c.active, x.req.ID)
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

// run is one step in a goroutine of its own, so that a slow hash holds up
// nobody else.
func (x *exchange) run(response []byte) {
	defer x.c.running.Done()
	ctx, cancel := context.WithTimeout(x.ctx, x.c.s.cfg.RequestTimeout)
	defer cancel()
	step, err := x.next(ctx, response)
	if x.ctx.Err() != nil {
		return // cancelled, or the connection is gone
	}
	if err == nil {
		err = x.answer(step)
	} else {
		err = x.failed(err)
	}
	if err != nil {
		x.c.abort(err)
	}
}

// next guards the connection's other exchanges against a fault in this one.
func (x *exchange) next(ctx context.Context, response []byte) (step Step, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fail.New(fail.Temporary, "fault in mechanism %s: %v\n%s", x.req.Mech, p, debug.Stack())
		}
	}()
	return x.ex.Next(ctx, response)
}

func (x *exchange) answer(step Step) error {
	if !step.Done {
		return x.challenge(step.Challenge)
	}
	if step.User == "" {
		return x.failed(fail.New(fail.Temporary, "mechanism %s named no user", x.req.Mech))
	}
	c := x.c
	if c.kind == Login && redeemable(x.req, step) {
		ok := c.s.logins.grant(c.pid, grant{
			id: x.req.ID, service: x.req.Service, mech: x.req.Mech, user: step.User, login: step.Login,
		})
		if !ok {
			return x.failed(fail.New(fail.Unavailable, "too many logins of client with pid %d wait to be redeemed", c.pid))
		}
	}
	if !c.remove(x) {
		return nil
	}
	params := append([]string{dovecotauth.FormatID(x.req.ID), "user=" + step.User}, step.Fields.Params()...)
	return c.out.send(dovecotauth.AppendLine(nil, "OK", params...))
}

// redeemable: Dovecot keeps no login that its client said it would not use, or
// that goes to another server.
func redeemable(r Request, s Step) bool {
	return !r.NoLogin && !s.Fields.Has("nologin") && !s.Fields.Has("proxy")
}

// challenge sends CONT and starts the clock for the peer's response.
func (x *exchange) challenge(b []byte) error {
	c := x.c
	c.mu.Lock()
	if x.gone {
		c.mu.Unlock()
		return nil
	}
	x.busy = false
	x.round++
	round := x.round
	x.timer = time.AfterFunc(c.s.cfg.RequestTimeout, func() { c.expire(x, round) })
	c.mu.Unlock()
	return c.out.send(dovecotauth.AppendLine(nil, "CONT",
		dovecotauth.FormatID(x.req.ID), base64.StdEncoding.EncodeToString(b)))
}

func (x *exchange) failed(err error) error {
	if !x.c.remove(x) {
		return nil
	}
	if r, ok := refusalOf(err); ok {
		return x.c.refuse(x.req.ID, r)
	}
	return x.c.outage(x.req.ID, "", err)
}
