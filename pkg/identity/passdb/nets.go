package passdb

import (
	"net/netip"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// listed reports whether a peer is in a list of addresses and prefixes, as in
// allow_nets: separated by commas or spaces; "local" stands for a peer without
// an address. What cannot be read allows nobody, as an outage, so that a typing
// error is noticed and opens nothing.
func listed(list string, remote netip.Addr) (bool, error) {
	remote = remote.Unmap().WithZone("")
	found := false
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
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
		return netip.Prefix{}, fail.New(fail.Temporary, "the list of networks contains %.40q, which is no address or network", item)
	}
	return p, nil
}
