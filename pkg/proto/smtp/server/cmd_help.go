package server

// cmdHelp is HELP (RFC 5321 section 4.1.1.8).
func (e *engine) cmdHelp([]byte) Reply { return e.cfg.Replies.Help }
