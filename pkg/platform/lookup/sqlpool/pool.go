package sqlpool

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxWaiting caps the requests that wait for a connection; more are turned
// away at once.
const maxWaiting = 4096

// maxHosts is also in the tag of Config.Hosts.
const maxHosts = 16

// maxLists is how many long answers are read at a time. They have connections
// of their own, so that logins never wait for them.
const maxLists = 2

// Options are what a pool needs beside its configuration.
type Options struct {
	// Name is what error texts call the database.
	Name string
	// Notify is told when a host goes down (why is not nil) and when it is
	// back. It is called by the request that found out, and may be nil.
	Notify func(host string, why error)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Pool is a database that can be asked. It is safe for concurrent use.
type Pool struct {
	name    string
	cfg     Config
	driver  driver
	hosts   []*host
	notify  func(string, error)
	now     func() time.Time
	slots   chan struct{} // holds one for each connection in use
	lists   chan struct{}
	waiting atomic.Int64
	turn    atomic.Uint64 // round robin

	mu     sync.Mutex
	closed bool
}

// Open makes a pool; connections are made as they are needed, but files that
// the configuration names are read once to find mistakes early.
func Open(cfg Config, o Options) (*Pool, error) {
	cfg = cfg.withDefaults()
	p := &Pool{
		name: o.Name, cfg: cfg, notify: o.Notify, now: o.Now,
		slots: make(chan struct{}, cfg.PoolSize), lists: make(chan struct{}, maxLists),
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.notify == nil {
		p.notify = func(string, error) {}
	}
	if cfg.Driver == SQLite {
		p.driver = &sqliteDriver{cfg}
		p.hosts = []*host{{addr: address{text: cfg.Path}}}
		return p, nil
	}
	if err := p.servers(); err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "database %s", p.name)
	}
	return p, nil
}

func (p *Pool) servers() error {
	switch p.cfg.Driver {
	case PgSQL:
		p.driver = &pgDriver{p.cfg}
	case MySQL:
		p.driver = &mysqlDriver{p.cfg}
	default:
		return fail.New(fail.Invalid, "there is no driver %q", p.cfg.Driver)
	}
	if _, err := p.cfg.secret(); err != nil {
		return err
	}
	for _, text := range p.cfg.Hosts {
		a, err := parseAddress(p.cfg.Driver, text)
		if err != nil {
			return err
		}
		if _, err := p.cfg.TLS.encrypt(a); err != nil {
			return err
		}
		p.hosts = append(p.hosts, &host{addr: a, longest: p.cfg.RetryAfter.Std()})
	}
	if n := len(p.hosts); n == 0 || n > maxHosts {
		return fail.New(fail.Invalid, "%d hosts are configured, there have to be 1 to %d", n, maxHosts)
	}
	return nil
}

// Driver is the kind of database.
func (p *Pool) Driver() string { return p.cfg.Driver }

// ReadOnly reports whether Exec cannot change anything.
func (p *Pool) ReadOnly() bool { return p.cfg.Driver == SQLite && !p.cfg.Writable }

// Placeholder is what stands for parameter n (from 1) in a statement.
func (p *Pool) Placeholder(n int) string { return p.driver.placeholder(n) }

// Close gives up all connections. Requests that come later, because they began
// before a reload, are still answered, each over a connection of its own.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, h := range p.hosts {
		h.drop()
	}
}

// slot waits for the right to use a connection; give it back with release.
func (p *Pool) slot(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	if p.waiting.Add(1) > maxWaiting {
		p.waiting.Add(-1)
		return fail.New(fail.Unavailable, "database %s: %d requests wait already", p.name, maxWaiting)
	}
	defer p.waiting.Add(-1)
	t := time.NewTimer(p.cfg.QueryTimeout.Std())
	defer t.Stop()
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fail.Wrap(fail.Temporary, context.Cause(ctx), "database %s: waiting for a connection", p.name)
	case <-t.C:
		return fail.New(fail.Unavailable, "database %s: no connection became free within %s (pool_size is %d)", p.name, p.cfg.QueryTimeout, cap(slots))
	}
}

// pick claims the next host to ask, nil when none is left. tried has a bit for
// each host that was asked before.
func (p *Pool) pick(tried *uint64, start int) *host {
	now := p.now()
	for n := range p.hosts {
		i := (start + n) % len(p.hosts)
		if *tried&(1<<i) == 0 && p.hosts[i].claim(now) {
			*tried |= 1 << i
			return p.hosts[i]
		}
	}
	return nil
}

// start is where the search for a host begins.
func (p *Pool) start() int {
	if p.cfg.Balance != balanceRoundRobin {
		return 0
	}
	return int((p.turn.Add(1) - 1) % uint64(len(p.hosts)))
}

// down is the error when no host can be asked; why are the failures of this
// request.
func (p *Pool) down(why []error) error {
	if len(why) == 0 {
		for _, h := range p.Status().Hosts {
			if h.Why != "" {
				why = append(why, fmt.Errorf("%s (asked again in %s)", h.Why, h.Next))
			}
		}
	}
	texts := make([]string, len(why))
	for i, err := range why {
		texts[i] = err.Error()
	}
	return fail.Wrap(fail.Unavailable, joined{why, strings.Join(texts, "; ")}, "database %s", p.name)
}

// joined are several errors on one line.
type joined struct {
	all  []error
	text string
}

func (j joined) Error() string   { return j.text }
func (j joined) Unwrap() []error { return j.all }

// connect makes a new connection to h.
func (p *Pool) connect(ctx context.Context, h *host) (*link, error) {
	limited, cancel := context.WithTimeoutCause(ctx, p.cfg.ConnectTimeout.Std(), errConnect)
	defer cancel()
	s, err := p.driver.connect(limited, h.addr)
	if err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			err = errConnect
		}
		return nil, err
	}
	now := p.now()
	return &link{session: s, host: h, born: now, used: now}, nil
}

// put keeps a connection for later, or closes it.
func (p *Pool) put(l *link) {
	p.mu.Lock()
	keep := !p.closed && l.usable()
	if keep {
		l.host.put(l, p.now())
	}
	p.mu.Unlock()
	if !keep {
		l.close()
	}
	for _, h := range p.hosts {
		if h != l.host { // its own are looked at when one is taken
			h.trim(p.now())
		}
	}
}
