package server

import (
	"context"
	"strconv"
)

// STATUS: RFC 3501 section 6.3.10, with SIZE of RFC 8438, DELETED of RFC
// 9051 section 6.3.11, HIGHESTMODSEQ of RFC 7162 section 3.1.7, MAILBOXID of
// RFC 8474 section 4.3, APPENDLIMIT of RFC 7889 section 3.1 and
// DELETED-STORAGE of RFC 9208 section 4.1.4.
func parseStatus(p *parser, _ bool) runner {
	c := &statusCmd{name: p.mailbox()}
	p.SP()
	c.items = parseStatusItems(p)
	return c
}

// statusItems is a set of STATUS items: bit i stands for statusTable()[i].
type statusItems uint16

// statusItem is a row of what STATUS can tell.
type statusItem struct {
	name  string
	value func(*Status) uint64
	text  func(*session, *Status) string // in its place, where it is no number
}

// statusTable is in the order of the answer.
func statusTable() []statusItem {
	return []statusItem{
		{name: "MESSAGES", value: func(s *Status) uint64 { return uint64(s.Messages) }},
		{name: "RECENT", value: func(s *Status) uint64 { return uint64(s.Recent) }},
		{name: "UIDNEXT", value: func(s *Status) uint64 { return uint64(s.UIDNext) }},
		{name: "UIDVALIDITY", value: func(s *Status) uint64 { return uint64(s.UIDValidity) }},
		{name: "UNSEEN", value: func(s *Status) uint64 { return uint64(s.Unseen) }},
		{name: "DELETED", value: func(s *Status) uint64 { return uint64(s.Deleted) }},
		{name: "SIZE", value: func(s *Status) uint64 { return uint64(s.Size) }},
		{name: "HIGHESTMODSEQ", value: func(s *Status) uint64 { return s.HighestModSeq }},
		{name: "DELETED-STORAGE", value: func(s *Status) uint64 { return uint64(s.deletedSize) }},
		{name: "MAILBOXID", text: func(_ *session, s *Status) string { return "(" + s.MailboxID + ")" }},
		{name: "APPENDLIMIT", text: func(s *session, _ *Status) string { return strconv.FormatInt(s.srv.cfg.MaxMessage, 10) }},
	}
}

// statusSize is the bit of SIZE, which costs more than the others.
const statusSize statusItems = 1 << 6

// statusDeleted is the bit of DELETED-STORAGE, which the quota knows.
const statusDeleted statusItems = 1 << 8

// statusHighest is the bit of HIGHESTMODSEQ.
const statusHighest statusItems = 1 << 7

func parseStatusItems(p *parser) statusItems {
	var items statusItems
	p.List(func() {
		name := p.Item()
		for i, row := range statusTable() {
			if row.name == name {
				items |= 1 << i
				return
			}
		}
		p.Fail("Unknown status item")
	})
	if p.Ok() && items == 0 {
		p.Fail("Empty status list")
	}
	return items
}

type statusCmd struct {
	name  string
	items statusItems
}

// narrow: what another mailbox has is none of the selected one's flags.
func (c *statusCmd) narrow(e effects, v *view) effects {
	if v == nil || c.name != v.name {
		e &^= readsFlags
	}
	return e
}

func (c *statusCmd) names() []*string { return []*string{&c.name} }

func (c *statusCmd) run(ctx context.Context, s *call) reply {
	if r, bad := s.checkName(c.name); bad {
		return r
	}
	st, err := s.status(ctx, c.name, c.items)
	if err != nil {
		return s.failed("STATUS", c.name, err)
	}
	s.writeStatus(c.name, c.items, &st)
	return ok("Status completed.")
}

// status asks for what the items need.
func (c *call) status(ctx context.Context, name string, items statusItems) (st Status, err error) {
	c.away(func() {
		st, err = c.start.Account.Status(ctx, name, items&statusSize != 0)
		if err == nil && items&statusDeleted != 0 {
			st.deletedSize, err = c.quotas().DeletedSize(ctx, name)
		}
	})
	if !c.keepsModSeq() {
		st.HighestModSeq = 0
	}
	if items&statusHighest != 0 && err == nil {
		c.becomeAware()
	}
	return st, err
}

func (s *session) writeStatus(name string, items statusItems, st *Status) {
	s.w.Raw("* STATUS ")
	s.w.Mailbox(name)
	sep := " ("
	for i, row := range statusTable() {
		if items&(1<<i) != 0 {
			s.w.Raw(sep)
			s.w.Raw(row.name)
			s.w.Raw(" ")
			if row.text != nil {
				s.w.Raw(row.text(s, st))
			} else {
				s.w.Num(row.value(st))
			}
			sep = " "
		}
	}
	s.w.Raw(")\r\n")
}
