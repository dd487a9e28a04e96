package server

import "context"

// ID: RFC 2971. What the client says about itself is checked and dropped.
func parseID(p *parser, _ bool) runner {
	p.SP()
	if p.Peek() != '(' {
		if _, isString := p.NString(); isString {
			p.Fail("List or NIL expected")
		}
		return idCmd{}
	}
	n := 0
	p.List(func() {
		v, _ := p.NString()
		if n%2 == 0 && len(v) > 30 || len(v) > 1024 || n >= 60 { // section 3.3
			p.Fail("ID is too long")
		}
		n++
	})
	if n%2 != 0 {
		p.Fail("ID has a name without a value")
	}
	return idCmd{}
}

type idCmd struct{}

func (idCmd) run(_ context.Context, s *call) reply {
	s.w.Raw("* ID ")
	if len(s.srv.cfg.ID) == 0 {
		s.w.Raw("NIL")
	}
	for i, pair := range s.srv.cfg.ID {
		s.w.Raw(map[bool]string{true: "(", false: " "}[i == 0])
		s.w.String(pair[0])
		s.w.Raw(" ")
		s.w.String(pair[1])
		if i == len(s.srv.cfg.ID)-1 {
			s.w.Raw(")")
		}
	}
	s.w.CRLF()
	return ok("ID completed.")
}
