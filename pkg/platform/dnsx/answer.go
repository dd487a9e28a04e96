package dnsx

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// The longest that an answer is remembered, in seconds: what there is, and
// that there is none.
const (
	maxTTL         = 300
	maxNegativeTTL = 60
)

// answer is one reply, reduced to what was asked.
type answer struct {
	mx    []MX
	srv   []SRV
	addrs []netip.Addr
	names []string
	txt   []string

	why   Why    // not empty: there is nothing, and why
	alias string // not empty: ask for this name instead
	hops  int    // aliases followed
	ttl   uint32 // seconds
}

// interpret reads the reply to a question about name. It believes only
// records that belong to name or to the end of its chain of aliases.
func interpret(msg *dns.Msg, name string, qtype uint16) *answer {
	a := &answer{ttl: maxTTL}
	owner := canonical(name)
	for {
		target, ttl, ok := aliasOf(msg.Answer, owner)
		if !ok {
			break
		}
		if !isHostName(target) {
			a.why = BadAnswer
			return a
		}
		owner = target
		a.ttl = min(a.ttl, ttl)
		if a.hops++; a.hops > maxAliases { // or a circle
			a.why = BadAnswer
			return a
		}
	}
	matched := a.collect(msg.Answer, owner, qtype)
	switch {
	case a.count() > 0:
		a.finishMX()
		a.finishSRV()
	case matched:
		a.why = BadAnswer // records, none of which can be used
	case msg.Rcode == dns.RcodeNameError:
		a.why = NXDomain
		a.ttl = min(a.ttl, negativeTTL(msg))
	case a.hops > 0 && !hasSOA(msg):
		a.alias = owner // the server left the rest to us
	default:
		a.why = NoData
		a.ttl = min(a.ttl, negativeTTL(msg))
	}
	return a
}

func aliasOf(rrs []dns.RR, owner string) (target string, ttl uint32, ok bool) {
	for _, rr := range rrs {
		if c, isAlias := rr.(*dns.CNAME); isAlias && canonical(c.Hdr.Name) == owner {
			return canonical(c.Target), c.Hdr.Ttl, true
		}
	}
	return "", 0, false
}

// collect takes the usable records of owner; matched tells whether there were
// any at all.
func (a *answer) collect(rrs []dns.RR, owner string, qtype uint16) (matched bool) {
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype != qtype || h.Class != dns.ClassINET || canonical(h.Name) != owner {
			continue
		}
		matched = true
		a.ttl = min(a.ttl, h.Ttl)
		if a.count() < maxRecords {
			a.take(rr)
		}
	}
	return matched
}

func (a *answer) take(rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.MX:
		if host := canonical(rr.Mx); host == "" || isHostName(host) {
			a.mx = append(a.mx, MX{Host: host, Pref: rr.Preference})
		}
	case *dns.SRV:
		if host := canonical(rr.Target); host == "" || isHostName(host) {
			a.srv = append(a.srv, SRV{Host: host, Port: rr.Port, Priority: rr.Priority, Weight: rr.Weight})
		}
	case *dns.A:
		if ip, ok := netip.AddrFromSlice(rr.A.To4()); ok {
			a.addrs = append(a.addrs, ip)
		}
	case *dns.AAAA:
		if ip, ok := netip.AddrFromSlice(rr.AAAA.To16()); ok {
			a.addrs = append(a.addrs, ip.Unmap())
		}
	case *dns.PTR:
		if host := canonical(rr.Ptr); isHostName(host) {
			a.names = append(a.names, host)
		}
	case *dns.TXT:
		a.txt = append(a.txt, unescape(strings.Join(rr.Txt, "")))
	}
}

func (a *answer) count() int {
	return len(a.mx) + len(a.srv) + len(a.addrs) + len(a.names) + len(a.txt)
}

// finishMX sorts, and tells a null MX, which is a single record with the root
// as its host (RFC 7505 section 3), from a root that strayed among real ones.
func (a *answer) finishMX() {
	if len(a.mx) == 0 {
		return
	}
	usable := a.mx[:0:0]
	for _, m := range a.mx {
		if m.Host != "" {
			usable = append(usable, m)
		}
	}
	if len(usable) == 0 {
		a.mx, a.why = nil, NullMX
		return
	}
	sortMX(usable)
	a.mx = usable
}

// finishSRV does the same for SRV records.
func (a *answer) finishSRV() {
	if len(a.srv) == 0 {
		return
	}
	a.srv = slices.DeleteFunc(a.srv, func(s SRV) bool { return s.Host == "" })
	if len(a.srv) == 0 {
		a.srv, a.why = nil, NullSRV
		return
	}
	sortSRV(a.srv)
}

// negativeTTL is how long "there is none" holds (RFC 2308 section 5).
func negativeTTL(msg *dns.Msg) uint32 {
	for _, rr := range msg.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(soa.Minttl, soa.Hdr.Ttl, maxNegativeTTL)
		}
	}
	return 0
}

func hasSOA(msg *dns.Msg) bool {
	for _, rr := range msg.Ns {
		if _, ok := rr.(*dns.SOA); ok {
			return true
		}
	}
	return false
}

// isHostName accepts what may stand in a log, a header or a command without
// quoting: letters, digits, hyphen, underscore, in labels of proper length.
func isHostName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// unescape undoes the zone file notation (\", \\, \ddd) in which the library
// keeps the strings of TXT records.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		if i+2 < len(s) && isDigit(s[i]) && isDigit(s[i+1]) && isDigit(s[i+2]) {
			if n := int(s[i]-'0')*100 + int(s[i+1]-'0')*10 + int(s[i+2]-'0'); n < 256 {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
