package mtad

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/postcote/postcote/pkg/platform/dnsx"
)

// unknownName is what logs and Received fields say of a client whose name is
// not known or not confirmed.
const unknownName = "unknown"

// maxNames caps the PTR names that are tried: an address may have hundreds.
const maxNames = 3

// clientName finds the name of ip by its PTR record and believes it only if
// the name leads back to ip. claimed is a name that did not. It takes limit at
// the most; failures of any kind give "unknown".
func clientName(ctx context.Context, r dnsx.Resolver, ip netip.Addr, limit time.Duration) (name, claimed string) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	names, err := r.PTR(ctx, ip)
	if err != nil {
		return unknownName, ""
	}
	for _, n := range names[:min(len(names), maxNames)] {
		addrs, err := r.Addrs(ctx, n)
		if err != nil {
			continue
		}
		if slices.Contains(addrs, ip) {
			return n, ""
		}
		claimed = n
	}
	return unknownName, claimed
}
