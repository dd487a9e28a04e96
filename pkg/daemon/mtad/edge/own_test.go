package edge

import (
	"net"
	"net/netip"
	"testing"
)

func TestOwn(t *testing.T) {
	at := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	one := Own([]net.Addr{at("192.0.2.1:25"), at("[2001:db8::1]:25"), &net.UnixAddr{Name: "/run/x"}}, []string{"host.example", "[192.0.2.2]", "[IPv6:2001:db8::2]"})
	all := Own([]net.Addr{at("[::]:25")}, nil)
	none := Own(nil, nil)
	for _, c := range []struct {
		own  func(netip.Addr) bool
		ip   string
		want bool
	}{
		{one, "192.0.2.1", true},
		{one, "::ffff:192.0.2.1", true},
		{one, "2001:db8::1", true},
		{one, "192.0.2.2", true},
		{one, "2001:db8::2", true},
		{one, "192.0.2.3", false},
		{one, "127.0.0.1", false},
		{all, "127.0.0.1", true},
		{all, "192.0.2.1", false},
		{none, "127.0.0.1", false},
	} {
		if got := c.own(netip.MustParseAddr(c.ip)); got != c.want {
			t.Errorf("%s: %v", c.ip, got)
		}
	}
	if one(netip.Addr{}) {
		t.Error("no address is one of ours")
	}
}
