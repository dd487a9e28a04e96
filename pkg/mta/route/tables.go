package route

import (
	"context"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// tables are the tables of domains with mailboxes here.
type tables lookup.Maps

// OpenTables makes the tables of domains; nil for none. Errors: fail.Invalid.
func OpenTables(specs []string, o lookup.Options) (Domains, error) {
	m, err := lookup.OpenAll(specs, o)
	if err != nil || m == nil {
		return nil, err
	}
	return tables(m), nil
}

// HasMailboxes asks each table in turn; the first that cannot be asked ends
// the search, since the answer might have been in it. What the value is does
// not matter.
func (ts tables) HasMailboxes(ctx context.Context, domain string) (bool, error) {
	_, err := lookup.Maps(ts).Lookup(ctx, domain)
	if fail.Is(err, fail.NotFound) {
		return false, nil
	}
	return err == nil, err
}
