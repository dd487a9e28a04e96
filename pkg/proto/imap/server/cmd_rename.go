package server

import (
	"context"
	"strings"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// RENAME: RFC 3501 section 6.3.5.
func parseRename(p *parser, _ bool) runner {
	c := &renameCmd{}
	c.from = p.mailbox()
	c.to = p.mailbox()
	return c
}

type renameCmd struct{ from, to string }

func (c *renameCmd) names() []*string { return []*string{&c.from, &c.to} }

func (c *renameCmd) run(ctx context.Context, s *call) reply {
	to := strings.TrimSuffix(c.to, string(rune(s.start.Delim)))
	for _, name := range []string{c.from, to} {
		if r, bad := s.checkName(name); bad {
			return r
		}
	}
	switch {
	case to == "INBOX" || to == c.from:
		return no(imap.ResponseCodeAlreadyExists, "Target mailbox already exists.")
	case strings.HasPrefix(to, c.from+string(rune(s.start.Delim))) && c.from != "INBOX":
		return no(imap.ResponseCodeCannot, "Can't rename a mailbox under itself.")
	}
	if err := s.start.Account.Rename(ctx, c.from, to); err != nil {
		name := c.from
		if fail.Is(err, fail.Exists) {
			name = to
		}
		return s.failed("RENAME", name, err)
	}
	if v := s.view; v != nil && c.from != "INBOX" && (v.name == c.from || isBelow(v.name, c.from, s.start.Delim)) {
		v.name = to + v.name[len(c.from):]
	}
	return ok("Rename completed.")
}
