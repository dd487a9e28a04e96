package server

import (
	"context"

	imap "github.com/emersion/go-imap/v2"
)

// REPLACE: RFC 8508. A message is added to a mailbox and one of the selected
// mailbox goes.
//
//	replace = "REPLACE" SP seq-number SP mailbox append-message
func parseReplace(p *parser, uid bool) runner {
	c := &replaceCmd{uid: uid}
	p.SP()
	if p.Take('*') {
		c.last = true
	} else if c.number = p.Number(); p.Ok() && c.number == 0 {
		p.Fail("Message number 0 does not exist")
	}
	c.name = p.mailbox()
	c.begin(p, false)
	return c
}

type replaceCmd struct {
	uid    bool
	number uint32
	last   bool // "*" in its place
	name   string
	upload
}

func (c *replaceCmd) names() []*string { return []*string{&c.name} }

func (c *replaceCmd) uploads() *upload { return &c.upload }

func (c *replaceCmd) run(ctx context.Context, s *call) reply {
	v := s.view
	if v.readOnly {
		c.drain()
		return readOnly()
	}
	uid, valid := c.target(v)
	if !valid {
		c.drain()
		return badSet("REPLACE")
	}
	if uid == 0 {
		c.drain()
		return no(codeExpungeIssued, textGone)
	}
	done, refused := receive(ctx, s, &c.upload, "REPLACE", c.name, func(ctx context.Context, m Messages) (Appended, error) {
		return v.mb.Replace(ctx, uid, c.name, m)
	})
	if len(done.UIDs) == 0 {
		return refused
	}
	s.w.Status("*", imap.StatusResponseTypeOK, appendUID(done), "Replacement message ready.")
	s.sum.Expunged++
	return ok("Replace completed.")
}

// target is the UID of the message to be replaced, 0 when it is gone. valid is
// false for a number that no message has.
func (c *replaceCmd) target(v *view) (uid uint32, valid bool) {
	i := int(c.number) - 1
	switch {
	case c.last:
		i = v.pin.Len() - 1
	case c.uid:
		var known bool
		if i, known = v.index(c.number); !known {
			return 0, true
		}
	}
	if i < 0 || i >= v.pin.Len() {
		return 0, false
	}
	return v.pin.At(i).UID, true
}
