package route

import (
	"context"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/socketmap"
)

// tableTimeout is how long one question may take; Postfix's is 100 s, for
// which no client waits.
const tableTimeout = 10 * time.Second

// tables are the tables of domains with mailboxes here. Connections that a
// reload leaves behind close when the server, or time, ends them.
type tables []*socketmap.Table

// OpenTables makes the tables of domains; nil for none. Errors: fail.Invalid.
func OpenTables(specs []string) (Domains, error) {
	var ts tables
	for _, spec := range specs {
		t, err := OpenTable(spec)
		if err != nil {
			return nil, err
		}
		ts = append(ts, t)
	}
	if ts == nil {
		return nil, nil
	}
	return ts, nil
}

// OpenTable reads one table's name; nothing is asked yet. Errors: fail.Invalid.
func OpenTable(spec string) (*socketmap.Table, error) {
	name, ok := strings.CutPrefix(spec, "socketmap:")
	if !ok {
		return nil, fail.New(fail.Invalid, "table %q is of no known type: write socketmap:unix:/path:name", spec)
	}
	return socketmap.ParseTable(name, tableTimeout)
}

// HasMailboxes asks each table in turn; the first that cannot be asked ends
// the search, since the answer might have been in it.
func (ts tables) HasMailboxes(ctx context.Context, domain string) (bool, error) {
	for _, t := range ts {
		_, err := t.Lookup(ctx, domain)
		switch {
		case err == nil:
			return true, nil
		case !fail.Is(err, fail.NotFound):
			return false, err
		}
	}
	return false, nil
}
