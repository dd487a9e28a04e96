package server

import "context"

// ENABLE: RFC 5161. No capability that we have needs to be enabled yet, and
// those we do not know are ignored.
func parseEnable(p *parser, _ bool) runner {
	for {
		p.SP()
		p.Atom()
		if !p.Ok() || p.AtEnd() {
			return enableCmd{}
		}
	}
}

type enableCmd struct{}

func (enableCmd) run(_ context.Context, s *call) reply {
	s.w.Raw("* ENABLED\r\n")
	return ok("Enabled.")
}
