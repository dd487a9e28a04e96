package server

// cmdVrfy is VRFY (RFC 5321 sections 3.5 and 7.3): it never tells whether a
// mailbox exists.
func (e *engine) cmdVrfy(args []byte) Reply {
	switch {
	case !e.pub.Policy.VRFY:
		return e.refused("VRFY", e.cfg.Replies.VrfyOff, args)
	case len(args) == 0:
		return e.refused("VRFY", syntax("Syntax: VRFY address"), args)
	}
	return e.cfg.Replies.Vrfy
}
