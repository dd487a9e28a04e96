package server

import "context"

// LSUB: RFC 3501 section 6.3.9.
func parseLsub(p *parser, _ bool) runner {
	c := &lsubCmd{}
	c.ref = p.mailbox()
	p.SP()
	c.pattern(p)
	return c
}

type lsubCmd struct{ listCmd }

// run lists the names that are subscribed, and those above a subscribed name
// that the pattern matches while it does not match the name itself: "%" finds
// "foo" when "foo.bar" is subscribed, with \Noselect.
func (c *lsubCmd) run(ctx context.Context, s *call) reply {
	if c.patterns[0] == "" {
		return ok("Lsub completed.")
	}
	folders, err := s.folders(ctx)
	if err != nil {
		return s.failed("LSUB", c.ref, err)
	}
	c.subscribed = true
	entries := tree(folders, s.start.Delim)
	c.choose(s.session, entries)
	for _, e := range entries {
		switch {
		case !e.matched || !e.chosen && e.unmatched == 0:
			continue
		case e.chosen && !(s.works(TBLsubFlags) && (e.NonExistent || e.NoSelect)):
			s.w.Raw("* LSUB () \"")
		default:
			s.w.Raw("* LSUB (\\Noselect) \"")
		}
		s.w.Raw(string(rune(s.start.Delim)))
		s.w.Raw("\" ")
		s.w.Mailbox(e.Name)
		s.w.CRLF()
	}
	return ok("Lsub completed.")
}
