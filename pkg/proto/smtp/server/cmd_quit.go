package server

// cmdQuit is QUIT (RFC 5321 section 4.1.1.10).
func (e *engine) cmdQuit([]byte) Reply {
	e.end(Quit, nil)
	return e.cfg.Replies.Quit
}
