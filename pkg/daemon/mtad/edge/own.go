package edge

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/netx"
)

// Own tells which addresses mean this host: those of listeners (for a listener
// on all of them those of the interfaces), and those that stand as [ADDRESS]
// among the local domains: of a proxy or a router in front (Postfix:
// proxy_interfaces).
func Own(listeners []net.Addr, locals []string) func(netip.Addr) bool {
	own := map[netip.Addr]bool{}
	all := false
	for _, a := range listeners {
		ip := netx.AddrPort(a).Addr().Unmap().WithZone("")
		all = all || ip.IsUnspecified()
		own[ip] = ip.IsValid()
	}
	if all {
		for _, ip := range interfaces() {
			own[ip] = true
		}
	}
	for _, d := range locals {
		literal := strings.TrimPrefix(strings.Trim(d, "[]"), "IPv6:")
		if ip, err := netip.ParseAddr(literal); err == nil {
			own[ip.Unmap()] = true
		}
	}
	return func(ip netip.Addr) bool { return own[ip.Unmap().WithZone("")] }
}

// interfaces are the addresses of this host; none when the system does not
// say.
func interfaces() []netip.Addr {
	var out []netip.Addr
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap().WithZone(""))
		}
	}
	return slices.Clip(out)
}
