package dnsx

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Static is a Resolver with fixed answers, for tests and for configurations
// that must not ask anybody. The zero value knows no name. It must not be
// changed while it is used, but for Fail.
type Static struct {
	MXs   map[string][]MX         // an entry with Host "" or "." is a null MX
	Hosts map[string][]netip.Addr // also answers PTR, unless PTRs knows the address
	PTRs  map[netip.Addr][]string
	TXTs  map[string][]string
	SRVs  map[string][]SRV // an entry with Host "" or "." is a null SRV

	mu    sync.Mutex
	fails map[string]error
	asked []string
}

// Fail makes every question about name end in err; nil heals it. Questions
// for PTR are named by the address.
func (s *Static) Fail(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails == nil {
		s.fails = map[string]error{}
	}
	s.fails[canonical(name)] = err
}

// TemporaryFailure is the error of a name server that could not find out.
func TemporaryFailure(name string) error { return newError(name, "ANY", ServFail, nil) }

// Asked lists the questions so far as "MX example.org".
func (s *Static) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *Static) ask(typ, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, typ+" "+name)
	return s.fails[name]
}

// none is NXDomain for a name that has no records at all.
func (s *Static) none(typ, name string) error {
	_, mx := s.MXs[name]
	_, host := s.Hosts[name]
	_, txt := s.TXTs[name]
	_, srv := s.SRVs[name]
	if mx || host || txt || srv {
		return newError(name, typ, NoData, nil)
	}
	return newError(name, typ, NXDomain, nil)
}

// MX implements Resolver, as the methods below do.
func (s *Static) MX(_ context.Context, domain string) ([]MX, error) {
	domain = canonical(domain)
	if err := s.ask("MX", domain); err != nil {
		return nil, err
	}
	mxs := slices.Clone(s.MXs[domain])
	if len(mxs) == 0 {
		return nil, s.none("MX", domain)
	}
	if len(mxs) == 1 && canonical(mxs[0].Host) == "" {
		return nil, newError(domain, "MX", NullMX, nil)
	}
	sortMX(mxs)
	return mxs, nil
}

// Addrs implements Resolver.
func (s *Static) Addrs(_ context.Context, host string) ([]netip.Addr, error) {
	host = canonical(host)
	if err := s.ask("A", host); err != nil {
		return nil, err
	}
	if addrs := s.Hosts[host]; len(addrs) > 0 {
		return slices.Clone(addrs), nil
	}
	return nil, s.none("A", host)
}

// PTR implements Resolver.
func (s *Static) PTR(_ context.Context, ip netip.Addr) ([]string, error) {
	ip = ip.Unmap().WithZone("")
	if err := s.ask("PTR", ip.String()); err != nil {
		return nil, err
	}
	names := slices.Clone(s.PTRs[ip])
	if names == nil {
		for host, addrs := range s.Hosts {
			if slices.Contains(addrs, ip) {
				names = append(names, host)
			}
		}
		slices.Sort(names)
	}
	if len(names) == 0 {
		return nil, newError(ip.String(), "PTR", NXDomain, nil)
	}
	return names, nil
}

// SRV implements Resolver.
func (s *Static) SRV(_ context.Context, name string) ([]SRV, error) {
	name = canonical(name)
	if err := s.ask("SRV", name); err != nil {
		return nil, err
	}
	srvs := slices.Clone(s.SRVs[name])
	switch {
	case len(srvs) == 0:
		return nil, s.none("SRV", name)
	case len(srvs) == 1 && canonical(srvs[0].Host) == "":
		return nil, newError(name, "SRV", NullSRV, nil)
	}
	sortSRV(srvs)
	return srvs, nil
}

// TXT implements Resolver.
func (s *Static) TXT(_ context.Context, name string) ([]string, error) {
	name = canonical(name)
	if err := s.ask("TXT", name); err != nil {
		return nil, err
	}
	if txts := s.TXTs[name]; len(txts) > 0 {
		return slices.Clone(txts), nil
	}
	return nil, s.none("TXT", name)
}

// canonical is lower case without the final dot.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

func sortMX(mxs []MX) {
	slices.SortStableFunc(mxs, func(a, b MX) int { return int(a.Pref) - int(b.Pref) })
}

func sortSRV(srvs []SRV) {
	slices.SortStableFunc(srvs, func(a, b SRV) int { return int(a.Priority) - int(b.Priority) })
}
