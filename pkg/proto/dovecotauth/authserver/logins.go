package authserver

import (
	"container/list"
	"context"
	"crypto/subtle"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/seal"
)

// logins holds granted logins until they are redeemed, expire, or their client
// connection ends.
type logins struct {
	ttl time.Duration
	max int // per client
	now func() time.Time

	mu      sync.Mutex
	clients map[uint32]*loginClient // by CPID; one connection each
}

type loginClient struct {
	cookie  string
	gone    chan struct{} // closed when it leaves
	granted map[uint32]*list.Element
	order   *list.List // of *grant, oldest first: all live equally long
}

type grant struct {
	id      uint32
	service string
	mech    string
	session string
	user    string
	login   any // for the Directory
	expires time.Time
}

// fields is what the session role is told of the user of a login.
func (gr *grant) fields(r Record) dovecotauth.Fields {
	return append(r.Fields[:len(r.Fields):len(r.Fields)], dovecotauth.Field{Key: "auth_mech", Value: gr.mech})
}

func newLogins(ttl time.Duration, limit int, now func() time.Time) *logins {
	return &logins{ttl: ttl, max: limit, now: now, clients: make(map[uint32]*loginClient)}
}

// join registers a connection; false when a live one has the same pid. A
// second one could otherwise guess at, or shadow, the first one's logins. A
// client that has just hung up gets some time to be cleared away.
func (g *logins) join(ctx context.Context, pid uint32, cookie string, patience time.Duration) bool {
	old := g.enter(pid, cookie)
	if old == nil {
		return true
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-old.gone:
		return g.enter(pid, cookie) == nil
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// enter returns the connection that stands in the way.
func (g *logins) enter(pid uint32, cookie string) *loginClient {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.clients[pid]; old != nil {
		return old
	}
	g.clients[pid] = &loginClient{
		cookie: cookie, gone: make(chan struct{}), granted: make(map[uint32]*list.Element), order: list.New(),
	}
	return nil
}

// leave forgets the connection and all its logins.
func (g *logins) leave(pid uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.clients[pid]; c != nil {
		close(c.gone)
		delete(g.clients, pid)
	}
}

// grant keeps gr; false when the connection holds too many already.
func (g *logins) grant(pid uint32, gr grant) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.clients[pid]
	if c == nil {
		return false
	}
	now := g.now()
	c.expire(now)
	if c.order.Len() >= g.max {
		return false
	}
	gr.expires = now.Add(g.ttl)
	c.granted[gr.id] = c.order.PushBack(&gr)
	return true
}

// waiting reports whether id still stands for a login of pid.
func (g *logins) waiting(pid, id uint32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.clients[pid]
	if c == nil {
		return false
	}
	c.expire(g.now())
	return c.granted[id] != nil
}

func (c *loginClient) expire(now time.Time) {
	for e := c.order.Front(); e != nil && !c.grantAt(e).expires.After(now); e = c.order.Front() {
		c.drop(e)
	}
}

func (c *loginClient) grantAt(e *list.Element) *grant {
	gr, _ := e.Value.(*grant)
	return gr
}

func (c *loginClient) drop(e *list.Element) {
	delete(c.granted, c.grantAt(e).id)
	c.order.Remove(e)
}

// redeem takes a login out. The cookie comes first, so that without it nobody
// learns what exists nor uses a login up.
func (g *logins) redeem(pid, id uint32, cookie string) (grant, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.clients[pid]
	if c == nil {
		return grant{}, fail.New(fail.Denied, "no login client has pid %d", pid)
	}
	if subtle.ConstantTimeCompare([]byte(c.cookie), []byte(cookie)) != 1 {
		return grant{}, fail.New(fail.Denied, "wrong cookie for login client with pid %d", pid)
	}
	c.expire(g.now())
	e := c.granted[id]
	if e == nil {
		return grant{}, fail.New(fail.Denied, "login %d of client with pid %d is unknown, used or expired", id, pid)
	}
	c.drop(e)
	return *c.grantAt(e), nil
}

// seals are the keys of session roles that are connected, by name. A login whose
// client names one needs no redemption: see package seal.
type seals struct {
	mu  sync.Mutex
	all map[string]*seal.Sealer
}

// add is false when there is such a name.
func (s *seals) add(name string, k *seal.Sealer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[name] != nil {
		return false
	}
	if s.all == nil {
		s.all = make(map[string]*seal.Sealer)
	}
	s.all[name] = k
	return true
}

func (s *seals) get(name string) *seal.Sealer {
	if name == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[name]
}

func (s *seals) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, name)
}
