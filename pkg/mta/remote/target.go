package remote

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/dnsx"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Resolver is what an attempt asks the DNS. Errors: fail.NotFound for a name
// or record that is known not to exist; anything else is temporary.
type Resolver interface {
	MX(ctx context.Context, domain string) ([]dnsx.MX, error)
	SRV(ctx context.Context, name string) ([]dnsx.SRV, error)
	Addrs(ctx context.Context, host string) ([]netip.Addr, error)
}

// maxExchangers caps the MX records that are looked at: a zone with hundreds
// must not cost hundreds of address lookups.
const maxExchangers = 20

// host is one to look the addresses up of.
type host struct {
	name string
	port uint16
	pref int // the lowest is tried first; hosts with the same, in any order
}

// target is one address to connect to.
type target struct {
	Network string // "tcp" or "unix"
	Address string // for the dialer
	Host    string // name, for the log and for TLS
	IP      string // address without port, or the socket path
	Port    uint16 // 0 for a socket
	best    bool   // of the best exchangers of a domain: should it be us, mail goes in circles
}

// name is Postfix's namaddr, "host[ip]".
func (t target) name() string { return t.Host + "[" + t.IP + "]" }

// relay is name with the port, for relay= and "connect to".
func (t target) relay() string {
	if t.Port == 0 {
		return t.name()
	}
	return t.name() + ":" + strconv.Itoa(int(t.Port))
}

// here reports whether the target is on this host.
func (t target) here() bool {
	ip, err := netip.ParseAddr(t.IP)
	return t.Network == "unix" || err == nil && ip.IsLoopback()
}

// targets lists where to connect for hop, best first; or says why nowhere.
func (c *Client) targets(ctx context.Context, hop route.Hop) ([]target, *trouble) {
	if hop.Socket != "" {
		return []target{{Network: "unix", Address: hop.Socket, Host: c.cfg.Hostname, IP: hop.Socket}}, nil
	}
	port := hop.PortOrDefault()
	if hop.Port == 0 && hop.Transport == route.SMTP {
		port = c.port()
	}
	if ip, err := netip.ParseAddr(hop.Host); err == nil {
		list := []target{tcp(hop.Host, ip, port)}
		if hop.Transport == route.SMTP && c.selfAmong(list) {
			t := loops(hop.Host)
			return nil, &t
		}
		return list, nil
	}
	name, err := addr.ASCIIDomain(hop.Host)
	if err != nil {
		t := failure(1, 2, "bad destination: "+err.Error())
		return nil, &t
	}
	switch {
	case !hop.MX:
		return c.addresses(ctx, name, []host{{name: name, port: port}}, hop.Transport == route.SMTP, true)
	case c.cfg.Services[port] != "":
		return c.served(ctx, name, port)
	}
	return c.exchangers(ctx, name, port)
}

// port is that of mail exchangers.
func (c *Client) port() uint16 { return cmp.Or(c.cfg.Port, 25) }

// selfAmong reports whether a target is a listener of ours. Only the port of
// mail exchangers counts: behind another there may be a content filter.
func (c *Client) selfAmong(list []target) bool {
	return c.cfg.Own != nil && slices.ContainsFunc(list, func(t target) bool {
		ip, err := netip.ParseAddr(t.IP)
		return err == nil && t.Port == c.port() && c.cfg.Own(ip)
	})
}

func loops(name string) trouble { return failure(4, 6, "mail for "+name+" loops back to myself") }

func tcp(host string, ip netip.Addr, port uint16) target {
	return target{
		Network: "tcp", Address: net.JoinHostPort(ip.String(), strconv.Itoa(int(port))),
		Host: host, IP: ip.String(), Port: port,
	}
}

// exchangers: RFC 5321 section 5.1.
func (c *Client) exchangers(ctx context.Context, domain string, port uint16) ([]target, *trouble) {
	records, err := c.cfg.Resolver.MX(ctx, domain)
	switch {
	case dnsx.IsNullMX(err): // RFC 7505 section 3
		t := failure(1, 0, "Domain "+domain+" does not accept mail (nullMX)")
		return nil, &t
	case fail.Is(err, fail.NotFound), err == nil && len(records) == 0:
		return c.addresses(ctx, domain, []host{{name: domain, port: port}}, true, false) // the implicit MX
	case err != nil:
		t := deferral(4, 3, lookupText(domain, "MX", err))
		return nil, &t
	}
	ranked, loop := c.rank(records)
	if loop {
		t := loops(domain)
		return nil, &t
	}
	hosts := make([]host, len(ranked))
	for i, r := range ranked {
		hosts[i] = host{name: r.Host, port: port, pref: int(r.Pref)}
	}
	return c.addresses(ctx, domain, hosts, true, false)
}

// rank sorts by preference, shuffles equals, and drops ourselves and
// everything not better than ourselves; loop says that nothing was left.
func (c *Client) rank(records []dnsx.MX) (hosts []dnsx.MX, loop bool) {
	sorted := make([]dnsx.MX, 0, len(records))
	for _, r := range records {
		if r.Host = strings.ToLower(strings.TrimSuffix(r.Host, ".")); r.Host != "" {
			sorted = append(sorted, r)
		}
	}
	c.shuffle(len(sorted), func(i, j int) { sorted[i], sorted[j] = sorted[j], sorted[i] })
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Pref < sorted[j].Pref })
	limit := -1
	for _, r := range sorted {
		if c.isSelf(r.Host) {
			limit = int(r.Pref)
			break
		}
	}
	for _, r := range sorted {
		if limit >= 0 && int(r.Pref) >= limit {
			return hosts, len(hosts) == 0
		}
		if len(hosts) < maxExchangers {
			hosts = append(hosts, r)
		}
	}
	return hosts, false
}

func (c *Client) isSelf(host string) bool {
	for _, s := range c.cfg.Self {
		if strings.EqualFold(strings.TrimSuffix(s, "."), host) {
			return true
		}
	}
	return false
}

// addresses resolves the hosts of name in order until there are enough. One
// host that resolves is enough to go on; if none does, a temporary failure of
// any of them outweighs a permanent one of the others. Where self is asked
// for, a host with an address of ours is left out with all that are not better
// (RFC 5321 section 5.1). loopback addresses count only for a host that the
// operator named.
func (c *Client) addresses(ctx context.Context, name string, hosts []host, self, loopback bool) ([]target, *trouble) {
	var out []target
	var why *trouble
	for first := true; len(hosts) > 0 && !c.cfg.Families.enough(out); first = false {
		n := 1
		for n < len(hosts) && hosts[n].pref == hosts[0].pref {
			n++
		}
		var equal []target
		for _, h := range hosts[:n] {
			list, t := c.resolve(ctx, h, loopback)
			equal = append(equal, list...)
			if t != nil && (why == nil || t.Status == Deferred) {
				why = t
			}
		}
		if self && c.selfAmong(equal) {
			why = selfTrouble(name, first)
			break
		}
		for i := range equal {
			equal[i].best = first && !loopback
		}
		c.cfg.Families.arrange(equal, c.shuffle)
		out = append(out, equal...)
		hosts = hosts[n:]
	}
	if len(out) > 0 {
		return c.cfg.Families.cut(out), nil
	}
	if why == nil {
		t := failure(4, 4, "mail exchanger list is empty")
		why = &t
	}
	return nil, why
}

// selfTrouble is why a domain that leads to us cannot be sent to: there is
// nobody better, or those who are cannot be found.
func selfTrouble(name string, best bool) *trouble {
	t := loops(name)
	if !best {
		t = deferral(4, 4, "unable to find primary relay for "+name)
	}
	return &t
}

// resolve lists the addresses of a host; the trouble is that of one that is of
// no use.
func (c *Client) resolve(ctx context.Context, h host, loopback bool) (out []target, why *trouble) {
	ips, err := c.lookup(ctx, h.name)
	ips = slices.DeleteFunc(slices.Clone(ips), func(ip netip.Addr) bool { return !c.cfg.Families.wants(ip) })
	switch {
	case fail.Is(err, fail.NotFound), err == nil && len(ips) == 0:
		t := failure(4, 4, lookupText(h.name, c.cfg.Families.last(), err))
		return nil, &t
	case err != nil:
		t := deferral(4, 3, lookupText(h.name, c.cfg.Families.last(), err))
		why = &t
	}
	for _, ip := range ips {
		if ip = ip.Unmap(); usable(ip, loopback) {
			out = append(out, tcp(h.name, ip, h.port))
		} else if why == nil {
			t := loops(h.name)
			why = &t
		}
	}
	return out, why
}

// lookup finds the addresses of a host. Some zones have an address where the
// name of an exchanger belongs; that is then the host.
func (c *Client) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{ip}, nil
	}
	return c.cfg.Resolver.Addrs(ctx, name)
}

// usable refuses addresses that no host on the Internet can mean: a zone that
// points its MX at 127.0.0.1 would make us talk to ourselves.
func usable(ip netip.Addr, loopback bool) bool {
	if ip.IsUnspecified() || ip.IsMulticast() || !ip.IsValid() {
		return false
	}
	return loopback || !ip.IsLoopback()
}

func lookupText(name, rrtype string, err error) string {
	why := dnsx.WhyOf(err)
	switch {
	case why != "":
	case err == nil || fail.Is(err, fail.NotFound):
		why = dnsx.NoData
	default:
		why = dnsx.ServFail
	}
	return "Host or domain name not found. Name service error for name=" + name + " type=" + rrtype + ": " + string(why)
}

// Destination is where an attempt would connect: a host of one next hop.
type Destination struct {
	Hop   route.Hop
	Host  string // as for Message.Login
	Relay string // "host[ip]:25"
}

// Hosts says where an attempt for hop would connect, best first; or in why,
// in the words of the log, that there is nobody to connect to.
func (c *Client) Hosts(ctx context.Context, hop route.Hop) (hosts []Destination, why string) {
	for _, next := range hop.Each() {
		targets, t := c.targets(ctx, next)
		if t != nil && why == "" {
			why = t.outcome().Text
		}
		for _, t := range targets {
			hosts = append(hosts, Destination{Hop: next, Host: t.Host, Relay: t.relay()})
		}
	}
	if len(hosts) > 0 {
		why = ""
	}
	return hosts, why
}
