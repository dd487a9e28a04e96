package remote

import (
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
	Addrs(ctx context.Context, host string) ([]netip.Addr, error)
}

// maxExchangers caps the MX records that are looked at: a zone with hundreds
// must not cost hundreds of address lookups.
const maxExchangers = 20

// target is one address to connect to.
type target struct {
	Network string // "tcp" or "unix"
	Address string // for the dialer
	Host    string // name, for the log and for TLS
	IP      string // address without port, or the socket path
	Port    uint16 // 0 for a socket
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
	if hop.Port == 0 && hop.Transport == route.SMTP && c.cfg.Port != 0 {
		port = c.cfg.Port
	}
	if ip, err := netip.ParseAddr(hop.Host); err == nil {
		return []target{tcp(hop.Host, ip, port)}, nil
	}
	host, err := addr.ASCIIDomain(hop.Host)
	if err != nil {
		t := failure(1, 2, "bad destination: "+err.Error())
		return nil, &t
	}
	if !hop.MX {
		return c.addresses(ctx, []dnsx.MX{{Host: host}}, port, true)
	}
	return c.exchangers(ctx, host, port)
}

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
		return c.addresses(ctx, []dnsx.MX{{Host: domain}}, port, false) // the implicit MX
	case err != nil:
		t := deferral(4, 3, lookupText(domain, "MX", err))
		return nil, &t
	}
	hosts, loop := c.rank(records)
	if loop {
		t := failure(4, 6, "mail for "+domain+" loops back to myself")
		return nil, &t
	}
	return c.addresses(ctx, hosts, port, false)
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

// addresses resolves hosts in order until there are enough. One host that
// resolves is enough to go on; if none does, a temporary failure of any of
// them outweighs a permanent one of the others. loopback addresses count only
// for a host that the operator named.
func (c *Client) addresses(ctx context.Context, hosts []dnsx.MX, port uint16, loopback bool) ([]target, *trouble) {
	var out []target
	var why *trouble
	for len(hosts) > 0 && !c.cfg.Families.enough(out) {
		n := 1
		for n < len(hosts) && hosts[n].Pref == hosts[0].Pref {
			n++
		}
		var equal []target
		for _, h := range hosts[:n] {
			list, t := c.resolve(ctx, h.Host, port, loopback)
			equal = append(equal, list...)
			if t != nil && (why == nil || t.Status == Deferred) {
				why = t
			}
			if c.cfg.Families.enough(slices.Concat(out, equal)) {
				break
			}
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

// resolve lists the addresses of a host; the trouble is that of one that is of
// no use.
func (c *Client) resolve(ctx context.Context, host string, port uint16, loopback bool) (out []target, why *trouble) {
	ips, err := c.cfg.Resolver.Addrs(ctx, host)
	ips = slices.DeleteFunc(slices.Clone(ips), func(ip netip.Addr) bool { return !c.cfg.Families.wants(ip) })
	switch {
	case fail.Is(err, fail.NotFound), err == nil && len(ips) == 0:
		t := failure(4, 4, lookupText(host, "A", err))
		return nil, &t
	case err != nil:
		t := deferral(4, 3, lookupText(host, "A", err))
		why = &t
	}
	for _, ip := range ips {
		if ip = ip.Unmap(); usable(ip, loopback) {
			out = append(out, tcp(host, ip, port))
		} else if why == nil {
			t := failure(4, 6, "mail for "+host+" loops back to myself")
			why = &t
		}
	}
	return out, why
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

// Hosts says where an attempt for hop would connect, best first; or in why,
// in the words of the log, that there is nobody to connect to.
func (c *Client) Hosts(ctx context.Context, hop route.Hop) (hosts []string, why string) {
	targets, t := c.targets(ctx, hop)
	if t != nil {
		return nil, t.outcome().Text
	}
	for _, t := range targets {
		hosts = append(hosts, t.relay())
	}
	return hosts, ""
}
