package mtad

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/dnsx"
)

// A client on this host has its name without asking anybody: there is no
// resolver here that could be asked.
func TestLoopbackName(t *testing.T) {
	var nobody dnsx.Resolver
	for _, ip := range []string{"127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"} {
		if name, claimed := clientName(context.Background(), nobody, netip.MustParseAddr(ip), time.Second); name != "localhost" || claimed != "" {
			t.Errorf("%s: %q %q", ip, name, claimed)
		}
	}
}
