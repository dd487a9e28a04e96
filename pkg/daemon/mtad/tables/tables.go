package tables

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/ldaptable"
	"github.com/postcote/postcote/pkg/platform/lookup/redistable"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
	"github.com/postcote/postcote/pkg/platform/lookup/sqltable"
	"github.com/postcote/postcote/pkg/platform/lookup/tcptable"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
	"github.com/postcote/postcote/pkg/proto/socketmap"
)

// askTimeout is how long a server may take over one question; Postfix's is
// 100 s, for which no client waits.
const askTimeout = 10 * time.Second

// Events are told what goes on. Each may be nil, and is called concurrently.
type Events struct {
	// Problem is a line of a table that does not count.
	Problem text.Warn
	// Host is a server that went down (why is not nil) or is back.
	Host func(table, host string, why error)
}

// Set holds the tables that are open. It is safe for concurrent use.
type Set struct {
	events Events
	sql    sqltable.Pools

	mu         sync.Mutex
	generation int
	open       map[string]*shared
}

// shared is a table and the last generation of the configuration that used it.
type shared struct {
	table      lookup.Table
	generation int
}

// New is empty.
func New(e Events) *Set {
	s := &Set{events: e, open: map[string]*shared{}}
	s.sql.Notify = e.Host
	return s
}

// Options are for lookup.Open: what is opened with them belongs to s.
func (s *Set) Options() lookup.Options {
	return lookup.Options{Warn: s.events.Problem, Share: s.share, Drivers: map[string]lookup.Driver{
		"socketmap":    openSocketmap,
		"tcp":          tcptable.Open,
		"ldap":         ldaptable.Open,
		"redis":        redistable.Open,
		sqlpool.MySQL:  sqltable.Driver(sqlpool.MySQL, &s.sql),
		sqlpool.PgSQL:  sqltable.Driver(sqlpool.PgSQL, &s.sql),
		sqlpool.SQLite: sqltable.Driver(sqlpool.SQLite, &s.sql),
	}}
}

// Open opens one table.
func (s *Set) Open(spec string) (lookup.Table, error) { return lookup.Open(spec, s.Options()) }

// share is lookup.Options.Share.
func (s *Set) share(name string, open func() (lookup.Table, error)) (lookup.Table, error) {
	s.mu.Lock()
	known := s.open[name]
	if known != nil {
		known.generation = s.generation
	}
	s.mu.Unlock()
	if known != nil {
		return known.table, nil
	}
	// Without the lock: a table may open others.
	t, err := open()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known = s.open[name]; known != nil {
		known.generation = s.generation
		_ = closeTable(t)
		return known.table, nil
	}
	s.open[name] = &shared{t, s.generation}
	return t, nil
}

// Renew begins a new configuration: what it does not open again, and the one
// before it did not either, is closed at the next call.
func (s *Set) Renew() {
	s.mu.Lock()
	var old []lookup.Table
	for name, one := range s.open {
		if one.generation < s.generation {
			delete(s.open, name)
			old = append(old, one.table)
		}
	}
	s.generation++
	s.mu.Unlock()
	for _, t := range old {
		_ = closeTable(t)
	}
}

// Close closes all tables; questions under way end well.
func (s *Set) Close() error {
	s.mu.Lock()
	open := s.open
	s.open = map[string]*shared{}
	s.mu.Unlock()
	var errs []error
	for _, one := range open {
		errs = append(errs, closeTable(one.table))
	}
	return errors.Join(errs...)
}

// Databases tells how the SQL databases are.
func (s *Set) Databases() []sqlpool.Status { return s.sql.Status() }

func closeTable(t lookup.Table) error {
	if c, ok := t.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// server is a table of socketmap_table(5).
type server struct{ *socketmap.Table }

func openSocketmap(name string, _ lookup.Options) (lookup.Table, error) {
	t, err := socketmap.ParseTable(name, askTimeout)
	if err != nil {
		return nil, err
	}
	return server{t}, nil
}

// Patterned: the server is told the whole key, once.
func (server) Patterned() bool { return true }

// Close ends idle connections.
func (s server) Close() error {
	s.Table.Close()
	return nil
}
