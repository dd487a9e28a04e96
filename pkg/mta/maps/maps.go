package maps

import (
	"context"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Map is one key of the configuration: tables that are asked in turn. The
// zero value finds nothing.
type Map struct {
	Key    string // of the configuration, for errors and explanations
	Tables lookup.Maps
	Secret bool // values are passwords, which nobody is told
}

// Open makes a Map of the tables that a configuration key names. Errors:
// fail.Invalid.
func Open(key string, specs []string, o lookup.Options) (Map, error) {
	tables, err := lookup.OpenAll(specs, o)
	return Map{Key: key, Tables: tables}, fail.Wrap(fail.Invalid, err, "%s", key)
}

// Empty reports whether there is no table.
func (m Map) Empty() bool { return len(m.Tables) == 0 }

// Lookup asks the tables for one whole key. Errors: fail.NotFound, or
// fail.Unavailable whatever a table said, since an answer that is missing
// must never pass for "no".
func (m Map) Lookup(ctx context.Context, key string) (string, error) {
	v, err := m.Tables.Lookup(ctx, key)
	return m.answer(ctx, key, v, err)
}

// LookupPart is Lookup for a part of what is looked for: tables of patterns
// are left out.
func (m Map) LookupPart(ctx context.Context, key string) (string, error) {
	v, err := m.Tables.LookupPart(ctx, key)
	return m.answer(ctx, key, v, err)
}

func (m Map) answer(ctx context.Context, key, value string, err error) (string, error) {
	switch {
	case fail.Is(err, fail.NotFound):
		return "", err
	case err != nil:
		return "", fail.Wrap(fail.Unavailable, err, "%s", m.Key)
	}
	explain.Say(ctx, func() explain.Step {
		s := explain.Step{Key: m.Key, What: "found", Match: key, Result: value}
		if m.Secret {
			s.Result = "(not shown)"
		}
		return s
	})
	return value, nil
}

// Query says how an address is taken apart.
type Query struct {
	Delims string // bytes that start the detail of a local part
	Bare   bool   // users of the domain may be listed by their name alone
}

// Match is what Find found.
type Match struct {
	Value string // "@other" has become user@other
	Rest  string // detail that neither the key nor the value has, with its delimiter
}

// Find looks an address up by Postfix's order of keys: user+detail@domain,
// user@domain, user+detail, user (these two if q.Bare), @domain. Errors as
// Lookup.
func (m Map) Find(ctx context.Context, a addr.Address, q Query) (Match, error) {
	if m.Empty() {
		return Match{}, fail.New(fail.NotFound, "%s is empty", m.Key)
	}
	keys := lookup.AddressKeys{Delimiter: q.Delims}
	if q.Bare {
		keys.Own = func(context.Context, string) (bool, error) { return true, nil }
	}
	f, err := lookup.Address(ctx, m.Tables, a, keys)
	v, err := m.answer(ctx, f.Key, f.Value, err)
	return Match{Value: v, Rest: f.Extension}, err
}
