package sqltable

import (
	"sync"

	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// Pools are the databases of all tables.
type Pools struct {
	// Notify is told when a host goes down (why is not nil) and when it is
	// back. It may be nil, and is called concurrently.
	Notify func(database, host string, why error)

	mu   sync.Mutex
	open map[string]*shared
}

// shared is one database with the number of tables that ask it.
type shared struct {
	pool  *sqlpool.Pool
	users int
}

// take returns the pool of a database; give it back with drop. identity is
// everything that makes it this database.
func (p *Pools) take(identity, name string, cfg sqlpool.Config) (*sqlpool.Pool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.open[identity]; s != nil {
		s.users++
		return s.pool, nil
	}
	o := sqlpool.Options{Name: name}
	if p.Notify != nil {
		o.Notify = func(host string, why error) { p.Notify(name, host, why) }
	}
	pool, err := sqlpool.Open(cfg, o)
	if err != nil {
		return nil, err
	}
	if p.open == nil {
		p.open = map[string]*shared{}
	}
	p.open[identity] = &shared{pool, 1}
	return pool, nil
}

// drop gives a pool back; the last one to do so closes it, and requests under
// way still end well.
func (p *Pools) drop(identity string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.open[identity]
	if s == nil {
		return
	}
	if s.users--; s.users == 0 {
		delete(p.open, identity)
		s.pool.Close()
	}
}

// Status tells how the databases are.
func (p *Pools) Status() []sqlpool.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []sqlpool.Status
	for _, s := range p.open {
		all = append(all, s.pool.Status())
	}
	return all
}
