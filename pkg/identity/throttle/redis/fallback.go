package redis

import (
	"context"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/identity/throttle"
)

// Fallback asks Shared, and Own while Shared is down; what happens is noted in
// both, so that Own knows something when it is needed. A friendship that was
// told lately is not told again, which spares each login of a busy client a
// question.
type Fallback struct {
	Shared throttle.Store
	Own    *throttle.Memory
	Pause  time.Duration // how long Shared is left alone after it failed
	Now    func() time.Time
	Report func(error) // told once for each pause; may be nil

	mu   sync.Mutex
	till time.Time
	told map[string]time.Time
}

const (
	maxTold  = 10000
	toldLife = time.Hour
)

// try calls f with Shared unless that is down; false means that Own serves.
func (b *Fallback) try(f func(throttle.Store) error) bool {
	b.mu.Lock()
	down := b.Now().Before(b.till)
	b.mu.Unlock()
	if down {
		return false
	}
	err := f(b.Shared)
	if err == nil {
		return true
	}
	b.mu.Lock()
	first := !b.Now().Before(b.till)
	b.till = b.Now().Add(b.Pause)
	b.mu.Unlock()
	if first && b.Report != nil {
		b.Report(err)
	}
	return false
}

// Count is a method of throttle.Store.
func (b *Fallback) Count(ctx context.Context, key string) (n int, err error) {
	if b.try(func(s throttle.Store) (err error) { n, err = s.Count(ctx, key); return err }) {
		return n, nil
	}
	return b.Own.Count(ctx, key)
}

// Add is a method of throttle.Store.
func (b *Fallback) Add(ctx context.Context, key string, try uint64) error {
	b.try(func(s throttle.Store) error { return s.Add(ctx, key, try) })
	return b.Own.Add(ctx, key, try)
}

// Clear is a method of throttle.Store.
func (b *Fallback) Clear(ctx context.Context, key string) error {
	b.try(func(s throttle.Store) error { return s.Clear(ctx, key) })
	return b.Own.Clear(ctx, key)
}

// Befriend is a method of throttle.Store.
func (b *Fallback) Befriend(ctx context.Context, key, member string) error {
	id, now := key+"\x00"+member, b.Now()
	b.mu.Lock()
	known := now.Sub(b.told[id]) < toldLife
	b.mu.Unlock()
	if known {
		return nil
	}
	if b.try(func(s throttle.Store) error { return s.Befriend(ctx, key, member) }) {
		b.mu.Lock()
		if b.told == nil || len(b.told) >= maxTold {
			b.told = map[string]time.Time{}
		}
		b.told[id] = now
		b.mu.Unlock()
	}
	return b.Own.Befriend(ctx, key, member)
}

// Friend is a method of throttle.Store.
func (b *Fallback) Friend(ctx context.Context, key, member string) (friend bool, err error) {
	if b.try(func(s throttle.Store) (err error) { friend, err = s.Friend(ctx, key, member); return err }) {
		return friend, nil
	}
	return b.Own.Friend(ctx, key, member)
}
