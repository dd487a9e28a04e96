package routing

import (
	"context"
	"net"
	"net/netip"

	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/remote/tlspolicy"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Remote is the client of a transport: the usual one with what the transport
// has of its own.
func (t Transport) Remote(usual remote.Config) (remote.Config, error) {
	c := usual
	if t.HeloName != "" {
		c.Hostname = t.HeloName
	}
	if t.Prefer != "" {
		c.Families.Prefer = remote.ParseFamily(t.Prefer)
	}
	if t.Protocols != "" {
		c.Families.Only = remote.ParseFamily(t.Protocols)
	}
	if t.TLS != "" {
		c.TLS, _ = tlspolicy.ParseLevel(t.TLS)
	}
	if len(t.DiscardWords) > 0 {
		c.Discard = Upper(t.DiscardWords)
	}
	c.Timeouts, c.LMTPTimeouts = t.Client(c.Timeouts), t.Client(c.LMTPTimeouts)
	if len(t.Fallback) > 0 {
		var err error
		if c.Fallback, err = FallbackHops(t.Fallback); err != nil {
			return c, err
		}
	}
	if len(t.Source) > 0 && usual.Dial == nil {
		dial, err := dialFrom(t.Source)
		if err != nil {
			return c, err
		}
		c.Dial = dial
	}
	return c, nil
}

// dialFrom connects from one of our addresses, of the family of the peer's.
// A family without an own address uses what the system chooses.
func dialFrom(source []string) (func(ctx context.Context, network, address string) (net.Conn, error), error) {
	var own []netip.Addr
	for _, s := range source {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fail.New(fail.Invalid, "source %q is no IP address", s)
		}
		own = append(own, ip)
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		if peer, err := netip.ParseAddrPort(address); err == nil && network == "tcp" {
			for _, ip := range own {
				if ip.Is4() == peer.Addr().Unmap().Is4() {
					d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
				}
			}
		}
		return d.DialContext(ctx, network, address)
	}, nil
}
