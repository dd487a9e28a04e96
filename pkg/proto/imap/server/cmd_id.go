package server

import (
	"context"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// ID: RFC 2971. What the client says about itself is for the log.
func parseID(p *parser, _ bool) runner {
	p.SP()
	return &idCmd{p.ID()}
}

type idCmd struct{ client []wire.IDPair }

func (c *idCmd) run(_ context.Context, s *call) reply {
	if text := wire.IDText(c.client, s.srv.cfg.LogID); text != "" && s.start.Identified != nil && s.identified < maxIdentified {
		s.identified++
		s.start.Identified(text)
	}
	s.w.ID(s.srv.cfg.ID)
	return ok("ID completed.")
}

// maxIdentified is how many IDs of one session are logged: clients may send
// one before they log in and one after, and no more (RFC 2971 section 3).
const maxIdentified = 2
