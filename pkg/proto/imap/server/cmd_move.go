package server

// MOVE: RFC 6851.
func parseMove(p *parser, uid bool) runner { return parseTransfer(p, uid, true) }
