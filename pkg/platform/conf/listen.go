package conf

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Listen says where a daemon accepts connections. In a file it is either the
// address alone, "127.0.0.1:25", or a mapping when anything else matters.
type Listen struct {
	Address string   `yaml:"address" example:"127.0.0.1:25" doc:"host:port, [ipv6]:port, :port (all addresses), unix:/path, or systemd:NAME for a socket that systemd hands over under that FileDescriptorName."`
	Mode    FileMode `yaml:"mode" example:"0660" doc:"File mode of a Unix socket."`
	Group   string   `yaml:"group" example:"postfix" doc:"Group of a Unix socket; empty keeps the daemon's own."`
	Allow   []string `yaml:"allow" example:"mtad" doc:"User names or numeric user ids that may connect to a Unix socket; empty lets the file mode decide."`

	AllowNetworks []Network `yaml:"allow_networks" example:"172.16.0.0/12" doc:"Addresses and networks that may connect to a TCP address; empty means all."`
}

const listenHint = `write "127.0.0.1:25", "[::1]:25", ":25", "unix:/run/x/sock" or "systemd:NAME"`

// UnmarshalText reads the short form, the address alone.
func (l *Listen) UnmarshalText(text []byte) error {
	*l = Listen{Address: string(text)}
	return nil
}

// Unix returns the path of a Unix socket, or "".
func (l Listen) Unix() string { return after(l.Address, "unix:") }

// Systemd returns the name of an inherited descriptor, or "".
func (l Listen) Systemd() string { return after(l.Address, "systemd:") }

// TCP returns the host:port to bind, or "".
func (l Listen) TCP() string {
	if l.Unix() != "" || l.Systemd() != "" || strings.HasPrefix(l.Address, "unix:") || strings.HasPrefix(l.Address, "systemd:") {
		return ""
	}
	return l.Address
}

func after(s, prefix string) string {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return ""
	}
	return rest
}

// Check reports what is wrong with the value, nil when it can be opened in
// principle. An empty address is wrong.
func (l Listen) Check() error {
	a := l.Address
	switch {
	case a == "":
		return fail.New(fail.Invalid, "the address is missing")
	case strings.HasPrefix(a, "unix:"):
		path := l.Unix()
		if !strings.HasPrefix(path, "/") {
			return fail.New(fail.Invalid, "the socket path in %q is not absolute", a)
		}
		// sockaddr_un holds 108 bytes with the closing zero, see unix(7).
		if len(path) > 107 {
			return fail.New(fail.Invalid, "the socket path in %q is longer than 107 bytes", a)
		}
		if len(l.AllowNetworks) > 0 {
			return fail.New(fail.Invalid, "allow_networks belongs to TCP addresses, %q is none", a)
		}
		return nil
	case l.Mode != 0 || l.Group != "" || len(l.Allow) > 0:
		if strings.HasPrefix(a, "systemd:") && l.Mode == 0 && l.Group == "" {
			break // allow is checked per connection and may well be a Unix socket
		}
		return fail.New(fail.Invalid, "mode, group and allow belong to unix sockets, %q is none", a)
	}
	if strings.HasPrefix(a, "systemd:") {
		if l.Systemd() == "" || strings.ContainsAny(l.Systemd(), ": \t/") {
			return fail.New(fail.Invalid, "%q does not name a descriptor", a)
		}
		return nil
	}
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return fail.New(fail.Invalid, "%q is not an address to listen on", a)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || (n == 0 && port != "0") {
		return fail.New(fail.Invalid, "%q has no port number", a)
	}
	return nil
}

// Validate is the Validator's part of Check. An unset listener is no mistake
// here: whether one is needed only the daemon knows.
func (l Listen) Validate(p *Reporter) {
	if l.Address == "" && l.Mode == 0 && l.Group == "" && len(l.Allow) == 0 && len(l.AllowNetworks) == 0 {
		return
	}
	if err := l.Check(); err != nil {
		p.At("address").Hint(listenHint).Errorf("%v", err)
	}
}

// String is the address.
func (l Listen) String() string { return l.Address }

// Network is an address or a network: "192.0.2.1", "192.0.2.0/24", "2001:db8::/32".
type Network struct{ prefix netip.Prefix }

// Prefix is the network in the form of package netip.
func (n Network) Prefix() netip.Prefix { return n.prefix }

// String is the network with its mask.
func (n Network) String() string { return n.prefix.String() }

// Among reports whether an address is in one of the networks, as netx.Among
// does.
func Among(networks []Network, ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return ip.IsValid() && slices.ContainsFunc(networks, func(n Network) bool { return n.prefix.Contains(ip) })
}

// Prefixes are networks in the form of package netip.
func Prefixes(networks []Network) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range networks {
		out = append(out, n.prefix)
	}
	return out
}

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
