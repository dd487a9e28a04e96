package server

import (
	"context"
	"strings"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// COPY: RFC 3501 section 6.4.7, with COPYUID of RFC 4315 section 3.
func parseCopy(p *parser, uid bool) runner { return parseTransfer(p, uid, false) }

func parseTransfer(p *parser, uid, move bool) runner {
	p.SP()
	c := &copyCmd{uid: uid, move: move, set: p.Set()}
	c.dest = p.mailbox()
	return c
}

// manyCopies is from how many messages on a copy may take long: a timer for
// each would cost more than the copy of a few.
const manyCopies = 64

// copyCmd is COPY and MOVE.
type copyCmd struct {
	uid, move bool
	set       wire.Set
	dest      string
}

// narrow: a copy into the selected mailbox adds to what later commands see.
func (c *copyCmd) narrow(e effects, v *view) effects {
	if v != nil && c.dest == v.name {
		return alone
	}
	return e
}

func (c *copyCmd) names() []*string { return []*string{&c.dest} }

func (c *copyCmd) run(ctx context.Context, s *call) reply {
	v, verb := s.view, map[bool]string{true: "Move", false: "Copy"}[c.move]
	if c.move && v.readOnly {
		return readOnly()
	}
	set, valid := v.resolve(c.set, c.uid)
	if !valid {
		return badSet(strings.ToUpper(verb))
	}
	if r, bad := s.checkName(c.dest); bad {
		return r
	}
	uids := v.uids(set, c.uid)
	if len(uids) == 0 {
		return ok("No messages found.")
	}
	var done Copied
	var err error
	away := s.away
	if uids.Len() >= manyCopies {
		away = s.awayTelling
	}
	away(func() { done, err = v.mb.Copy(ctx, uids.UIDs(), c.dest, c.move) })
	if err != nil {
		return s.tryCreate(strings.ToUpper(verb), c.dest, err)
	}
	if len(done.Source) == 0 {
		return no(codeExpungeIssued, textGone) // RFC 2180 section 4.3
	}
	s.made(c.dest, done.Dest)
	if strings.EqualFold(s.lastLevel(c.dest), "Trash") {
		s.sum.Trashed += len(done.Source)
	}
	code := copyUID(done)
	if !c.move {
		return okCode(code, verb+" completed.")
	}
	// RFC 6851 section 4.3: before the EXPUNGEs, so in an untagged OK.
	s.w.Status("*", imap.StatusResponseTypeOK, code, "Moved UIDs.")
	s.sum.Expunged += len(done.Source)
	return ok(verb + " completed.")
}

func (s *session) lastLevel(name string) string {
	return name[strings.LastIndexByte(name, s.start.Delim)+1:]
}

func copyUID(c Copied) string {
	var src, dst wire.Set
	for i := range c.Source {
		src.Add(c.Source[i])
		dst.Add(c.Dest[i])
	}
	b := wire.Set{{From: c.UIDValidity, To: c.UIDValidity}}.Append([]byte("COPYUID "))
	b = src.Append(append(b, ' '))
	return string(dst.Append(append(b, ' ')))
}
