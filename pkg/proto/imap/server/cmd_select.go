package server

import (
	"context"
	"slices"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// SELECT and EXAMINE: RFC 3501 sections 6.3.1 and 6.3.2, with the parameters of
// RFC 7162 sections 3.1.8 and 3.2.5.
//
//	select-param = "CONDSTORE" / "QRESYNC" SP "(" uidvalidity SP
//	               mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
func parseSelect(p *parser, _ bool) runner { return parseSelectArgs(p, false) }

func parseExamine(p *parser, _ bool) runner { return parseSelectArgs(p, true) }

func parseSelectArgs(p *parser, readOnly bool) runner {
	c := &selectCmd{name: p.mailbox(), readOnly: readOnly}
	if p.More() {
		p.List(func() { c.param(p) })
	}
	return c
}

type selectCmd struct {
	name     string
	readOnly bool
	aware    bool // of CONDSTORE
	resync   *resync
}

// resync is the QRESYNC parameter: what the client knows.
type resync struct {
	validity uint32
	modseq   uint64
	known    wire.Set // UIDs; nil for all
	// seqs[i], both sets counted out, has UID uids[i]. Ascending.
	seqs, uids wire.Set
}

func (c *selectCmd) param(p *parser) {
	switch name := p.Word(); {
	case name == "CONDSTORE":
		c.aware = true
	case name == "QRESYNC" && c.resync == nil:
		c.aware = true
		c.resync = parseResync(p)
	default:
		p.Fail("Unknown SELECT parameter")
	}
}

func parseResync(p *parser) *resync {
	r := &resync{}
	p.SP()
	p.Byte('(')
	r.validity = p.Number()
	p.SP()
	r.modseq = uint64(p.Number64())
	if p.Ok() && (r.validity == 0 || r.modseq == 0) {
		p.Fail("Invalid QRESYNC values")
	}
	if p.Ok() && p.Peek() == ' ' {
		if p.SP(); p.Peek() != '(' {
			r.known = p.plainSet()
			if p.Ok() && p.Peek() == ' ' {
				p.SP()
			}
		}
	}
	if p.Ok() && p.Take('(') {
		r.seqs = p.plainSet()
		p.SP()
		r.uids = p.plainSet()
		p.Byte(')')
		if p.Ok() && (!ascending(r.seqs) || !ascending(r.uids) || r.seqs.Len() != r.uids.Len()) {
			p.Fail("Invalid QRESYNC sequence match data")
		}
	}
	p.Byte(')')
	return r
}

// plainSet reads a set in which "*" is not allowed.
func (p *parser) plainSet() wire.Set {
	set := p.Set()
	for _, g := range set {
		if g.From == wire.Star || g.To == wire.Star {
			p.Fail("\"*\" is not allowed here")
		}
	}
	return set
}

func ascending(set wire.Set) bool {
	last := uint32(0)
	for _, g := range set {
		if g.From <= last || g.To < g.From {
			return false
		}
		last = g.To
	}
	return true
}

func (c *selectCmd) names() []*string { return []*string{&c.name} }

func (c *selectCmd) run(ctx context.Context, s *call) reply {
	if c.resync != nil && !s.has(featureQresync) {
		return bad("QRESYNC is not enabled.")
	}
	if s.view != nil {
		s.unselect() // also when the new one does not exist
		s.w.Raw("* OK [CLOSED] Previous mailbox closed.\r\n")
	}
	s.aware = s.aware || c.aware
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
	v.modseq = s.keepsModSeq()
	s.view = v
	s.tellSelected()
	if s.has(featureRev2) {
		s.tellListed(ctx)
	}
	if c.resync != nil && v.modseq && c.resync.validity == v.pin.Info().UIDValidity {
		s.tellMissed(c.resync)
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
	if s.announced("OBJECTID") != nil {
		s.w.Status("*", "OK", "MAILBOXID ("+v.mb.ID()+")", "Ok")
	}
	switch s.news = (news{high: info.HighestModSeq}); {
	case s.tellsModSeq():
		s.w.Status("*", "OK", highestModSeq(info.HighestModSeq), "Highest")
	case s.aware:
		s.w.Raw("* OK [NOMODSEQ] No permanent mod-sequences.\r\n")
	}
}

// tellMissed tells what has happened since the client was here (RFC 7162
// section 3.2.5): first the expunges, then the flags.
func (s *call) tellMissed(r *resync) {
	v := s.view
	info := v.pin.Info()
	since := r.modseq
	if since > info.HighestModSeq {
		since = 0 // it is from a future that an old backup knows nothing of
	}
	known := r.known
	if known == nil {
		known = wire.Set{{From: 1, To: wire.Star}}
	}
	s.tellEarlier(since, known, r.matched(v.pin))
	v.eachRow(v.changedSince(known.Resolve(info.UIDNext), true, since), true, func(i int) bool {
		s.writeFlags(i, v.pin.At(i), true)
		return s.w.Err() == nil
	})
}

// tellEarlier tells which UIDs of a set above the last one that the client is
// known to be right about were expunged since a MODSEQ. "*" is the highest UID
// that there was.
func (s *call) tellEarlier(since uint64, uids wire.Set, right uint32) {
	pin := s.view.pin
	next := pin.Info().UIDNext
	if next <= 1 {
		return
	}
	gone := wire.FromUIDs(pin.Vanished(since, uids.Resolve(next-1).UIDs()))
	for len(gone) > 0 && gone[0].To <= right {
		gone = gone[1:]
	}
	if len(gone) == 0 {
		return
	}
	gone = slices.Clone(gone)
	gone[0].From = max(gone[0].From, right+1)
	s.writeVanished("(EARLIER) ", gone)
}

// matched is the UID of the last message that is where the client believes it
// to be: what went before it is known to the client (RFC 7162 section 3.2.5.2).
func (r *resync) matched(snap Snapshot) uint32 {
	last := uint32(0)
	seqs, uids := slices.Clone(r.seqs), slices.Clone(r.uids)
	for len(seqs) > 0 && len(uids) > 0 && int64(seqs[0].From) <= int64(snap.Len()) {
		if snap.At(int(seqs[0].From)-1).UID == uids[0].From {
			last = uids[0].From
		}
		if seqs[0].From++; seqs[0].From > seqs[0].To {
			seqs = seqs[1:]
		}
		if uids[0].From++; uids[0].From > uids[0].To {
			uids = uids[1:]
		}
	}
	return last
}
