package maps

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Domain looks a name up: itself, then, if parents is set, ".parent" for each
// name above it. Errors as Lookup.
func (m Map) Domain(ctx context.Context, domain string, parents bool) (string, error) {
	v, err := m.Lookup(ctx, domain)
	if err == nil || !fail.Is(err, fail.NotFound) || !parents || strings.HasPrefix(domain, "[") {
		return v, err
	}
	for i := 0; i < len(domain); i++ {
		if domain[i] != '.' {
			continue
		}
		if v, err = m.LookupPart(ctx, domain[i:]); err == nil || !fail.Is(err, fail.NotFound) {
			return v, err
		}
	}
	return "", err
}
