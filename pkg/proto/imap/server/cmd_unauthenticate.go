package server

import (
	"context"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// UNAUTHENTICATE: RFC 8437. The session ends, and the connection goes back to
// where it came from: all state is the session's and ends with it.
func parseUnauthenticate(*parser, bool) runner { return unauthenticateCmd{} }

// returnable: somebody takes the connection back.
func returnable(s *session) bool { return s.start.Back != nil }

type unauthenticateCmd struct{}

func (unauthenticateCmd) run(_ context.Context, s *call) reply {
	if s.announced("UNAUTHENTICATE") == nil {
		return bad("Error in IMAP command UNAUTHENTICATE: Unknown command.")
	}
	s.unselect() // which expunges nothing
	s.then = func() { s.goBack() }
	return ok("Unauthenticate completed.")
}

// goBack ends the session, and the compression before it (RFC 8437 section 3).
func (s *session) goBack() {
	defer s.r.Drop()
	if s.w.Flush() != nil {
		s.end("Connection closed", s.w.Err())
		return
	}
	behind := append([]byte{}, s.r.Buffered()...)
	if s.io.inflate != nil {
		plain, err := s.io.decompress()
		if len(behind) > 0 { // commands that the client has compressed and must not
			err = wire.ErrCompressed
		}
		if err != nil {
			s.end("Bad compressed input", err)
			return
		}
		behind = append(behind, plain...)
	}
	s.back = behind
	s.end("Unauthenticated", nil)
}
