package sqltable

import (
	"context"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// Driver makes the tables of one kind, of sqlpool's names. A table is an
// io.Closer.
func Driver(kind string, pools *Pools) lookup.Driver {
	return func(name string, o lookup.Options) (lookup.Table, error) {
		k := cf.Kind{Name: kind, Manual: "Postfix's mysql_table(5)", Connect: func(f *cf.File, o lookup.Options) (cf.Client, cf.Common, error) {
			return pools.connect(kind, name, f, o)
		}}
		return k.Open(name, o)
	}
}

// client is the query of one table, and a share of the pool that it goes to.
type client struct {
	cf.Common
	query    *query
	pool     *sqlpool.Pool
	pools    *Pools
	identity string
}

func (p *Pools) connect(kind, name string, f *cf.File, o lookup.Options) (*client, cf.Common, error) {
	x := &client{Common: f.Common(o), pools: p}
	query := queryText(kind, f)
	cfg, identity := database(kind, f)
	if err := f.Err(); err != nil {
		return nil, x.Common, err
	}
	if err := validate(cfg); err != nil {
		return nil, x.Common, err
	}
	var err error
	if x.pool, err = p.take(identity, kind+":"+name, cfg); err != nil {
		return nil, x.Common, err
	}
	x.identity = identity
	if x.query, err = parseQuery(kind, x.pool.Placeholder, query); err != nil {
		x.Close()
		return nil, x.Common, fail.Wrap(fail.Invalid, err, "query")
	}
	return x, x.Common, nil
}

// Find is cf.Client's.
func (x *client) Find(ctx context.Context, key cf.Address, into *cf.Result) error {
	args, ok, err := x.query.values(key)
	if err != nil || !ok {
		return err
	}
	rows, err := x.pool.Rows(ctx, x.query.stmt, args, x.Cap())
	if err != nil {
		return err
	}
	for _, row := range rows {
		for _, v := range row.Values {
			if v.Null {
				continue
			}
			if err := into.Add(v.Text); err != nil {
				return err
			}
		}
	}
	return nil
}

// Ping asks for a key that nobody has.
func (x *client) Ping(ctx context.Context) error {
	args, _, err := x.query.values(cf.Split("check@a.b.c.d.e.f.postcote.invalid"))
	if err == nil {
		_, err = x.pool.Rows(ctx, x.query.stmt, args, 1)
	}
	return err
}

// Close gives the pool back.
func (x *client) Close() { x.pools.drop(x.identity) }
