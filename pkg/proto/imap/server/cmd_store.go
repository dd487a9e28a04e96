package server

import (
	"context"
	"slices"
	"strings"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// STORE: RFC 3501 section 6.4.6.
//
//	store           = "STORE" SP sequence-set SP store-att-flags
//	store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP
//	                  (flag-list / (flag *(SP flag)))
func parseStore(p *parser, uid bool) runner {
	c := &storeCmd{uid: uid}
	p.SP()
	c.set = p.Set()
	p.SP()
	switch {
	case p.Take('+'):
		c.op = imap.StoreFlagsAdd
	case p.Take('-'):
		c.op = imap.StoreFlagsDel
	}
	switch p.Item() {
	case "FLAGS":
	case "FLAGS.SILENT":
		c.silent = true
	default:
		p.Fail("FLAGS expected")
	}
	p.SP()
	if p.Peek() == '(' {
		c.flags = p.Flags()
		return c
	}
	for p.Ok() && len(c.flags) < 256 {
		c.flags = append(c.flags, p.Flag())
		if p.AtEnd() {
			break
		}
		p.SP()
	}
	return c
}

type storeCmd struct {
	uid    bool
	set    wire.Set
	op     imap.StoreFlagsOp
	silent bool
	flags  []imap.Flag
}

func (c *storeCmd) run(ctx context.Context, s *call) reply {
	v := s.view
	if v.readOnly {
		return readOnly()
	}
	set, valid := v.resolve(c.set, c.uid)
	if !valid {
		return badSet("STORE")
	}
	uids := v.uids(set, c.uid)
	if len(uids) == 0 {
		return ok("Store completed.")
	}
	before := v.told
	v.changing = s
	defer func() { v.changing = nil }()
	var err error
	if s.away(func() { err = v.mb.Store(ctx, uids.UIDs(), c.op, c.flags) }); err != nil {
		return s.failed("STORE", v.name, err)
	}
	if c.op != imap.StoreFlagsDel && slices.Contains(c.flags, imap.FlagDeleted) {
		s.sum.Deleted += uids.Len()
	}
	// What the client has just stored is either answered below or, when it
	// asked for silence, not at all, unless somebody else changed it too.
	v.sync(ctx, s, false, func(row Row) bool {
		return uids.Contains(row.UID) && (!c.silent || c.asExpected(before, row))
	})
	gone := false
	v.eachRow(set, c.uid, func(i int) bool {
		row, alive := v.row(i)
		if gone = gone || !alive; alive && !c.silent {
			s.writeFlags(i, row, c.uid)
		}
		return s.w.Err() == nil
	})
	if gone && !c.uid { // RFC 2180 section 4.2
		return no(codeExpungeIssued, textGone)
	}
	return ok("Store completed.")
}

// asExpected reports whether the flags of row are those that the client can
// work out itself.
func (c *storeCmd) asExpected(before Snapshot, row Row) bool {
	i := before.Find(row.UID)
	if i == before.Len() {
		return false
	}
	old := before.At(i)
	return old.UID == row.UID && sameFlags(apply(old, c.op, c.flags), row)
}

// apply is what STORE makes of the flags of a row.
func apply(row Row, op imap.StoreFlagsOp, flags []imap.Flag) Row {
	out := row
	out.Keywords = slices.Clone(row.Keywords)
	if op == imap.StoreFlagsSet {
		out.System, out.Keywords = 0, nil
	}
	for _, f := range flags {
		bit := systemFlag(f)
		at := slices.IndexFunc(out.Keywords, func(k string) bool { return strings.EqualFold(k, string(f)) })
		switch {
		case bit != 0 && op == imap.StoreFlagsDel:
			out.System &^= bit
		case bit != 0:
			out.System |= bit
		case op == imap.StoreFlagsDel && at >= 0:
			out.Keywords = slices.Delete(out.Keywords, at, at+1)
		case op != imap.StoreFlagsDel && at < 0:
			out.Keywords = append(out.Keywords, string(f))
		}
	}
	return out
}

// systemFlag returns the bit of a system flag, 0 for a keyword.
func systemFlag(f imap.Flag) System {
	for i, name := range systemNames() {
		if strings.EqualFold(name, string(f)) {
			return 1 << i
		}
	}
	return 0
}

// badSet answers a sequence number that no message has.
func badSet(verb string) reply {
	return bad("Error in IMAP command " + verb + ": Invalid messageset.")
}
