package server

import "context"

// LOGOUT: RFC 3501 section 6.1.3.
func parseLogout(*parser, bool) runner { return logoutCmd{} }

type logoutCmd struct{}

func (logoutCmd) run(_ context.Context, s *call) reply {
	s.bye("", "Logging out", "Logged out", nil)
	return ok("Logout completed.")
}
