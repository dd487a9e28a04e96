package server

import (
	"context"

	imap "github.com/emersion/go-imap/v2"
)

// SETQUOTA: RFC 9208 section 4.1.3. The limits are the administrator's, as in
// Dovecot without quota_set: QUOTASET is not announced and nothing is changed.
func parseSetQuota(p *parser, _ bool) runner {
	p.SP()
	c := setQuotaCmd{}
	_ = p.AString()
	p.SP()
	p.List(func() {
		_ = p.Word()
		p.SP()
		_ = p.Number64()
	})
	return c
}

type setQuotaCmd struct{}

func (setQuotaCmd) run(context.Context, *call) reply {
	return no(imap.ResponseCodeNoPerm, "Quota limits are set by the administrator.")
}
