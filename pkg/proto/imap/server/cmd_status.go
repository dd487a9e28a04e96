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

// narrow: what another mailbox has is none of the selected one's flags.
func (c *statusCmd) narrow(e effects, v *view) effects {
	if v == nil || c.name != v.name {
		e &^= readsFlags
	}
	return e
}

func (c *statusCmd) run(ctx context.Context, s *call) reply {
	if r, bad := s.checkName(c.name); bad {
		return r
	}
	if err := s.writeStatus(ctx, c.name, c.items); err != nil {
		return s.failed("STATUS", c.name, err)
	}
	return ok("Status completed.")
}

func (c *call) writeStatus(ctx context.Context, name string, items statusItems) error {
	var st Status
	var err error
	c.away(func() { st, err = c.start.Account.Status(ctx, name) })
	if err != nil {
		return err
	}
	values := [5]uint32{st.Messages, st.Recent, st.UIDNext, st.UIDValidity, st.Unseen}
	c.w.Raw("* STATUS ")
	c.w.Mailbox(name)
	sep := " ("
	for i, n := range statusNames() {
		if items&(1<<i) != 0 {
			c.w.Raw(sep)
			c.w.Raw(n)
			c.w.Raw(" ")
			c.w.Num(uint64(values[i]))
			sep = " "
		}
	}
	c.w.Raw(")\r\n")
	return nil
}
