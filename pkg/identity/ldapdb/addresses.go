package ldapdb

import (
	"context"
	"slices"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxAddresses caps the answers to one question; Postfix expands no alias
// further either (virtual_alias_expansion_limit).
const maxAddresses = 1000

// addresses answers questions about domains and addresses. A nil search has no
// answers.
type addresses struct {
	domains, relays       *search
	aliases, senders      *search
	aliasAttr, senderAttr string
}

func newAddresses(s *server, c Config) (addresses, error) {
	a := addresses{aliasAttr: c.AliasAttr, senderAttr: c.SenderAttr}
	for _, x := range []struct {
		into   **search
		filter string
		attrs  []string
	}{
		{&a.domains, c.DomainFilter, nil},
		{&a.relays, c.RelayDomainFilter, nil},
		{&a.aliases, c.AliasFilter, []string{c.AliasAttr}},
		{&a.senders, c.SenderFilter, []string{c.SenderAttr}},
	} {
		if x.filter == "" {
			continue
		}
		q, err := newSearch(s, c, x.filter, x.attrs)
		if err != nil {
			return addresses{}, err
		}
		*x.into = &q
	}
	return a, nil
}

// HasDomain reports whether domain_filter finds an entry for domain.
func (a addresses) HasDomain(ctx context.Context, domain string) (bool, error) {
	return a.domains.any(ctx, domain)
}

// IsRelay reports whether relay_domain_filter does.
func (a addresses) IsRelay(ctx context.Context, domain string) (bool, error) {
	return a.relays.any(ctx, domain)
}

// Aliases is where mail for address, or "@domain", goes instead.
func (a addresses) Aliases(ctx context.Context, address string) ([]string, error) {
	return a.aliases.values(ctx, address, a.aliasAttr)
}

// Senders is who may send as address, by the names they log in with.
func (a addresses) Senders(ctx context.Context, address string) ([]string, error) {
	return a.senders.values(ctx, address, a.senderAttr)
}

// any reports whether there is an entry for domain.
func (q *search) any(ctx context.Context, domain string) (bool, error) {
	if q == nil || domain == "" {
		return false, nil
	}
	r := &request.Request{User: "@" + account.Domain(domain)}
	if possible(r) != nil {
		return false, nil
	}
	_, err := q.first(ctx, r, 1)
	if fail.Is(err, fail.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// values collects an attribute of all entries for address.
func (q *search) values(ctx context.Context, address, attr string) ([]string, error) {
	none := fail.New(fail.NotFound, "no answer for %q", address)
	if q == nil || address == "" {
		return nil, none
	}
	r := &request.Request{User: account.Canonical(address)}
	if err := possible(r); err != nil {
		return nil, err
	}
	entries, err := q.first(ctx, r, maxAddresses+1)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		for _, v := range valuesOf(e, attr) {
			if v != "" && !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
		if len(list) > maxAddresses {
			return nil, q.server.outage(fail.New(fail.Unavailable, "%s: there are more than %d addresses", address, maxAddresses))
		}
	}
	if len(list) == 0 {
		return nil, none
	}
	return list, nil
}
