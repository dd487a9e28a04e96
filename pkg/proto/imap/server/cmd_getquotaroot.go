package server

import "context"

// GETQUOTAROOT: RFC 9208 section 4.1.2. The mailbox need not exist.
func parseGetQuotaRoot(p *parser, _ bool) runner { return &getQuotaRootCmd{p.mailbox()} }

type getQuotaRootCmd struct{ name string }

func (c *getQuotaRootCmd) run(ctx context.Context, s *call) reply {
	if r, bad := s.checkName(c.name); bad {
		return r
	}
	var roots []QuotaRoot
	var err error
	s.away(func() { roots, err = s.quotas().QuotaRoots(ctx, c.name) })
	if err != nil {
		return s.failed("GETQUOTAROOT", c.name, err)
	}
	s.w.Raw("* QUOTAROOT ")
	s.w.Mailbox(c.name)
	for _, r := range roots {
		s.w.Raw(" ")
		s.w.String(r.Name)
	}
	s.w.CRLF()
	for _, r := range roots {
		s.writeQuota(r)
	}
	return ok("Getquotaroot completed.")
}
