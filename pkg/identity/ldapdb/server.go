package ldapdb

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/ldapwire"
)

// server is one directory, at one or more URIs. It is safe for concurrent use.
type server struct {
	name      string
	cfg       ServerConfig
	now       func() time.Time
	endpoints []*endpoint
	searching *pool         // bound as the service
	binding   *pool         // bound as users, one after the other
	listing   chan struct{} // slots for listings, which have connections of their own
}

// lifetime of a connection: then another is made, which goes back to the first
// URI when that works again.
const lifetime = 10 * time.Minute

// maxListings at a time.
const maxListings = 2

// newServer makes a server called name (in errors). It does not connect yet.
func newServer(name string, cfg ServerConfig, o Options) (*server, error) {
	s := &server{
		name: name, cfg: cfg, now: o.Now,
		searching: newPool(cfg.Connections), binding: newPool(cfg.Connections),
		listing: make(chan struct{}, maxListings),
	}
	for _, uri := range cfg.URIs {
		t, err := ldapwire.ParseURI(uri)
		if err != nil {
			return nil, err
		}
		s.endpoints = append(s.endpoints, &endpoint{Target: t, now: s.now, max: cfg.MaxBackoff.Std(), notify: func(why error) {
			if o.Notify != nil {
				o.Notify(name, t.URI, why)
			}
		}})
	}
	if len(s.endpoints) == 0 {
		return nil, fail.New(fail.Invalid, "LDAP server %s has no uris", name)
	}
	return s, nil
}

// close closes idle connections, and each of the others when its request has
// ended. Requests may still be made; they open connections and close them.
func (s *server) close() {
	for _, p := range []*pool{s.searching, s.binding} {
		for _, c := range p.shut() {
			c.close(false)
		}
	}
}

// check connects and binds as the service if no connection is open.
func (s *server) check(ctx context.Context) error {
	return s.run(ctx, s.searching, s.cfg.SearchTimeout.Std(), func(l *ldap.Conn) error {
		_, err := l.Search(&ldap.SearchRequest{Scope: ldap.ScopeBaseObject, SizeLimit: 1, Filter: "(objectClass=*)", Attributes: []string{"1.1"}})
		if err != nil && answered(err) {
			return nil // who may read the root is another question
		}
		return err
	})
}

// pool keeps connections for reuse, and bounds how many there are.
type pool struct {
	slots chan struct{}

	mu   sync.Mutex
	idle []*conn // the one used last is last
	done bool
}

func newPool(size int) *pool { return &pool{slots: make(chan struct{}, size)} }

// take returns an idle connection that may still work, and those that will
// not, for closing.
func (p *pool) take(good func(*conn) bool) (c *conn, bad []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if good(c) {
			return c, bad
		}
		bad = append(bad, c)
	}
	return nil, bad
}

// put takes a connection back, unless the pool is shut.
func (p *pool) put(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.idle = append(p.idle, c)
	}
	return !p.done
}

func (p *pool) shut() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle
	p.idle, p.done = nil, true
	return idle
}

// run lets op speak with the server on a connection of p, for timeout at most.
// When the connection fails, op is run once more on a fresh one, so it must
// bear being repeated. Errors are op's when the server answered, otherwise
// fail.Unavailable.
func (s *server) run(ctx context.Context, p *pool, timeout time.Duration, op func(*ldap.Conn) error) error {
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-wait.Done():
		return s.outage(fail.New(fail.Unavailable, "all %d connections were busy for %s", cap(p.slots), timeout))
	}
	var err error
	for try := range 2 {
		var c *conn
		if c, err = s.connection(ctx, p, try == 0); err != nil {
			return s.outage(err)
		}
		var dead bool
		if dead, err = s.attempt(ctx, c, timeout, ldapwire.MaxAnswer, op); !dead {
			if !p.put(c) {
				c.close(false)
			}
			return err
		}
		c.close(true)
		if ctx.Err() != nil {
			break
		}
	}
	return s.outage(err)
}

// connection takes an idle one, or makes one.
func (s *server) connection(ctx context.Context, p *pool, reuse bool) (*conn, error) {
	if reuse {
		c, bad := p.take(func(c *conn) bool {
			now := s.now()
			return c.age == c.from.current() && now.Sub(c.used) < s.cfg.IdleTimeout.Std() && now.Sub(c.born) < lifetime
		})
		for _, b := range bad {
			b.close(b.age != b.from.current())
		}
		if c != nil {
			return c, nil
		}
	}
	return s.connect(ctx, p == s.searching)
}

// attempt runs op once and learns from it how the server is.
func (s *server) attempt(ctx context.Context, c *conn, timeout time.Duration, limit int64, op func(*ldap.Conn) error) (dead bool, err error) {
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	fresh, began := c.used.IsZero(), time.Now()
	dead, err = c.do(within, limit, op)
	c.used = s.now()
	switch {
	case !dead:
		c.from.worked(c.age)
	case errors.Is(err, context.Canceled):
	case errors.Is(err, context.DeadlineExceeded):
		err = fail.Wrap(fail.Unavailable, err, "no answer within %s", time.Since(began).Round(time.Millisecond))
		// A caller in a hurry says nothing about the server.
		if ctx.Err() == nil || time.Since(began) > timeout/2 {
			c.from.failed(c.age, err)
		}
	case fresh:
		// An idle connection that was closed says nothing: servers do that.
		c.from.failed(c.age, err)
	}
	if dead {
		err = fail.Wrap(fail.Unavailable, err, "%s", c.from.URI)
	}
	return dead, err
}

// connect makes a connection to the first endpoint that lets us, bound as the
// service or not bound at all.
func (s *server) connect(ctx context.Context, asService bool) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout.Std())
	defer cancel()
	var up []*endpoint
	var why []string
	for _, e := range s.endpoints {
		if last := e.down(); last != nil {
			why = append(why, e.URI+" failed a moment ago: "+last.Error())
		} else {
			up = append(up, e)
		}
	}
	for i, e := range up {
		if !e.claim() {
			why = append(why, e.URI+" is being tried by another request")
			continue
		}
		c, err := s.connectTo(ctx, e, len(up)-i, asService)
		if err == nil {
			return c, nil
		}
		why = append(why, e.URI+": "+err.Error())
	}
	return nil, fail.New(fail.Unavailable, "%s", strings.Join(why, "; "))
}

// connectTo tries one endpoint for its share of the time that is left.
func (s *server) connectTo(ctx context.Context, e *endpoint, share int, asService bool) (*conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(share))
		defer cancel()
	}
	age, began := e.current(), time.Now()
	c, err := s.open(ctx, e, age, asService)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fail.Wrap(fail.Unavailable, err, "no connection within %s", time.Since(began).Round(time.Millisecond))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		e.failed(age, err)
	}
	return c, err
}

func (s *server) open(ctx context.Context, e *endpoint, age int64, asService bool) (*conn, error) {
	wire, err := s.dial(ctx, e.Target)
	if err != nil {
		return nil, err
	}
	c := &conn{ldap: ldap.NewConn(wire, true), wire: wire, from: e, age: age, born: s.now()}
	c.ldap.Start()
	if !asService {
		return c, nil
	}
	if _, err := c.do(ctx, ldapwire.MaxAnswer, s.bindAsService); err != nil {
		c.close(true)
		return nil, fail.Wrap(fail.Unavailable, err, "binding as %s", s.serviceName())
	}
	return c, nil
}

func (s *server) serviceName() string {
	if s.cfg.SASLExternal {
		return "the owner of the client certificate or process"
	}
	return s.cfg.BindDN
}

// outage names the directory.
func (s *server) outage(err error) error {
	return fail.Wrap(fail.Unavailable, err, "LDAP server %s", s.name)
}
