package throttle

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	maxKeys    = 20000 // remembered; beyond that the longest untouched is forgotten
	maxTries   = 10    // different tries compared with, for a key
	maxFriends = 8     // for a key; the longest unseen gives way
)

// FriendLife is how long an address stays an account's own without a login.
const FriendLife = 30 * 24 * time.Hour

// Memory is the Store of one node. It forgets at a restart.
type Memory struct {
	now  func() time.Time
	life time.Duration

	mu      sync.Mutex
	tries   lru[*record]
	friends lru[*circle]
}

type record struct {
	count int
	tries []uint64
}

type circle struct{ members []friend }

type friend struct {
	name string
	seen time.Time
}

// NewMemory forgets tries of a key under which nothing failed for life.
func NewMemory(life time.Duration, now func() time.Time) *Memory {
	return &Memory{now: now, life: life, tries: newLRU[*record](life), friends: newLRU[*circle](FriendLife)}
}

// Count is a method of Store.
func (m *Memory) Count(_ context.Context, key string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.tries.get(key, m.now()); ok {
		return r.count, nil
	}
	return 0, nil
}

// Add is a method of Store.
func (m *Memory) Add(_ context.Context, key string, try uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.tries.get(key, m.now())
	if !ok {
		r = &record{}
	}
	m.tries.put(key, r, m.now())
	if slices.Contains(r.tries, try) {
		return nil
	}
	if len(r.tries) == maxTries {
		r.tries = r.tries[1:]
	}
	r.tries = append(r.tries, try)
	r.count++
	return nil
}

// Clear is a method of Store.
func (m *Memory) Clear(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries.remove(key)
	return nil
}

// Befriend is a method of Store.
func (m *Memory) Befriend(_ context.Context, key, member string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	c, ok := m.friends.get(key, now)
	if !ok {
		c = &circle{}
	}
	m.friends.put(key, c, now)
	c.members = slices.DeleteFunc(c.members, func(f friend) bool { return f.name == member })
	if len(c.members) == maxFriends {
		c.members = c.members[1:]
	}
	c.members = append(c.members, friend{member, now})
	return nil
}

// Friend is a method of Store.
func (m *Memory) Friend(_ context.Context, key, member string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.friends.get(key, m.now())
	return ok && slices.ContainsFunc(c.members, func(f friend) bool {
		return f.name == member && m.now().Sub(f.seen) < FriendLife
	}), nil
}

// Keys is how many addresses and accounts are remembered for their failures.
func (m *Memory) Keys() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries.expire(m.now())
	return len(m.tries.known)
}

// lru is a map that forgets what was not put for life, and the longest
// untouched when it is full.
type lru[V any] struct {
	life  time.Duration
	known map[string]*list.Element
	order *list.List // of item[V], longest untouched first
}

type item[V any] struct {
	key   string
	value V
	last  time.Time
}

func newLRU[V any](life time.Duration) lru[V] {
	return lru[V]{life: life, known: map[string]*list.Element{}, order: list.New()}
}

func (l *lru[V]) get(key string, now time.Time) (value V, ok bool) {
	l.expire(now)
	if e := l.known[key]; e != nil {
		it, _ := e.Value.(*item[V])
		return it.value, true
	}
	return value, false
}

func (l *lru[V]) put(key string, value V, now time.Time) {
	if e := l.known[key]; e != nil {
		it, _ := e.Value.(*item[V])
		it.value, it.last = value, now
		l.order.MoveToBack(e)
		return
	}
	if l.order.Len() >= maxKeys {
		l.drop(l.order.Front())
	}
	l.known[key] = l.order.PushBack(&item[V]{key, value, now})
}

func (l *lru[V]) remove(key string) {
	if e := l.known[key]; e != nil {
		l.drop(e)
	}
}

func (l *lru[V]) expire(now time.Time) {
	old := now.Add(-l.life)
	for e := l.order.Front(); e != nil; e = l.order.Front() {
		if it, _ := e.Value.(*item[V]); !it.last.Before(old) {
			return
		}
		l.drop(e)
	}
}

func (l *lru[V]) drop(e *list.Element) {
	it, _ := l.order.Remove(e).(*item[V])
	delete(l.known, it.key)
}
