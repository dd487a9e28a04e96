package server

// beginTx opens a transaction and asks the session about it.
func (e *engine) beginTx(tx *Transaction) Reply {
	e.txCount++
	tx.Number = e.txCount
	e.tx, e.rcpts, e.beyond, e.swallow = tx, 0, 0, false
	r := e.await(e.hooks.Mail(e.work, tx))
	if r.IsZero() {
		r = e.cfg.Replies.Mail
	}
	if !r.OK() {
		e.endTx()
		return r
	}
	e.state = stateMail
	return r
}

// endTx drops everything that belongs to a transaction.
func (e *engine) endTx() {
	for _, q := range e.queue {
		e.await(q.verdict)
	}
	e.queue = e.queue[:0]
	if tx := e.tx; tx != nil {
		e.tx = nil
		e.hooks.Reset(tx)
	}
	e.rcpts, e.beyond = 0, 0
	e.pub.Forward = nil
	if e.state&(stateMail|stateRcpt|stateChunk) != 0 {
		e.state = stateReady
	}
}

// forget drops, besides the transaction, what EHLO and AUTH established.
func (e *engine) forget() {
	e.endTx()
	e.swallow = false
	e.pub.Verb, e.pub.Helo, e.pub.Mech, e.pub.User = "", "", "", ""
	e.state = stateStart
}
