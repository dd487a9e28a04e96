package oauth2

import (
	"context"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Limits of what is fetched and kept.
const (
	maxStale    = 24 * time.Hour   // how long an old value serves while there is no new one
	retryAfter  = 5 * time.Second  // after a failure
	renewAtMost = 30 * time.Second // after a success, when somebody wants a newer value
)

// cached keeps a value that is fetched from elsewhere. At most one fetch is
// under way; it belongs to nobody's request, so nobody's cancel spoils it.
type cached[T any] struct {
	load    func(ctx context.Context) (T, error) // ends when ctx does
	timeout time.Duration
	ttl     time.Duration
	every   time.Duration // renewals are at least so far apart
	now     func() time.Time

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	value   T
	have    bool
	fetched time.Time // when value was asked for
	failed  time.Time // when a fetch failed, if one did after value came
	why     error
	flight  chan struct{} // closed when the fetch under way is done
}

func newCached[T any](load func(context.Context) (T, error), timeout, ttl time.Duration, now func() time.Time) *cached[T] {
	c := &cached[T]{load: load, timeout: timeout, ttl: ttl, every: min(renewAtMost, ttl), now: now}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// close ends a fetch under way and waits for it.
func (c *cached[T]) close() {
	c.cancel()
	c.running.Wait()
}

// get returns a value that is not too old, fetched if need be. Errors:
// fail.Unavailable.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	c.mu.Lock()
	fresh := c.have && c.now().Sub(c.fetched) < c.ttl
	value := c.value
	c.mu.Unlock()
	if fresh {
		return value, nil
	}
	err := c.renew(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.have && ctx.Err() == nil && c.now().Sub(c.fetched) < maxStale {
		err = nil
	}
	return c.value, err
}

// newer is get for somebody who misses something in the value: it is fetched
// again unless that was done a moment ago. Errors: fail.Unavailable; an old
// value will not do.
func (c *cached[T]) newer(ctx context.Context) (T, error) {
	c.mu.Lock()
	recent := c.have && c.now().Sub(c.fetched) < c.every
	value := c.value
	c.mu.Unlock()
	if recent {
		return value, nil
	}
	err := c.renew(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, err
}

// renew fetches the value, or waits for the one who does. Soon after a failure
// it is that failure.
func (c *cached[T]) renew(ctx context.Context) error {
	c.mu.Lock()
	if c.why != nil && c.now().Sub(c.failed) < retryAfter {
		defer c.mu.Unlock()
		return fail.Wrap(fail.Unavailable, c.why, "failed a moment ago")
	}
	flight := c.flight
	if flight == nil {
		flight = make(chan struct{})
		c.flight = flight
		c.running.Go(func() { c.fetch(flight) })
	}
	c.mu.Unlock()
	select {
	case <-flight:
	case <-ctx.Done():
		return fail.Wrap(fail.Unavailable, ctx.Err(), "")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

func (c *cached[T]) fetch(flight chan struct{}) {
	ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
	defer cancel()
	began := c.now()
	value, err := c.load(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.value, c.have, c.fetched = value, true, began
	}
	c.why, c.failed = err, c.now()
	c.flight = nil
	close(flight)
}
