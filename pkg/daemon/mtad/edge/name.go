package edge

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/postcote/postcote/pkg/platform/dnsx"
)

// Unknown is what logs and Received fields say of a client whose name is not
// known or not confirmed.
const Unknown = "unknown"

// maxNames caps the PTR names that are tried: an address may have hundreds.
const maxNames = 3

// Name finds the name of ip by its PTR record and believes it only if the name
// leads back to ip. claimed is a name that did not. It takes limit at the
// most; failures of any kind give Unknown.
func Name(ctx context.Context, r dnsx.Resolver, ip netip.Addr, limit time.Duration) (name, claimed string) {
	if ip.Unmap().IsLoopback() {
		return "localhost", "" // by RFC 6761 section 6.3, and no name server need be asked
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	names, err := r.PTR(ctx, ip)
	if err != nil {
		return Unknown, ""
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
	return Unknown, claimed
}
