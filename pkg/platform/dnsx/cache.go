package dnsx

import (
	"sync"
	"time"
)

type cacheKey struct {
	name  string
	qtype uint16
}

type cached struct {
	a     *answer
	err   error
	until time.Time
}

// cache remembers answers. It has two halves: answers enter the young one,
// and when that is full the old one is forgotten as a whole. So it is bounded
// without any bookkeeping per use. A nil cache remembers nothing.
type cache struct {
	now  func() time.Time
	half int

	mu         sync.Mutex
	young, old map[cacheKey]cached
}

func newCache(size int, now func() time.Time) *cache {
	return &cache{now: now, half: max(size/2, 1), young: map[cacheKey]cached{}}
}

func (c *cache) get(k cacheKey) (*answer, error, bool) {
	if c == nil {
		return nil, nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.young[k]
	if !ok {
		e, ok = c.old[k]
	}
	if !ok || !c.now().Before(e.until) {
		return nil, nil, false
	}
	return e.a, e.err, true
}

// put remembers what is known; what nobody could say is asked again.
func (c *cache) put(k cacheKey, a *answer, err error, ttl uint32) {
	if c == nil || ttl == 0 || WhyOf(err) == BadAnswer {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.half {
		c.old, c.young = c.young, map[cacheKey]cached{}
	}
	c.young[k] = cached{a: a, err: err, until: c.now().Add(time.Duration(ttl) * time.Second)}
}
