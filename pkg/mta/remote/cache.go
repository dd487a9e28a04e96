package remote

import (
	"context"
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

// take returns the session that was used last, nil when there is none.
func (c *cache) take(key string) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[key]
	if len(list) == 0 {
		return nil
	}
	p := list[len(list)-1]
	c.drop(key, p)
	p.timer.Stop()
	return p.s
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
