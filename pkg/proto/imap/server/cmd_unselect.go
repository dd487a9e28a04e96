package server

import "context"

// UNSELECT: RFC 3691.
func parseUnselect(*parser, bool) runner { return unselectCmd{} }

type unselectCmd struct{}

func (unselectCmd) run(_ context.Context, s *call) reply {
	s.unselect()
	return ok("Unselect completed.")
}
