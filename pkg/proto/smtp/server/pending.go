package server

import "time"

// queued is a RCPT whose reply waits for its turn.
type queued struct {
	verdict Verdict
	rcpt    Recipient
}

// enqueue takes the verdict of a RCPT. Verdicts that are known now and have
// nobody before them are said at once.
func (e *engine) enqueue(q queued) {
	if q.verdict.Pending == nil && len(e.queue) == 0 {
		e.conclude(q.rcpt, q.verdict.Reply)
		return
	}
	e.queue = append(e.queue, q)
	if len(e.queue) >= max(1, e.pub.Policy.Limits.Pending) {
		e.settle()
	}
}

// settle waits for the outstanding RCPT verdicts and says their replies, in
// order. When the session ended meanwhile it still waits, because the hook's
// transaction must not be reset under its checks.
func (e *engine) settle() {
	for _, q := range e.queue {
		r := e.await(q.verdict)
		if !e.over {
			e.conclude(q.rcpt, r)
		}
	}
	e.queue = e.queue[:0]
}

// conclude applies the verdict on a recipient.
func (e *engine) conclude(rcpt Recipient, r Reply) {
	if r.IsZero() {
		r = e.cfg.Replies.Rcpt
	}
	if r.OK() {
		e.tx.Rcpts = append(e.tx.Rcpts, rcpt)
		e.state = stateRcpt
	}
	e.account(rcptIndex, r)
	e.say(r)
}

// holdBack is how long replies wait for the next verdict, so that those of a
// pipelined group leave together.
const holdBack = 10 * time.Millisecond

// await returns the verdict's reply. The client gets what is written so far if
// that takes its time.
func (e *engine) await(v Verdict) Reply {
	if v.Pending == nil {
		return v.Reply
	}
	select {
	case r, ok := <-v.Pending:
		return e.arrived(r, ok)
	default:
	}
	if len(e.out.buf) > 0 {
		t := time.NewTimer(holdBack)
		defer t.Stop()
		select {
		case r, ok := <-v.Pending:
			return e.arrived(r, ok)
		case <-t.C:
		}
		e.out.flush()
	}
	r, ok := <-v.Pending
	return e.arrived(r, ok)
}

func (e *engine) arrived(r Reply, ok bool) Reply {
	if !ok {
		return e.cfg.Replies.Internal
	}
	return r
}
