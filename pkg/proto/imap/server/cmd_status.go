package server

import "context"

// STATUS: RFC 3501 section 6.3.10.
func parseStatus(p *parser, _ bool) runner {
	c := &statusCmd{name: p.mailbox()}
	p.SP()
	c.items = parseStatusItems(p)
	return c
}

// statusItems is a set of STATUS items: bit i stands for statusNames()[i].
type statusItems uint8

func statusNames() [5]string {
	return [5]string{"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}
}

func parseStatusItems(p *parser) statusItems {
	var items statusItems
	p.List(func() {
		name := p.Item()
		for i, n := range statusNames() {
			if n == name {
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

func (c *statusCmd) run(ctx context.Context, s *session) reply {
	if r, bad := s.checkName(c.name); bad {
		return r
	}
	if err := s.writeStatus(ctx, c.name, c.items); err != nil {
		return s.failed("STATUS", c.name, err)
	}
	return ok("Status completed.")
}

func (s *session) writeStatus(ctx context.Context, name string, items statusItems) error {
	st, err := s.start.Account.Status(ctx, name)
	if err != nil {
		return err
	}
	values := [5]uint32{st.Messages, st.Recent, st.UIDNext, st.UIDValidity, st.Unseen}
	s.w.Raw("* STATUS ")
	s.w.Mailbox(name)
	sep := " ("
	for i, n := range statusNames() {
		if items&(1<<i) != 0 {
			s.w.Raw(sep)
			s.w.Raw(n)
			s.w.Raw(" ")
			s.w.Num(uint64(values[i]))
			sep = " "
		}
	}
	s.w.Raw(")\r\n")
	return nil
}
