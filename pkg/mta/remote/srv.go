package remote

import (
	"context"
	"math/rand/v2"

	"github.com/postcote/postcote/pkg/platform/dnsx"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// served finds the hosts of a service by SRV records (RFC 2782), for next hops
// whose port is among Config.Services.
func (c *Client) served(ctx context.Context, domain string, port uint16) ([]target, *trouble) {
	name := "_" + c.cfg.Services[port] + "._tcp." + domain
	records, err := c.cfg.Resolver.SRV(ctx, name)
	switch {
	case err == nil:
		return c.addresses(ctx, domain, c.weighed(records), true, false)
	case dnsx.IsNullSRV(err):
		t := failure(1, 0, "Domain "+domain+" does not offer the service "+name+" (null SRV)")
		return nil, &t
	case fail.Is(err, fail.NotFound) && c.cfg.ServiceFallback, !fail.Is(err, fail.NotFound) && c.cfg.ServiceIgnore:
		return c.exchangers(ctx, domain, port)
	case fail.Is(err, fail.NotFound):
		t := failure(4, 4, lookupText(name, "SRV", err))
		return nil, &t
	}
	t := deferral(4, 3, lookupText(name, "SRV", err))
	return nil, &t
}

// weighed orders records, which come by rising priority: among equals each
// next one is drawn by weight. Their number is capped as that of exchangers.
func (c *Client) weighed(records []dnsx.SRV) []host {
	var out []host
	for len(records) > 0 && len(out) < maxExchangers {
		n := 1
		for n < len(records) && records[n].Priority == records[0].Priority {
			n++
		}
		i := c.draw(records[:n])
		r := records[i]
		out = append(out, host{name: r.Host, port: r.Port, pref: len(out)})
		copy(records[1:i+1], records[:i])
		records = records[1:]
	}
	return out
}

// draw picks one of equals: the chance of each is its weight. Those of weight
// 0 come behind the others, in any order.
func (c *Client) draw(equal []dnsx.SRV) int {
	sum := 0
	for _, r := range equal {
		sum += int(r.Weight)
	}
	random := rand.IntN
	if c.cfg.Random != nil {
		random = c.cfg.Random
	}
	if sum == 0 {
		return random(len(equal))
	}
	at := random(sum)
	for i, r := range equal {
		if at -= int(r.Weight); at < 0 {
			return i
		}
	}
	return 0
}
