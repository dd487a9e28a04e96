package redistable

import (
	"context"
	"errors"
	"slices"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
)

// client is a configuration with its connections.
type client struct {
	cfg *config
	rdb goredis.UniversalClient
}

// Open takes the path of a file of settings. The table is an io.Closer.
func Open(name string, o lookup.Options) (lookup.Table, error) {
	// The library writes to standard error by itself, past the log. What matters
	// comes back as an error, too.
	logging.Disable()
	kind := cf.Kind{Name: "redis", Manual: "docs/mtad/tables.md", Connect: func(f *cf.File, o lookup.Options) (cf.Client, cf.Common, error) {
		cfg, err := read(f, o)
		if err != nil {
			return nil, cf.Common{}, err
		}
		return &client{cfg, goredis.NewUniversalClient(cfg.options)}, cfg.Common, nil
	}}
	return kind.Open(name, o)
}

// Find is cf.Client's.
func (c *client) Find(ctx context.Context, key cf.Address, into *cf.Result) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	values, err := c.ask(ctx, key)
	for i := 0; err == nil && i < len(values); i++ {
		err = into.Add(values[i])
	}
	return err
}

// ask sends one command. A key that lacks a part of the query has no values.
func (c *client) ask(ctx context.Context, key cf.Address) ([]string, error) {
	plain := func(s string) string { return s }
	name, ok := c.cfg.key.Expand(key, plain)
	if !ok {
		return nil, nil
	}
	switch c.cfg.command {
	case smembers:
		return c.members(ctx, name)
	case hget:
		field, ok := c.cfg.field.Expand(key, plain)
		if !ok {
			return nil, nil
		}
		return one(c.rdb.HGet(ctx, name, field).Result())
	}
	return one(c.rdb.Get(ctx, name).Result())
}

func one(value string, err error) ([]string, error) {
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err == nil && len(value) > cf.MaxResult {
		err = fail.New(fail.Invalid, "the value is longer than %d bytes", cf.MaxResult)
	}
	return []string{value}, err
}

// members are those of a set, unless there are too many to be of use.
func (c *client) members(ctx context.Context, name string) ([]string, error) {
	n, err := c.rdb.SCard(ctx, name).Result()
	if err != nil || n == 0 {
		return nil, err
	}
	if limit := int64(c.cfg.Cap()); n >= limit {
		return nil, fail.New(fail.Invalid, "set %.200q has %d members, which is more than the limit", name, n)
	}
	list, err := c.rdb.SMembers(ctx, name).Result()
	slices.Sort(list)
	return list, err
}

// Ping is cf.Client's.
func (c *client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	return c.rdb.Ping(ctx).Err()
}

// Close is cf.Client's.
func (c *client) Close() { _ = c.rdb.Close() }
