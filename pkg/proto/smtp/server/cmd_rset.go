package server

// cmdRset is RSET (RFC 5321 section 4.1.1.5).
func (e *engine) cmdRset(args []byte) Reply {
	if len(args) > 0 {
		return e.refused("RSET", syntax("Syntax: RSET"), args)
	}
	e.endTx()
	e.swallow = false
	return e.cfg.Replies.Reset
}
