package server

import "context"

// SELECT and EXAMINE: RFC 3501 sections 6.3.1 and 6.3.2.
func parseSelect(p *parser, _ bool) runner { return &selectCmd{name: p.mailbox()} }

func parseExamine(p *parser, _ bool) runner { return &selectCmd{p.mailbox(), true} }

type selectCmd struct {
	name     string
	readOnly bool
}

func (c *selectCmd) names() []*string { return []*string{&c.name} }

func (c *selectCmd) run(ctx context.Context, s *call) reply {
	if s.view != nil {
		s.unselect() // also when the new one does not exist
		s.w.Raw("* OK [CLOSED] Previous mailbox closed.\r\n")
	}
	if r, bad := s.checkName(c.name); bad {
		return r
	}
	mb, err := s.start.Account.Open(ctx, c.name)
	if err == nil {
		if err = mb.Sync(ctx); err != nil && mb.Err() == nil {
			s.logFailure("SELECT", err) // what is known is better than nothing
			err = nil
		}
		if err != nil {
			_ = mb.Close()
		}
	}
	if err != nil {
		return s.failed("SELECT", c.name, err)
	}
	v, err := newView(ctx, mb, c.name, c.readOnly)
	if err != nil {
		s.logFailure("SELECT", err) // nothing is \Recent then
	}
	s.view = v
	s.tellSelected()
	if s.has(featureRev2) {
		s.tellListed(ctx)
	}
	if v.readOnly {
		return okCode("READ-ONLY", map[bool]string{true: "Examine completed.", false: "Select completed."}[c.readOnly])
	}
	return okCode("READ-WRITE", "Select completed.")
}

// tellListed is the LIST line of SELECT (RFC 9051 section 6.3.2).
func (s *call) tellListed(ctx context.Context) {
	folders, err := s.folders(ctx)
	if err != nil {
		s.logFailure("SELECT", err)
		return
	}
	for _, e := range tree(folders, s.start.Delim) {
		if e.Name == s.view.name {
			s.writeEntry(e, "")
		}
	}
}

func (s *session) tellSelected() {
	v := s.view
	info := v.pin.Info()
	v.tellFlags(s, info)
	v.tellExists(s)
	if n := v.pin.FirstUnseen(); n >= 0 && !s.has(featureRev2) {
		s.w.Raw("* OK [UNSEEN ")
		s.w.Num(uint64(n + 1))
		s.w.Raw("] First unseen.\r\n")
	}
	s.w.Raw("* OK [UIDVALIDITY ")
	s.w.Num(uint64(info.UIDValidity))
	s.w.Raw("] UIDs valid\r\n* OK [UIDNEXT ")
	s.w.Num(uint64(info.UIDNext))
	s.w.Raw("] Predicted next UID\r\n")
}
