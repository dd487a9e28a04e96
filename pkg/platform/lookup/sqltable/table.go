package sqltable

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// Driver makes the tables of one kind, of sqlpool's names. A table is an
// io.Closer.
func Driver(kind string, pools *Pools) lookup.Driver {
	return func(name string, o lookup.Options) (lookup.Table, error) {
		if !filepath.IsAbs(name) {
			return nil, fail.New(fail.Invalid, "%.200q is not an absolute path of a file such as Postfix's mysql_table(5) describes", name)
		}
		t := &table{name: name, kind: kind, pools: pools, options: o}
		t.file = text.NewFile(name, o.Limits, o.Now, t.read)
		return t, nil
	}
}

// table is described by a file.
type table struct {
	name, kind string
	pools      *Pools
	options    lookup.Options
	file       *text.File[*instance]
	last       *instance // of read, which is not called concurrently
}

// instance is what the file says now.
type instance struct {
	cf.Common
	query    *query
	pool     *sqlpool.Pool
	identity string
}

// read makes a new instance, which takes the place of the one before.
func (t *table) read(in io.Reader, _ int64) (*instance, error) {
	f, err := cf.Read(t.name, in, t.options.Warn)
	if err != nil {
		return nil, err
	}
	x := &instance{Common: f.Common(t.options)}
	query := queryText(t.kind, f)
	cfg, identity := database(t.kind, f)
	if err := f.Err(); err != nil {
		return nil, err
	}
	if err := validate(cfg); err != nil {
		return nil, err
	}
	if x.pool, err = t.pools.take(identity, t.kind+":"+t.name, cfg); err != nil {
		return nil, err
	}
	x.identity = identity
	if x.query, err = parseQuery(t.kind, x.pool.Placeholder, query); err != nil {
		t.pools.drop(identity)
		return nil, fail.Wrap(fail.Invalid, err, "query")
	}
	if t.last != nil {
		t.pools.drop(t.last.identity)
	}
	t.last = x
	return x, nil
}

// Close gives the connections back; lookups fail from now on.
func (t *table) Close() error {
	t.file.Close()
	if t.last != nil {
		t.pools.drop(t.last.identity)
		t.last = nil
	}
	return nil
}

// Lookup is lookup.Table's.
func (t *table) Lookup(ctx context.Context, key string) (string, error) {
	x, err := t.file.Get()
	if err != nil {
		return "", err
	}
	if !t.options.KeepCase {
		key = lookup.Fold(key)
	}
	if !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
		return "", fail.New(fail.NotFound, "%s: not found", t.name)
	}
	value, err := x.find(ctx, cf.Split(key))
	if err != nil && !fail.Is(err, fail.NotFound) && !fail.Is(err, fail.Invalid) {
		err = fail.Wrap(fail.Unavailable, err, "table %s:%s", t.kind, t.name)
	}
	return value, err
}

func (x *instance) find(ctx context.Context, key cf.Address) (string, error) {
	result := x.NewResult(key)
	if yes, err := x.Domains.Allow(ctx, key); !yes {
		if err != nil {
			return "", err
		}
		return result.Text()
	}
	args, ok, err := x.query.values(key)
	if err != nil || !ok {
		if err != nil {
			return "", err
		}
		return result.Text()
	}
	rows, err := x.pool.Rows(ctx, x.query.stmt, args, x.Cap())
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		for _, v := range row.Values {
			if v.Null {
				continue
			}
			if err := result.Add(v.Text); err != nil {
				return "", err
			}
		}
	}
	return result.Text()
}

// Check asks the database for a key that nobody has, whatever `domain` says.
func (t *table) Check(ctx context.Context) error {
	x, err := t.file.Get()
	if err != nil {
		return err
	}
	args, _, err := x.query.values(cf.Split("check@a.b.c.d.e.f.postcote.invalid"))
	if err == nil {
		_, err = x.pool.Rows(ctx, x.query.stmt, args, 1)
	}
	return err
}
