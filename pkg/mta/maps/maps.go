package maps

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Table maps a key to a value. Errors: fail.NotFound when the key is known not
// to be there; any other means that the table could not be asked.
type Table interface {
	Lookup(ctx context.Context, key string) (string, error)
}

// Pattern is a Table that matches keys by pattern, or asks a server that has
// its own idea of keys. It is asked once, for the whole address as it was
// written, never for its parts.
type Pattern interface {
	WholeKeys() bool
}

// Map is one key of the configuration: tables that are asked in turn. The
// zero value finds nothing.
type Map struct {
	Key    string // of the configuration, for errors and explanations
	Tables []Table
}

// Empty reports whether there is no table.
func (m Map) Empty() bool { return len(m.Tables) == 0 }

// Lookup asks the tables for one whole key. Errors: fail.NotFound, or
// fail.Unavailable whatever a table said, since an answer that is missing
// must never pass for "no".
func (m Map) Lookup(ctx context.Context, key string) (string, error) {
	return m.lookup(ctx, key, strings.ToLower(key), false)
}

// LookupPart is Lookup for a part of what is looked for: tables of patterns
// are left out.
func (m Map) LookupPart(ctx context.Context, key string) (string, error) {
	return m.lookup(ctx, key, strings.ToLower(key), true)
}

func (m Map) lookup(ctx context.Context, key, folded string, part bool) (string, error) {
	for _, t := range m.Tables {
		p, ok := t.(Pattern)
		whole := ok && p.WholeKeys()
		if whole && part {
			continue
		}
		k := folded
		if whole {
			k = key
		}
		v, err := t.Lookup(ctx, k)
		switch {
		case err == nil && v != "":
			explain.Say(ctx, func() explain.Step {
				return explain.Step{Key: m.Key, What: "found", Match: k, Result: v}
			})
			return v, nil
		case err != nil && !fail.Is(err, fail.NotFound):
			return "", fail.Wrap(fail.Unavailable, err, "%s", m.Key)
		}
	}
	return "", fail.New(fail.NotFound, "%s has no %s", m.Key, key)
}

// Query says how an address is taken apart.
type Query struct {
	Delims string // bytes that start the detail of a local part
	Bare   bool   // users of the domain may be listed by their name alone
}

// Match is what Find found.
type Match struct {
	Value string
	Rest  string // detail that the key did not name, with its delimiter
}

// Find looks an address up by Postfix's order of keys: user+detail@domain,
// user@domain, user+detail, user (these two if q.Bare), @domain. Each key is
// asked of all tables before the next. Errors as Lookup.
func (m Map) Find(ctx context.Context, a addr.Address, q Query) (Match, error) {
	if m.Empty() {
		return Match{}, fail.New(fail.NotFound, "%s is empty", m.Key)
	}
	v, err := m.lookup(ctx, a.String(), a.Key(), false)
	if err == nil || !fail.Is(err, fail.NotFound) {
		return Match{Value: v}, err
	}
	base, rest := split(a, q.Delims)
	for _, k := range parts(a, base, q.Bare) {
		v, err := m.lookup(ctx, k.key, strings.ToLower(k.key), true)
		if err == nil {
			match := Match{Value: v}
			if k.based {
				match.Rest = rest
			}
			return match, nil
		}
		if !fail.Is(err, fail.NotFound) {
			return Match{}, err
		}
	}
	return Match{}, err
}

// split is Address.Split with the delimiter kept.
func split(a addr.Address, delims string) (base addr.Address, rest string) {
	user, _ := a.Split(delims)
	return addr.Address{Local: user, Domain: a.Domain}, a.Local[len(user):]
}

type part struct {
	key   string
	based bool // the key leaves the detail out
}

// parts are the keys behind the whole address, in order.
func parts(a, base addr.Address, bare bool) []part {
	var ps []part
	if base != a {
		ps = append(ps, part{base.String(), true})
	}
	if a.Domain == "" {
		return ps
	}
	if bare {
		ps = append(ps, part{addr.Address{Local: a.Local}.String(), false})
		if base != a {
			ps = append(ps, part{addr.Address{Local: base.Local}.String(), true})
		}
	}
	return append(ps, part{"@" + a.Domain, true})
}
