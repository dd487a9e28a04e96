package server

import (
	"context"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// EXPUNGE: RFC 3501 section 6.4.3; UID EXPUNGE: RFC 4315 section 2.1.
func parseExpunge(p *parser, uid bool) runner {
	c := &expungeCmd{uid: uid}
	if uid {
		p.SP()
		c.set = p.Set()
	}
	return c
}

type expungeCmd struct {
	uid bool
	set wire.Set
}

func (c *expungeCmd) run(ctx context.Context, s *call) reply {
	v := s.view
	if v.readOnly {
		return readOnly()
	}
	var uids imap.UIDSet
	var set wire.Set
	if c.uid {
		if set, _ = v.resolve(c.set, true); len(set) == 0 {
			return ok("Expunge completed.")
		}
		uids = set.UIDs()
	}
	n := v.countDeleted(set)
	if err := v.mb.Expunge(ctx, uids); err != nil {
		return s.failed("EXPUNGE", v.name, err)
	}
	s.sum.Expunged += n
	return ok("Expunge completed.")
}

// countDeleted counts the \Deleted messages of a set of UIDs (nil: all), for
// the log.
func (v *view) countDeleted(uids wire.Set) int {
	n := 0
	for i := range v.told.Len() {
		if row := v.told.At(i); row.System&Deleted != 0 && (uids == nil || uids.Contains(row.UID)) {
			n++
		}
	}
	return n
}

// readOnly answers an attempt to change a mailbox that was selected with
// EXAMINE.
func readOnly() reply { return no(imap.ResponseCodeCannot, "Mailbox is read-only.") }
