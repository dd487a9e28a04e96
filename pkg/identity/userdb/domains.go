package userdb

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/account"
)

// Domains tells which domains are ours: those that are configured and those
// that some user is of.
type Domains struct {
	Configured []string
	Users      DomainFinder
}

// Ours reports whether domain is ours. An error means that nobody knows.
func (d Domains) Ours(ctx context.Context, domain string) (bool, error) {
	domain = account.Domain(domain)
	if domain == "" {
		return false, nil
	}
	for _, c := range d.Configured {
		if account.Domain(c) == domain {
			return true, nil
		}
	}
	return d.Users.HasDomain(ctx, domain)
}
