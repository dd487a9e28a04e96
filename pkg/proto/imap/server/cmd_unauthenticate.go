package server

import "context"

// UNAUTHENTICATE: RFC 8437. The session ends, and the connection goes back to
// where it came from: all state is the session's and ends with it.
func parseUnauthenticate(*parser, bool) runner { return unauthenticateCmd{} }

// returnable: somebody takes the connection back. Behind COMPRESS nobody can,
// since the end of the client's compression need not be at a byte.
func returnable(s *session) bool { return s.start.Back != nil && s.io.inflate == nil }

type unauthenticateCmd struct{}

func (unauthenticateCmd) run(_ context.Context, s *call) reply {
	if s.announced("UNAUTHENTICATE") == nil {
		return bad("Error in IMAP command UNAUTHENTICATE: Unknown command.")
	}
	s.unselect() // which expunges nothing
	s.then = func() {
		if s.w.Flush() == nil {
			s.back = append([]byte{}, s.r.Buffered()...)
		}
		s.r.Drop()
		s.end("Unauthenticated", nil)
	}
	return ok("Unauthenticate completed.")
}
