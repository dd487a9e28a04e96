package redistable

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// client is a configuration with its connections.
type client struct {
	cfg *config
	rdb goredis.UniversalClient
}

// table is described by a file.
type table struct {
	name    string
	options lookup.Options
	file    *text.File[*client]
	last    *client // of read, which is not called concurrently
}

// Open takes the path of a file of settings. The table is an io.Closer.
func Open(name string, o lookup.Options) (lookup.Table, error) {
	if !filepath.IsAbs(name) {
		return nil, fail.New(fail.Invalid, "%.200q is not an absolute path of a file, see docs/mtad/tables.md", name)
	}
	// The library writes to standard error by itself, past the log. What matters
	// comes back as an error, too.
	logging.Disable()
	t := &table{name: name, options: o}
	t.file = text.NewFile(name, o.Limits, o.Now, t.read)
	return t, nil
}

// read makes a client, which takes the place of the one before.
func (t *table) read(in io.Reader, _ int64) (*client, error) {
	f, err := cf.Read(t.name, in, t.options.Warn)
	if err != nil {
		return nil, err
	}
	cfg, err := read(f, t.options)
	if err != nil {
		return nil, err
	}
	t.closeLast()
	t.last = &client{cfg, goredis.NewUniversalClient(cfg.options)}
	return t.last, nil
}

func (t *table) closeLast() {
	if t.last != nil {
		_ = t.last.rdb.Close()
		t.last = nil
	}
}

// Close ends connections; lookups fail from now on.
func (t *table) Close() error {
	t.file.Close()
	t.closeLast()
	return nil
}

// Lookup is lookup.Table's.
func (t *table) Lookup(ctx context.Context, key string) (string, error) {
	c, err := t.file.Get()
	if err != nil {
		return "", err
	}
	if !t.options.KeepCase {
		key = lookup.Fold(key)
	}
	value, err := c.find(ctx, cf.Split(key))
	if err != nil && !fail.Is(err, fail.NotFound) && !fail.Is(err, fail.Invalid) {
		err = fail.Wrap(fail.Unavailable, err, "table redis:%s", t.name)
	}
	return value, err
}

func (c *client) find(ctx context.Context, key cf.Address) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	result := c.cfg.NewResult(key)
	if yes, err := c.cfg.Domains.Allow(ctx, key); err != nil || !yes {
		if err != nil {
			return "", err
		}
		return result.Text()
	}
	values, err := c.ask(ctx, key)
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if err := result.Add(v); err != nil {
			return "", err
		}
	}
	return result.Text()
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

// Check asks whether the server is there.
func (t *table) Check(ctx context.Context) error {
	c, err := t.file.Get()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	if err := c.rdb.Ping(ctx).Err(); err != nil {
		return fail.Wrap(fail.Unavailable, err, "table redis:%s", t.name)
	}
	return nil
}
