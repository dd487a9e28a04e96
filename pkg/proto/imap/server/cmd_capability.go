package server

import "context"

// CAPABILITY: RFC 3501 section 6.1.1.
func parseCapability(*parser, bool) runner { return capabilityCmd{} }

type capabilityCmd struct{}

func (capabilityCmd) run(_ context.Context, s *call) reply {
	s.w.Raw("* CAPABILITY ")
	s.w.Raw(s.capabilities())
	s.w.CRLF()
	return ok("Capability completed.")
}
