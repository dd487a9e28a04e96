package dnsx

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// Config is the `dns` section.
type Config struct {
	Servers  []string      `yaml:"servers" example:"127.0.0.1" doc:"Name servers to ask, as IP or IP:port. Empty: those of /etc/resolv.conf. They must resolve recursively."`
	Timeout  conf.Duration `yaml:"timeout" doc:"How long one server may take over one question."`
	Attempts int           `yaml:"attempts" doc:"How often each server is asked before the lookup fails for now."`
	Cache    int           `yaml:"cache" doc:"How many answers are remembered for their time to live, at most five minutes; 0 remembers none."`
}

// DefaultConfig asks the servers of /etc/resolv.conf.
func DefaultConfig() Config {
	return Config{Timeout: conf.Duration(4 * time.Second), Attempts: 2, Cache: 4096}
}

// Validate checks the servers.
func (c Config) Validate(p *conf.Reporter) {
	for i, s := range c.Servers {
		if _, err := serverAddr(s); err != nil {
			p.At("servers[%d]", i).Errorf("%v", err)
		}
	}
	if c.Attempts < 1 {
		p.At("attempts").Errorf("at least one attempt is needed")
	}
	if c.Timeout <= 0 {
		p.At("timeout").Errorf("must be longer than nothing")
	}
}

// Client is the Resolver that asks name servers. It is safe for concurrent use.
type Client struct {
	servers  *sources
	timeout  time.Duration
	attempts int
	cache    *cache
}

// New returns a Client with the defaults that asks servers, or those of
// /etc/resolv.conf when there are none.
func New(servers []string) (*Client, error) {
	cfg := DefaultConfig()
	cfg.Servers = servers
	return NewClient(cfg, time.Now)
}

// NewClient returns a Client as configured. now is the clock of the cache.
func NewClient(cfg Config, now func() time.Time) (*Client, error) {
	c := &Client{timeout: cfg.Timeout.Std(), attempts: max(cfg.Attempts, 1)}
	c.servers = &sources{file: resolvConf, now: now}
	if c.timeout <= 0 {
		c.timeout = DefaultConfig().Timeout.Std()
	}
	for _, s := range cfg.Servers {
		addr, err := serverAddr(s)
		if err != nil {
			return nil, err
		}
		c.servers.fixed = append(c.servers.fixed, addr)
	}
	if cfg.Cache > 0 {
		c.cache = newCache(cfg.Cache, now)
	}
	return c, nil
}

// MX implements Resolver, as the methods below do.
func (c *Client) MX(ctx context.Context, domain string) ([]MX, error) {
	a, err := c.lookup(ctx, domain, dns.TypeMX)
	if err != nil {
		return nil, err
	}
	return a.mx, nil
}

// Addrs implements Resolver.
func (c *Client) Addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	type result struct {
		a   *answer
		err error
	}
	six := make(chan result, 1)
	go func() {
		a, err := c.lookup(ctx, host, dns.TypeAAAA)
		six <- result{a, err}
	}()
	v4, err4 := c.lookup(ctx, host, dns.TypeA)
	v6 := <-six
	var addrs []netip.Addr
	if v6.err == nil {
		addrs = append(addrs, v6.a.addrs...)
	}
	if err4 == nil {
		addrs = append(addrs, v4.addrs...)
	}
	if len(addrs) > 0 {
		return addrs[:min(len(addrs), maxRecords)], nil
	}
	return nil, worse(err4, v6.err)
}

// worse picks the error of two that leaves more doubt: one that is not "there
// is none" must win, or an outage of half the servers would bounce mail.
func worse(a, b error) error {
	if isNone(a) && !isNone(b) {
		return b
	}
	return a
}

func isNone(err error) bool {
	w := WhyOf(err)
	return w == NXDomain || w == NoData
}

// PTR implements Resolver.
func (c *Client) PTR(ctx context.Context, ip netip.Addr) ([]string, error) {
	ip = ip.Unmap().WithZone("")
	name, err := dns.ReverseAddr(ip.String())
	if err != nil {
		return nil, newError(ip.String(), "PTR", BadAnswer, err)
	}
	a, err := c.lookup(ctx, name, dns.TypePTR)
	if err != nil {
		return nil, err
	}
	return a.names, nil
}

// SRV implements Resolver.
func (c *Client) SRV(ctx context.Context, name string) ([]SRV, error) {
	a, err := c.lookup(ctx, name, dns.TypeSRV)
	if err != nil {
		return nil, err
	}
	return a.srv, nil
}

// TXT implements Resolver.
func (c *Client) TXT(ctx context.Context, name string) ([]string, error) {
	a, err := c.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	return a.txt, nil
}

// maxAliases bounds a chain of CNAME records over all answers.
const maxAliases = 8

// lookup answers one question, following aliases that the server did not.
func (c *Client) lookup(ctx context.Context, name string, qtype uint16) (*answer, error) {
	name = canonical(name)
	typ := dns.TypeToString[qtype]
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil, newError(name, typ, NXDomain, errors.New("the name cannot exist in DNS"))
	}
	key := cacheKey{name, qtype}
	if a, err, ok := c.cache.get(key); ok {
		return a, err
	}
	at, ttl := name, uint32(maxTTL)
	for hops := 0; ; {
		msg, err := c.exchange(ctx, at, qtype)
		if err != nil {
			return nil, err
		}
		a := interpret(msg, at, qtype)
		ttl = min(ttl, a.ttl)
		hops += a.hops
		if a.alias != "" && hops <= maxAliases {
			at = a.alias
			continue
		}
		if a.alias != "" {
			a.why = BadAnswer
		}
		var out error
		if a.why != "" {
			out = newError(name, typ, a.why, nil)
		}
		c.cache.put(key, a, out, ttl)
		if out != nil {
			return nil, out
		}
		return a, nil
	}
}
