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
//
// with UNCHANGEDSINCE of RFC 7162 section 3.1.3 behind the set:
//
//	store-modifiers = SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"
func parseStore(p *parser, uid bool) runner {
	c := &storeCmd{uid: uid}
	p.SP()
	c.set = p.Set()
	p.SP()
	if p.Peek() == '(' {
		c.modifiers(p)
		p.SP()
	}
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
	for more := true; more && len(c.flags) < 256; more = p.More() {
		c.flags = append(c.flags, p.Flag())
	}
	return c
}

type storeCmd struct {
	uid    bool
	set    wire.Set
	op     imap.StoreFlagsOp
	silent bool
	flags  []imap.Flag

	conditional bool
	since       uint64 // UNCHANGEDSINCE
}

func (c *storeCmd) modifiers(p *parser) {
	p.List(func() {
		if p.Word() != "UNCHANGEDSINCE" || c.conditional {
			p.Fail("Unknown STORE modifier")
			return
		}
		p.SP()
		c.conditional, c.since = true, uint64(p.Number64())
	})
}

func (c *storeCmd) run(ctx context.Context, s *call) reply {
	v := s.view
	if v.readOnly {
		return readOnly()
	}
	if c.conditional && !v.modseq {
		return noModSeq()
	}
	set, valid := v.resolve(c.set, c.uid)
	if !valid {
		return badSet("STORE")
	}
	if c.conditional {
		s.becomeAware()
	}
	uids := v.uids(set, c.uid)
	if len(uids) == 0 {
		return ok("Store completed.")
	}
	before := v.told
	v.changing = s
	defer func() { v.changing = nil }()
	change := Change{Op: c.op, Flags: c.flags}
	if c.conditional {
		change.If = &Unchanged{Since: c.since, Told: before}
	}
	var refused imap.UIDSet
	var err error
	if s.away(func() { refused, err = v.mb.Store(ctx, uids.UIDs(), change) }); err != nil {
		return s.failed("STORE", v.name, err)
	}
	if c.op != imap.StoreFlagsDel && slices.Contains(c.flags, imap.FlagDeleted) {
		s.sum.Deleted += uids.Len()
	}
	// What the client has just stored is either answered below or, when it
	// asked for silence, not at all, unless somebody else changed it too.
	v.sync(ctx, s, false, func(row Row) bool {
		return uids.Contains(row.UID) && (!c.silent || s.tellsModSeq() || c.asExpected(before, row))
	})
	return c.tell(s, set, before, wire.FromUIDs(refused))
}

// tell answers for each message of the set, and then as a whole. An aware
// client hears of new MODSEQs also when it has asked for silence (RFC 7162
// section 3.1.3), and how those messages are that were not changed.
func (c *storeCmd) tell(s *call, set wire.Set, before Snapshot, refused wire.Set) reply {
	v := s.view
	gone := false
	var modified wire.Set
	v.eachRow(set, c.uid, func(i int) bool {
		row, alive := v.row(i)
		failed := alive && refused.Contains(row.UID)
		switch {
		case !alive:
			gone = true
		case !c.silent || failed || s.tellsModSeq() && !c.asExpected(before, row):
			s.writeFlags(i, row, c.uid)
		case s.tellsModSeq():
			s.writeNewModSeq(i, row)
		}
		switch {
		case failed && c.uid:
			modified.Add(row.UID)
		case failed:
			modified.Add(uint32(i + 1))
		}
		return s.w.Err() == nil
	})
	code := ""
	if len(modified) > 0 {
		code = "MODIFIED " + modified.String()
	}
	switch {
	case gone && !c.uid && code == "": // RFC 2180 section 4.2
		return no(codeExpungeIssued, textGone)
	case gone && !c.uid: // RFC 7162 section 3.1.3, example 11
		return no(imap.ResponseCode(code), textGone)
	case code != "":
		return okCode(code, "Conditional store failed.")
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
