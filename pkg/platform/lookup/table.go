package lookup

import (
	"context"
	"iter"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Table answers keys. It is safe for concurrent use.
type Table interface {
	// Lookup returns the value of a key. Errors: fail.NotFound when the key is
	// known not to be there, fail.Unavailable when the table could not be
	// asked, fail.Invalid when its answer is of no use. The value is not empty
	// when there is no error.
	Lookup(ctx context.Context, key string) (string, error)
}

// Patterned is what tables say that are asked for whole keys only, once, and
// never for parts of them: patterns would match parts by accident, and
// programs are told the whole key (Postfix's regexp, pcre, cidr, tcp,
// socketmap, fail, randmap).
type Patterned interface {
	Patterned() bool
}

// IsPatterned reports whether t is asked for whole keys only.
func IsPatterned(t Table) bool {
	p, ok := t.(Patterned)
	return ok && p.Patterned()
}

// Checker is a table that can tell what would be wrong with a lookup.
type Checker interface {
	Check(ctx context.Context) error
}

// Check reports why t could not be asked; nil when it can be, or does not know.
func Check(ctx context.Context, t Table) error {
	if c, ok := t.(Checker); ok {
		return c.Check(ctx)
	}
	return nil
}

// Lister is a table whose entries can be listed.
type Lister interface {
	// Entries yields keys and values; an error is the last thing yielded.
	Entries(ctx context.Context) iter.Seq2[Entry, error]
}

// Entry is one line of a table.
type Entry struct{ Key, Value string }

// notFound is the answer of table for a key that it does not have. The key
// stays out of it: it may be anything that a peer wrote.
func notFound(table string) error {
	return fail.New(fail.NotFound, "%s: not found", table)
}

// checked is the answer of table once it is known that there is one.
func checked(table, value string) (string, error) {
	if value == "" {
		return "", fail.New(fail.Invalid, "%s: the value is empty, which means nothing; leave the entry out", table)
	}
	return value, nil
}
