package sqldb

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// maxAddresses caps the answers to one question; Postfix expands no alias
// further either (virtual_alias_expansion_limit).
const maxAddresses = 1000

// addresses answers what mtad asks about addresses.
type addresses struct {
	pool                  *sqlpool.Pool
	alias, sender, relays *query
}

// newAddresses is nil when no query is about addresses.
func newAddresses(pool *sqlpool.Pool, c QueryConfig) (*addresses, error) {
	a := &addresses{pool: pool}
	for _, q := range []struct {
		into      **query
		key, text string
	}{
		{&a.alias, "alias_query", c.AliasQuery},
		{&a.sender, "sender_query", c.SenderQuery},
		{&a.relays, "relay_domain_query", c.RelayDomainQuery},
	} {
		var err error
		if *q.into, err = prepare(pool, q.key, q.text); err != nil {
			return nil, err
		}
	}
	if a.alias == nil && a.sender == nil && a.relays == nil {
		return nil, nil
	}
	return a, nil
}

// Aliases is where mail for address, or "@domain", goes instead.
func (a *addresses) Aliases(ctx context.Context, address string) ([]string, error) {
	return a.all(ctx, "alias_query", a.alias, address)
}

// Senders is who may send as address, by the names they log in with.
func (a *addresses) Senders(ctx context.Context, address string) ([]string, error) {
	return a.all(ctx, "sender_query", a.sender, address)
}

// IsRelay reports whether another server has the users of domain.
func (a *addresses) IsRelay(ctx context.Context, domain string) (bool, error) {
	domain = account.Domain(domain)
	if a.relays == nil || domain == "" || unaskable(domain) {
		return false, nil
	}
	return yes(ctx, a.pool, "relay_domain_query", a.relays, domain)
}

// all collects the first columns of an answer, each of which may hold several
// addresses with commas between them, as postfixadmin has it.
func (a *addresses) all(ctx context.Context, key string, q *query, address string) ([]string, error) {
	none := fail.New(fail.NotFound, "no answer for %q", address)
	if q == nil || address == "" {
		return nil, none
	}
	args, err := arguments(q, &request.Request{User: account.Canonical(address)}, address)
	if err != nil {
		return nil, err
	}
	rows, err := a.pool.Rows(ctx, q.stmt, args, maxAddresses+1)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, row := range rows {
		if len(row.Values) == 0 || row.Values[0].Null {
			continue
		}
		if err := valueOK(row.Values[0].Text); err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "%s for %s", key, address)
		}
		for _, one := range strings.Split(row.Values[0].Text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				list = append(list, one)
			}
		}
	}
	switch {
	case len(list) == 0:
		return nil, none
	case len(list) > maxAddresses || len(rows) > maxAddresses:
		return nil, fail.New(fail.Unavailable, "%s for %s returns more than %d addresses", key, address, maxAddresses)
	}
	return list, nil
}
