package ldaptable

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// table is described by a file.
type table struct {
	name    string
	options lookup.Options
	file    *text.File[*client]
	last    *client // of read, which is not called concurrently
}

// Open takes the path of a file such as ldap_table(5) describes. The table is
// an io.Closer.
func Open(name string, o lookup.Options) (lookup.Table, error) {
	if !filepath.IsAbs(name) {
		return nil, fail.New(fail.Invalid, "%.200q is not an absolute path of a file such as Postfix's ldap_table(5) describes", name)
	}
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
	if t.last != nil {
		t.last.close()
	}
	t.last = &client{cfg: cfg}
	return t.last, nil
}

// Close ends connections; lookups fail from now on.
func (t *table) Close() error {
	t.file.Close()
	if t.last != nil {
		t.last.close()
		t.last = nil
	}
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
	if !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
		return "", fail.New(fail.NotFound, "%s: not found", t.name)
	}
	value, err := c.find(ctx, cf.Split(key))
	if err != nil && !fail.Is(err, fail.NotFound) && !fail.Is(err, fail.Invalid) {
		err = fail.Wrap(fail.Unavailable, err, "table ldap:%s", t.name)
	}
	return value, err
}

func (c *client) find(ctx context.Context, key cf.Address) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	result := c.cfg.NewResult(key)
	if yes, err := c.cfg.Domains.Allow(ctx, key); !yes {
		if err != nil {
			return "", err
		}
		return result.Text()
	}
	base, filter, ok, err := c.cfg.query(key)
	if err != nil || !ok {
		if err != nil {
			return "", err
		}
		return result.Text()
	}
	x := expansion{client: c, cfg: c.cfg, result: result, seen: map[string]bool{}}
	err = x.step(ctx, &ldap.SearchRequest{
		BaseDN: base, Scope: c.cfg.scope, DerefAliases: c.cfg.deref, SizeLimit: c.cfg.sizeLimit, Filter: filter, Attributes: c.cfg.attributes(),
	}, 1)
	if err != nil {
		return "", err
	}
	return result.Text()
}

// Check connects and binds.
func (t *table) Check(ctx context.Context) error {
	c, err := t.file.Get()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	l, _, err := c.take(ctx)
	if err != nil {
		return fail.Wrap(fail.Unavailable, err, "table ldap:%s", t.name)
	}
	c.put(l)
	return nil
}
