package server

import (
	"context"
	"errors"
	"strings"

	imap "github.com/emersion/go-imap/v2"
)

// CREATE: RFC 3501 section 6.3.3, with the special uses of RFC 6154 section 3.
//
//	create = "CREATE" SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]
func parseCreate(p *parser, _ bool) runner {
	c := &createCmd{name: p.mailbox()}
	if !p.More() {
		return c
	}
	p.List(func() {
		if p.Word() != "USE" {
			p.Fail("Unknown CREATE parameter")
		}
		p.SP()
		p.List(func() {
			p.Byte('\\')
			c.uses = append(c.uses, "\\"+p.Atom())
		})
	})
	return c
}

type createCmd struct {
	name string
	uses []string
}

// special are the uses that a mailbox can be made for. \All and \Flagged
// would be mailboxes whose messages lie in others, which we do not have.
func special() []imap.MailboxAttr {
	return []imap.MailboxAttr{
		imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash,
	}
}

func (c *createCmd) names() []*string { return []*string{&c.name} }

func (c *createCmd) run(ctx context.Context, s *call) reply {
	// A trailing separator announces mailboxes below it, which need no
	// preparation here.
	name := strings.TrimSuffix(c.name, string(rune(s.start.Delim)))
	if r, bad := s.checkName(name); bad {
		return r
	}
	var uses []imap.MailboxAttr
	for _, want := range c.uses {
		known := uses
		for _, use := range special() {
			if strings.EqualFold(string(use), want) {
				known = append(uses, use)
			}
		}
		if len(known) == len(uses) {
			return no(codeUseAttr, want+" is not supported.")
		}
		uses = known
	}
	if name == "INBOX" {
		return no(imap.ResponseCodeAlreadyExists, "Mailbox already exists: INBOX")
	}
	var err error
	s.away(func() { err = s.start.Account.Create(ctx, name, uses) })
	switch {
	case errors.Is(err, ErrUse):
		return no(codeUseAttr, "The special use is not supported.")
	case err != nil:
		return s.failed("CREATE", name, err)
	}
	if s.announced("OBJECTID") == nil {
		return ok("Create completed.")
	}
	var st Status
	if s.away(func() { st, err = s.start.Account.Status(ctx, name, false) }); err != nil {
		return ok("Create completed.") // and was removed again, or is being
	}
	return okCode("MAILBOXID ("+st.MailboxID+")", "Create completed.")
}

// codeUseAttr is of RFC 6154 section 3.
const codeUseAttr imap.ResponseCode = "USEATTR"
