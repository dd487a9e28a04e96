package remote

import (
	"net/netip"
	"slices"
)

// MaxAddresses is how many addresses of a destination are considered unless
// Families says otherwise (Postfix: smtp_mx_address_limit).
const MaxAddresses = 5

// Families says which addresses of a destination are used, and in which order.
// The zero value takes those of IPv4 and IPv6 in any order, at most
// MaxAddresses, and lets one family crowd out the other.
type Families struct {
	Only    int  // 4 or 6: no other; 0: both (Postfix: inet_protocols)
	Prefer  int  // 4 or 6: first among addresses of equal preference; 0: in random order (smtp_address_preference)
	Balance bool // addresses of both families stay when there are too many (smtp_balance_inet_protocols)
	Limit   int  // of addresses; 0: MaxAddresses
}

func (f Families) limit() int {
	if f.Limit > 0 {
		return f.Limit
	}
	return MaxAddresses
}

// ParseFamily reads ipv4 and ipv6; any other word, such as any or all, is 0.
func ParseFamily(word string) int {
	switch word {
	case "ipv4":
		return 4
	case "ipv6":
		return 6
	}
	return 0
}

func family(ip netip.Addr) int {
	if ip.Unmap().Is4() {
		return 4
	}
	return 6
}

// family is that of the address.
func (t target) family() int {
	ip, _ := netip.ParseAddr(t.IP)
	return family(ip)
}

func (f Families) wants(ip netip.Addr) bool { return f.Only == 0 || f.Only == family(ip) }

// last is the type of the records that are asked for last, which Postfix names
// when a host has no address.
func (f Families) last() string {
	if f.Only == 4 {
		return "A"
	}
	return "AAAA"
}

// arrange orders targets of equal preference.
func (f Families) arrange(list []target, shuffle func(n int, swap func(i, j int))) {
	if len(list) < 2 {
		return
	}
	shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	if f.Prefer != 0 {
		slices.SortStableFunc(list, func(a, b target) int { return f.rank(a) - f.rank(b) })
	}
}

func (f Families) rank(t target) int {
	if t.family() == f.Prefer {
		return 0
	}
	return 1
}

// enough reports whether further hosts need not be looked up.
func (f Families) enough(list []target) bool {
	if len(list) < f.limit() {
		return false
	}
	four, six := count(list)
	return !f.Balance || f.Only != 0 || four > 0 && six > 0
}

func count(list []target) (four, six int) {
	for _, t := range list {
		if t.family() == 4 {
			four++
		} else {
			six++
		}
	}
	return four, six
}

// cut takes the best targets. Balanced, each family keeps half of the places,
// or more where the other does not fill its own; the order stays.
func (f Families) cut(list []target) []target {
	most := f.limit()
	if len(list) <= most {
		return list
	}
	four, six := count(list)
	if !f.Balance || four == 0 || six == 0 || most == 1 {
		return list[:most]
	}
	keep := map[int]int{6: min(six, max(most-four, most/2))}
	keep[4] = most - keep[6]
	out := make([]target, 0, most)
	for _, t := range list {
		if n := t.family(); keep[n] > 0 {
			keep[n]--
			out = append(out, t)
		}
	}
	return out
}
