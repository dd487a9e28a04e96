package lookup

import (
	"context"
	"slices"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Maps are tables that are asked one after the other. The first that has a key
// answers; one that cannot be asked ends the search, since it might have had
// it. Maps are themselves a Table, and nil is one that has nothing.
type Maps []Table

// Lookup is Table's.
func (m Maps) Lookup(ctx context.Context, key string) (string, error) {
	return m.find(ctx, key, false)
}

// LookupPart looks for a key that is a part of what is looked for: tables of
// patterns are left out.
func (m Maps) LookupPart(ctx context.Context, key string) (string, error) {
	return m.find(ctx, key, true)
}

func (m Maps) find(ctx context.Context, key string, part bool) (string, error) {
	for _, t := range m {
		if part && IsPatterned(t) {
			continue
		}
		value, err := t.Lookup(ctx, key)
		if err == nil || !fail.Is(err, fail.NotFound) {
			return value, err
		}
	}
	return "", fail.New(fail.NotFound, "not found")
}

// Patterned is true when no table takes parts of keys.
func (m Maps) Patterned() bool {
	return len(m) > 0 && !slices.ContainsFunc(m, func(t Table) bool { return !IsPatterned(t) })
}
