package server

import "context"

// CLOSE: RFC 3501 section 6.4.2: an EXPUNGE that is not told, unless the
// mailbox is read-only.
func parseClose(*parser, bool) runner { return closeCmd{} }

type closeCmd struct{}

func (closeCmd) run(ctx context.Context, s *call) reply {
	if !s.view.readOnly {
		n := s.view.countDeleted(nil)
		if err := s.view.mb.Expunge(ctx, nil); err != nil {
			s.logFailure("CLOSE", err) // the messages stay \Deleted
		} else {
			s.sum.Expunged += n
		}
	}
	s.unselect()
	return ok("Close completed.")
}
