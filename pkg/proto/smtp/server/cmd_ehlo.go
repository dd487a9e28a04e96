package server

// cmdEhlo is EHLO (RFC 5321 section 4.1.1.1).
func (e *engine) cmdEhlo(args []byte) Reply {
	if r := e.greeted("EHLO", args); !r.IsZero() {
		return r
	}
	return e.extensions()
}
