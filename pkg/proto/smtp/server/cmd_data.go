package server

// cmdData is DATA (RFC 5321 section 4.1.1.4).
func (e *engine) cmdData(args []byte) Reply {
	if len(args) > 0 {
		return e.refused("DATA", syntax("Syntax: DATA"), args)
	}
	if r := e.admitContent(); r.Code != 354 {
		return r
	} else {
		e.out.reply(r)
	}
	e.out.flush()
	if e.out.err != nil {
		e.end(Lost, e.out.err)
		e.endTx()
		return Reply{Code: said}
	}
	e.src.content(e.cfg.Timeouts.Data, e.cfg.Timeouts.MinRate)
	e.body.openData(e)
	return e.take()
}

// admitContent asks the session whether content may come. A refusal ends the
// transaction.
func (e *engine) admitContent() Reply {
	r := e.await(e.hooks.Data(e.work, e.tx))
	switch {
	case r.IsZero():
		return e.cfg.Replies.Data
	case r.Code != 354:
		e.endTx()
	}
	return r
}
