package server

import "context"

// SUBSCRIBE: RFC 3501 section 6.3.6. The mailbox need not exist.
func parseSubscribe(p *parser, _ bool) runner { return &subscribeCmd{p.mailbox(), true} }

type subscribeCmd struct {
	name string
	on   bool
}

func (c *subscribeCmd) names() []*string { return []*string{&c.name} }

func (c *subscribeCmd) run(ctx context.Context, s *call) reply {
	c.name = s.subscribable(c.name)
	if r, bad := s.checkName(c.name); bad {
		return r
	}
	verb := map[bool]string{true: "Subscribe", false: "Unsubscribe"}[c.on]
	var err error
	if s.away(func() { err = s.start.Account.Subscribe(ctx, c.name, c.on) }); err != nil {
		return s.failed("SUBSCRIBE", c.name, err)
	}
	return ok(verb + " completed.")
}
