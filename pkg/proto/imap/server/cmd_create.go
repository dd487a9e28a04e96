package server

import (
	"context"
	"strings"

	imap "github.com/emersion/go-imap/v2"
)

// CREATE: RFC 3501 section 6.3.3.
func parseCreate(p *parser, _ bool) runner { return &createCmd{p.mailbox()} }

type createCmd struct{ name string }

func (c *createCmd) run(ctx context.Context, s *call) reply {
	// A trailing separator announces mailboxes below it, which need no
	// preparation here.
	name := strings.TrimSuffix(c.name, string(rune(s.start.Delim)))
	if r, bad := s.checkName(name); bad {
		return r
	}
	if name == "INBOX" {
		return no(imap.ResponseCodeAlreadyExists, "Mailbox already exists: INBOX")
	}
	var err error
	if s.away(func() { err = s.start.Account.Create(ctx, name) }); err != nil {
		return s.failed("CREATE", name, err)
	}
	return ok("Create completed.")
}
