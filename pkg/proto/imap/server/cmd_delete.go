package server

import (
	"context"

	imap "github.com/emersion/go-imap/v2"
)

// DELETE: RFC 3501 section 6.3.4.
func parseDelete(p *parser, _ bool) runner { return &deleteCmd{p.mailbox()} }

type deleteCmd struct{ name string }

func (c *deleteCmd) names() []*string { return []*string{&c.name} }

func (c *deleteCmd) run(ctx context.Context, s *call) reply {
	if r, bad := s.checkName(c.name); bad {
		return r
	}
	if c.name == "INBOX" {
		return no(imap.ResponseCodeCannot, "INBOX can't be deleted.")
	}
	if err := s.start.Account.Delete(ctx, c.name); err != nil {
		return s.failed("DELETE", c.name, err)
	}
	if s.view != nil && s.view.name == c.name {
		s.unselect()
		s.w.Raw("* OK [CLOSED] Previous mailbox closed.\r\n")
	}
	return ok("Delete completed.")
}
