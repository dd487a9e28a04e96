package server

import "context"

// STATUS: RFC 3501 section 6.3.10, with SIZE of RFC 8438, DELETED of RFC
// 9051 section 6.3.11 and HIGHESTMODSEQ of RFC 7162 section 3.1.7.
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
}

// statusTable is in the order of the answer.
func statusTable() []statusItem {
	return []statusItem{
		{"MESSAGES", func(s *Status) uint64 { return uint64(s.Messages) }},
		{"RECENT", func(s *Status) uint64 { return uint64(s.Recent) }},
		{"UIDNEXT", func(s *Status) uint64 { return uint64(s.UIDNext) }},
		{"UIDVALIDITY", func(s *Status) uint64 { return uint64(s.UIDValidity) }},
		{"UNSEEN", func(s *Status) uint64 { return uint64(s.Unseen) }},
		{"DELETED", func(s *Status) uint64 { return uint64(s.Deleted) }},
		{"SIZE", func(s *Status) uint64 { return uint64(s.Size) }},
		{"HIGHESTMODSEQ", func(s *Status) uint64 { return s.HighestModSeq }},
	}
}

// statusSize is the bit of SIZE, which costs more than the others.
const statusSize statusItems = 1 << 6

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
	c.away(func() { st, err = c.start.Account.Status(ctx, name, items&statusSize != 0) })
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
			s.w.Num(row.value(st))
			sep = " "
		}
	}
	s.w.Raw(")\r\n")
}
