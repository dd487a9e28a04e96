package routing

import (
	"context"
	"net"
	"net/netip"

	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/remote/tlspolicy"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Remote is the client of a transport: the usual one with what the transport
// has of its own. With fixed it connects as the usual one does, from wherever.
func (t Transport) Remote(usual remote.Config, fixed bool) (remote.Config, error) {
	c := usual
	if t.HeloName != "" {
		c.Helo = t.HeloName
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
	if len(t.Source) == 0 || fixed {
		return c, nil
	}
	var err error
	c.Dial, err = DialFrom(t.Source)
	return c, err
}

// CheckSource reports what are no addresses.
func CheckSource(p *conf.Reporter, source []string) {
	for i, s := range source {
		if _, err := netip.ParseAddr(s); err != nil {
			p.At("[%d]", i).Errorf("%q is no IP address", s)
		}
	}
}

// DialFrom connects from one of our addresses, of the family of the peer's.
// A family without an own address uses what the system chooses.
func DialFrom(source []string) (func(ctx context.Context, network, address string) (net.Conn, error), error) {
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
