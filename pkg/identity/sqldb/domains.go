package sqldb

import (
	"context"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// domainsFor is how long the domains that a listing found are believed.
const domainsFor = 10 * time.Second

// maxDomains caps what a listing may find.
const maxDomains = 1 << 20

// domains knows which domains are ours: by a query of its own, or by going
// through the users.
type domains struct {
	pool *sqlpool.Pool
	one  *query
	list *list
	now  func() time.Time

	turn  chan struct{} // held while the users are listed
	mu    sync.Mutex
	found map[string]bool
	until time.Time
}

func newDomains(pool *sqlpool.Pool, one *query, l *list, now func() time.Time) *domains {
	if now == nil {
		now = time.Now
	}
	return &domains{pool: pool, one: one, list: l, now: now, turn: make(chan struct{}, 1)}
}

// HasDomain reports whether domain is ours. An error means that nobody knows.
func (d *domains) HasDomain(ctx context.Context, domain string) (bool, error) {
	domain = account.Domain(domain)
	if domain == "" || unaskable(domain) {
		return false, nil
	}
	if d.one != nil {
		return yes(ctx, d.pool, "domain_query", d.one, domain)
	}
	if has, known := d.cached(domain); known {
		return has, nil
	}
	return d.search(ctx, domain)
}

// yes asks a question about a domain. A count of 0 or a flag that is not set
// says no as well as no row does.
func yes(ctx context.Context, pool *sqlpool.Pool, key string, q *query, domain string) (bool, error) {
	args, err := q.values(ofDomain(domain))
	if err != nil {
		return false, fail.Wrap(fail.Unavailable, err, "%s", key)
	}
	rows, err := pool.Rows(ctx, q.stmt, args, 1)
	if err != nil || len(rows) == 0 || len(rows[0].Values) == 0 || rows[0].Values[0].Null {
		return false, err
	}
	v := rows[0].Values[0].Text
	return v == domain || !account.Field{Value: v}.No(), nil
}

func (d *domains) cached(domain string) (has, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found == nil || !d.now().Before(d.until) {
		return false, false
	}
	return d.found[domain], true
}

// search lists the users, for all who ask meanwhile. Failures are not kept.
func (d *domains) search(ctx context.Context, domain string) (bool, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return false, fail.Wrap(fail.Temporary, context.Cause(ctx), "waiting for the list of domains")
	}
	if has, known := d.cached(domain); known {
		return has, nil
	}
	found := map[string]bool{}
	for user, err := range d.list.List(ctx) {
		if err != nil {
			return false, err
		}
		if _, of := account.Split(user); of != "" {
			found[of] = true
		}
		if len(found) > maxDomains {
			return false, fail.New(fail.Unavailable, "iterate_query names more than %d domains: configure domain_query", maxDomains)
		}
	}
	d.mu.Lock()
	d.found, d.until = found, d.now().Add(domainsFor)
	d.mu.Unlock()
	return found[domain], nil
}
