package rewriting

import (
	"context"

	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// LocalRecipients knows the names of local domains: aliases, the operator's
// tables, and mailboxes. It implements gate.Recipients.
type LocalRecipients struct {
	Rewriter  *Rewriter
	Map       maps.Map
	Mailboxes gate.Recipients // nil for none
}

// Exists implements gate.Recipients.
func (l LocalRecipients) Exists(ctx context.Context, a addr.Address) error {
	has, err := l.Rewriter.HasAlias(ctx, a)
	if has || err != nil {
		return err
	}
	if !l.Map.Empty() {
		if _, err = l.Map.Find(ctx, a, maps.Query{Bare: true}); err == nil || !fail.Is(err, fail.NotFound) {
			return err
		}
	}
	if l.Mailboxes == nil {
		return fail.New(fail.NotFound, "no name %s", a)
	}
	return l.Mailboxes.Exists(ctx, a)
}

// ListedRecipients knows what a table has. It implements gate.Recipients.
type ListedRecipients struct {
	Map    maps.Map
	Others gate.Recipients // asked for who is not listed; nil for none
}

// Exists implements gate.Recipients.
func (l ListedRecipients) Exists(ctx context.Context, a addr.Address) error {
	_, err := l.Map.Find(ctx, a, maps.Query{})
	if fail.Is(err, fail.NotFound) && l.Others != nil {
		return l.Others.Exists(ctx, a)
	}
	return err
}
