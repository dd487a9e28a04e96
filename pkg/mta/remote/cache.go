package remote

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	maxIdlePerHop = 20  // as many as one destination has deliveries
	maxIdle       = 200 // in all
	quitTimeout   = 5 * time.Second
)

// cache keeps sessions for the next message to the same hop. A session is
// owned by whoever took it out of the map; the timer and take race for that
// under the lock.
type cache struct {
	keep time.Duration

	mu     sync.Mutex
	idle   map[string][]*parked
	n      int
	closed bool
	leave  sync.WaitGroup // goodbyes under way
}

type parked struct {
	s     *session
	timer *time.Timer
}

func newCache(keep time.Duration) *cache {
	return &cache{keep: keep, idle: map[string][]*parked{}}
}

// hosts are the names of those that there are sessions with, the one used last
// first.
func (c *cache) hosts(key string) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range slices.Backward(c.idle[key]) {
		if name := p.s.target.Host; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// take returns the session of those that fit that was used last, nil when
// there is none.
func (c *cache) take(key string, fits func(*session) bool) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range slices.Backward(c.idle[key]) {
		if fits(p.s) {
			c.drop(key, p)
			p.timer.Stop()
			return p.s
		}
	}
	return nil
}

// put parks a session, or ends it when the key is empty or there are enough.
func (c *cache) put(key string, s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key == "" || c.keep < 0 || c.closed || c.n >= maxIdle || len(c.idle[key]) >= maxIdlePerHop {
		c.quit(s)
		return
	}
	p := &parked{s: s}
	c.idle[key] = append(c.idle[key], p)
	c.n++
	p.timer = time.AfterFunc(c.keep, func() { c.expire(key, p) })
}

func (c *cache) expire(key string, p *parked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drop(key, p) {
		c.quit(p.s)
	}
}

// drop takes p out of the map; false when somebody else has it already.
func (c *cache) drop(key string, p *parked) bool {
	list := c.idle[key]
	for i := range list {
		if list[i] != p {
			continue
		}
		if list = append(list[:i], list[i+1:]...); len(list) == 0 {
			delete(c.idle, key)
		} else {
			c.idle[key] = list
		}
		c.n--
		return true
	}
	return false
}

// quit says goodbye without making anybody wait. Called with the lock held,
// so that close cannot miss it.
func (c *cache) quit(s *session) {
	c.leave.Add(1)
	go func() {
		defer c.leave.Done()
		ctx, cancel := context.WithTimeout(context.Background(), quitTimeout)
		defer cancel()
		_ = s.conn.Quit(ctx)
	}()
}

func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	for key, list := range c.idle {
		for _, p := range list {
			p.timer.Stop()
			c.quit(p.s)
		}
		delete(c.idle, key)
	}
	c.n = 0
	c.mu.Unlock()
	c.leave.Wait()
}
