package tlspolicy

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Table answers one key; lookup.Table is one. Errors: fail.NotFound when the
// key is not there, anything else when that is not known.
type Table interface {
	Lookup(ctx context.Context, key string) (string, error)
}

// Find is the policy of a next hop in a table, or of the level when the table
// has none. The next hop is the key as it is written, with brackets and port
// (Postfix's smtp_tls_policy_maps); a plain domain is looked up by
// its parents too, as .example.org and .org. Errors: fail.Invalid for a value
// that is not understood, otherwise those of the table.
func (d Defaults) Find(ctx context.Context, t Table, nexthop string, otherwise Level) (Policy, error) {
	for _, name := range spellings(nexthop) {
		for key := name; key != "" && t != nil; key = parent(key) {
			value, err := t.Lookup(ctx, key)
			if err == nil {
				return d.Parse(value)
			}
			if !fail.Is(err, fail.NotFound) {
				return Policy{}, err
			}
		}
	}
	p := d.Of(otherwise)
	return p, p.check()
}

// spellings are the next hop in lower case, and a domain of other letters than
// ASCII as A-labels too: an entry must not be missed because of its form.
func spellings(nexthop string) []string {
	name := strings.ToLower(nexthop)
	if ascii, err := addr.ASCIIDomain(name); err == nil && ascii != name && !strings.HasPrefix(name, "[") {
		return []string{name, ascii}
	}
	return []string{name}
}

// parent is the key after this one: "" for names that are not domains, which
// have none, and at the end.
func parent(key string) string {
	name := strings.TrimPrefix(key, ".")
	if d, err := addr.Domain(name); err != nil || strings.HasPrefix(d, "[") {
		return ""
	}
	_, rest, ok := strings.Cut(name, ".")
	if !ok {
		return ""
	}
	return "." + rest
}
