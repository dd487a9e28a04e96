package conf

import (
	"net/netip"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Network is an address or a network: "192.0.2.1", "192.0.2.0/24", "2001:db8::/32".
type Network struct{ prefix netip.Prefix }

// Prefix is the network in the form of package netip.
func (n Network) Prefix() netip.Prefix { return n.prefix }

// String is the network with its mask.
func (n Network) String() string { return n.prefix.String() }

// MustNetwork is for defaults written in code; it panics on what a file
// would be refused for.
func MustNetwork(s string) Network {
	var n Network
	if err := n.UnmarshalText([]byte(s)); err != nil {
		panic(err)
	}
	return n
}

// UnmarshalText reads either form. Bits set behind the mask are a mistake:
// 10.1.2.3/8 is a typing error more often than it is meant.
func (n *Network) UnmarshalText(text []byte) error {
	s := string(text)
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		n.prefix = netip.PrefixFrom(ip, ip.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return fail.New(fail.Invalid, "%q is neither an address nor a network such as 192.0.2.0/24", s)
	case p != p.Masked():
		return fail.New(fail.Invalid, "%q has bits behind its mask; is %s meant?", s, p.Masked())
	}
	n.prefix = p
	return nil
}

// MarshalText writes the network with its mask.
func (n Network) MarshalText() ([]byte, error) { return []byte(n.String()), nil }
