package session

import (
	"context"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/server"
)

// quotaRoot is the name that clients know from Dovecot.
const quotaRoot = "User quota"

// QuotaRoots implements server.QuotaKeeper: there is one root for all mail.
func (a imapAccount) QuotaRoots(ctx context.Context, mailbox string) ([]server.QuotaRoot, error) {
	m := a.Meter()
	if !m.Counts(mailbox) {
		return nil, nil
	}
	limits := m.Limits()
	used, err := m.Usage(ctx)
	if err != nil {
		return nil, err
	}
	root := server.QuotaRoot{Name: quotaRoot}
	if limits.Bytes > 0 {
		root.Resources = append(root.Resources, server.QuotaResource{
			Type: imap.QuotaResourceStorage, Usage: kib(used.Bytes), Limit: kib(limits.Bytes),
		})
	}
	if limits.Messages > 0 {
		root.Resources = append(root.Resources, server.QuotaResource{
			Type: imap.QuotaResourceMessage, Usage: used.Messages, Limit: limits.Messages,
		})
	}
	return []server.QuotaRoot{root}, nil
}

// kib rounds up, as Dovecot does.
func kib(n int64) int64 { return (n + 1023) / 1024 }
