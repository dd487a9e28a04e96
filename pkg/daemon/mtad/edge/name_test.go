package edge

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
		if name, claimed := Name(context.Background(), nobody, netip.MustParseAddr(ip), time.Second); name != "localhost" || claimed != "" {
			t.Errorf("%s: %q %q", ip, name, claimed)
		}
	}
}

// slow never answers before its context ends.
type slow struct{ dnsx.Static }

func (s *slow) PTR(ctx context.Context, _ netip.Addr) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestClientName(t *testing.T) {
	ip := netip.MustParseAddr
	zone := &dnsx.Static{
		Hosts: map[string][]netip.Addr{"good.example": {ip("192.0.2.1")}, "other.example": {ip("192.0.2.99")}},
		PTRs: map[netip.Addr][]string{
			ip("192.0.2.1"): {"nowhere.example", "good.example"},
			ip("192.0.2.2"): {"other.example"},
			ip("192.0.2.3"): {"x1.example", "x2.example", "x3.example", "good.example"},
			ip("192.0.2.4"): {"down.example"},
		},
	}
	zone.Fail("down.example", dnsx.TemporaryFailure("down.example"))
	for _, tc := range []struct{ ip, name, claimed string }{
		{"192.0.2.1", "good.example", ""},
		{"192.0.2.2", "unknown", "other.example"},
		{"192.0.2.3", "unknown", ""},
		{"192.0.2.4", "unknown", ""},
		{"192.0.2.5", "unknown", ""},
	} {
		if name, claimed := Name(context.Background(), zone, ip(tc.ip), time.Second); name != tc.name || claimed != tc.claimed {
			t.Errorf("%s: got %s, %q", tc.ip, name, claimed)
		}
	}
	if name, _ := Name(context.Background(), &slow{}, ip("192.0.2.1"), time.Millisecond); name != "unknown" {
		t.Errorf("a name server that hangs: got %s", name)
	}
}
