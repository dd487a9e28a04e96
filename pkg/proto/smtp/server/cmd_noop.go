package server

// cmdNoop is NOOP (RFC 5321 section 4.1.1.9); an argument is ignored.
func (e *engine) cmdNoop([]byte) Reply { return e.cfg.Replies.Noop }
