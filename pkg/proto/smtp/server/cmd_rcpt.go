package server

import (
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// cmdRcpt is RCPT (RFC 5321 section 4.1.1.3). Its verdict may come later.
func (e *engine) cmdRcpt(args []byte) Reply {
	e.rcpts++
	if e.full() {
		return e.tooManyRcpts()
	}
	rcpt, r, why := e.parseRcpt(args)
	if !r.IsZero() {
		if why == BadAddress {
			args, _ = argument(args, "TO:")
		}
		e.enqueue(queued{verdict: Say(e.refusedFor(why, "RCPT", r, args)), rcpt: rcpt})
		return Reply{Code: said}
	}
	e.tx.More = e.moreRcpts()
	e.enqueue(queued{verdict: e.hooks.Rcpt(e.work, e.tx, rcpt), rcpt: rcpt})
	return Reply{Code: said}
}

// full reports whether the transaction has all the recipients it may have. It
// is asked before anything is parsed, so that refusing costs nothing.
func (e *engine) full() bool {
	limit := e.pub.Policy.Limits.Recipients
	if limit <= 0 || len(e.tx.Rcpts)+len(e.queue) < limit {
		return false
	}
	e.settle()
	return len(e.tx.Rcpts) >= limit
}

// tooManyRcpts counts as an error only behind Limits.Overshoot: RFC 5321
// section 4.5.3.1.10 lets clients find the limit by trying.
func (e *engine) tooManyRcpts() Reply {
	if e.over {
		return Reply{Code: said}
	}
	if e.beyond++; e.beyond > e.pub.Policy.Limits.Overshoot {
		e.errors++
	}
	if e.beyond == 1 {
		e.refused("RCPT", e.cfg.Replies.TooManyRcpts, nil)
	}
	e.say(e.cfg.Replies.TooManyRcpts)
	return Reply{Code: said}
}

// moreRcpts reports whether the next line has arrived and is a RCPT.
func (e *engine) moreRcpts() bool {
	const verb = "RCPT "
	next := e.in.Peek()
	return len(next) > len(verb) && equalFold(next[:len(verb)], verb) && e.in.HasLine()
}

func (e *engine) parseRcpt(args []byte) (rcpt Recipient, r Reply, why Why) {
	rcpt.Number = e.rcpts
	if _, ok := argument(args, "TO:"); !ok {
		return rcpt, MakeReply(501, 5, 5, 4, "Syntax: RCPT TO:<address>"), Misuse
	}
	path, params, _, err := wire.Path(args, "TO:")
	if err != nil {
		return rcpt, e.cfg.Replies.BadRcpt, BadAddress
	}
	if rcpt.To, err = addr.Parse(string(path)); err != nil {
		return rcpt, e.cfg.Replies.BadRcpt, BadAddress
	}
	if rcpt.To.Null() {
		return rcpt, e.cfg.Replies.NullRcpt, BadAddress
	}
	if r := e.rcptParams(params, &rcpt); !r.IsZero() {
		return rcpt, r, Misuse
	}
	if !e.mayBeWide(path, e.tx) {
		return rcpt, needsUTF8(), Misuse
	}
	return rcpt, Reply{}, Misuse
}
