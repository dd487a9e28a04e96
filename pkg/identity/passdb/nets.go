package passdb

import (
	"net/netip"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// The extra field that lists networks from which a user may log in.
const allowNets = "allow_nets"

// netAllowed checks allow_nets: addresses and prefixes separated by commas;
// "local" stands for a peer without an address. What cannot be read allows
// nobody, as an outage, so that a typing error is noticed and opens nothing.
func netAllowed(fields []account.Field, remote netip.Addr) (bool, error) {
	for _, f := range fields {
		if f.Key == allowNets {
			return listed(f.Value, remote)
		}
	}
	return true, nil
}

func listed(list string, remote netip.Addr) (bool, error) {
	remote = remote.Unmap().WithZone("")
	found := false
	for _, item := range strings.Split(list, ",") {
		if item == "" {
			continue
		}
		if item == "local" {
			found = found || !remote.IsValid()
			continue
		}
		p, err := parseNet(item)
		if err != nil {
			return false, err
		}
		found = found || p.Contains(remote)
	}
	return found, nil
}

func parseNet(item string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(item); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(item)
	if err != nil {
		return netip.Prefix{}, fail.New(fail.Temporary, "%s contains %.40q, which is no address or network", allowNets, item)
	}
	return p, nil
}
