package ldaptable

import (
	"context"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
)

// Open takes the path of a file such as ldap_table(5) describes. The table is
// an io.Closer.
func Open(name string, o lookup.Options) (lookup.Table, error) {
	kind := cf.Kind{Name: "ldap", Manual: "Postfix's ldap_table(5)", Connect: func(f *cf.File, o lookup.Options) (cf.Client, cf.Common, error) {
		cfg, err := read(f, o)
		if err != nil {
			return nil, cf.Common{}, err
		}
		return &client{cfg: cfg}, cfg.Common, nil
	}}
	return kind.Open(name, o)
}

// Find is cf.Client's.
func (c *client) Find(ctx context.Context, key cf.Address, into *cf.Result) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	base, filter, ok, err := c.cfg.query(key)
	if err != nil || !ok {
		return err
	}
	x := expansion{client: c, cfg: c.cfg, result: into, seen: map[string]bool{}}
	return x.step(ctx, &ldap.SearchRequest{
		BaseDN: base, Scope: c.cfg.scope, DerefAliases: c.cfg.deref, SizeLimit: c.cfg.sizeLimit, Filter: filter, Attributes: c.cfg.attributes(),
	}, 1)
}

// Ping connects and binds.
func (c *client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	l, _, err := c.take(ctx)
	if err == nil {
		c.put(l)
	}
	return err
}
