package server

// cmdLhlo is LHLO (RFC 2033 section 4.1).
func (e *engine) cmdLhlo(args []byte) Reply {
	if r := e.greeted("LHLO", args); !r.IsZero() {
		return r
	}
	return e.extensions()
}
