package server

import (
	"context"

	imap "github.com/emersion/go-imap/v2"
)

// GETQUOTA: RFC 9208 section 4.1.1.
func parseGetQuota(p *parser, _ bool) runner {
	p.SP()
	return &getQuotaCmd{p.AString()}
}

type getQuotaCmd struct{ root string }

func (c *getQuotaCmd) run(ctx context.Context, s *call) reply {
	var roots []QuotaRoot
	var err error
	s.away(func() { roots, err = s.quotas().QuotaRoots(ctx, "INBOX") })
	if err != nil {
		return s.failed("GETQUOTA", "INBOX", err)
	}
	for _, r := range roots {
		if r.Name == c.root {
			s.writeQuota(r)
			return ok("Getquota completed.")
		}
	}
	return no(imap.ResponseCodeNonExistent, "Quota root doesn't exist.")
}

// quotas is the account's QuotaKeeper, or one without any limits.
func (s *session) quotas() QuotaKeeper {
	if k, ok := s.start.Account.(QuotaKeeper); ok {
		return k
	}
	return noQuotas{}
}

// limited: there is somebody who can say what the limits are.
func limited(s *session) bool {
	_, ok := s.start.Account.(QuotaKeeper)
	return ok
}

type noQuotas struct{}

func (noQuotas) QuotaRoots(context.Context, string) ([]QuotaRoot, error) { return nil, nil }
func (noQuotas) DeletedSize(context.Context, string) (int64, error)      { return 0, nil }

// writeQuota is the QUOTA response: RFC 9208 section 4.2.1.
func (c *call) writeQuota(r QuotaRoot) {
	c.w.Raw("* QUOTA ")
	c.w.String(r.Name)
	sep := " ("
	if len(r.Resources) == 0 {
		c.w.Raw(sep)
	}
	for _, x := range r.Resources {
		c.w.Raw(sep)
		c.w.Raw(string(x.Type))
		c.w.Raw(" ")
		c.w.Num(uint64(max(x.Usage, 0)))
		c.w.Raw(" ")
		c.w.Num(uint64(max(x.Limit, 0)))
		sep = " "
	}
	c.w.Raw(")\r\n")
}
