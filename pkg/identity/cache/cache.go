package cache

import (
	"container/list"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/blake2b"
)

// overhead is what an entry costs beside its value: key, list element, map
// slot, names.
const overhead = 256

// Cache is safe for concurrent use. A nil *Cache keeps nothing.
type Cache struct {
	limit  int64
	now    func() time.Time
	secret [32]byte

	mu     sync.Mutex
	known  map[Key]*list.Element
	order  *list.List // of *entry, longest unused first
	bytes  int64
	hits   uint64
	misses uint64
}

// Key stands for one question.
type Key [blake2b.Size256]byte

type entry struct {
	key     Key
	users   []string
	value   any
	size    int64
	expires time.Time
}

// New keeps about limit bytes; nil when that is 0.
func New(limit int64, now func() time.Time) *Cache {
	if limit <= 0 {
		return nil
	}
	c := &Cache{limit: limit, now: now, known: make(map[Key]*list.Element), order: list.New()}
	_, _ = rand.Read(c.secret[:]) // never fails, see crypto/rand
	return c
}

// Key digests the parts with their lengths, so that no two lists of parts give
// the same input.
func (c *Cache) Key(parts ...string) Key {
	if c == nil {
		return Key{}
	}
	// BLAKE2 needs no HMAC: what stands behind a secret of fixed length can be
	// neither guessed nor extended.
	size := len(c.secret)
	for _, p := range parts {
		size += 8 + len(p)
	}
	b := make([]byte, 0, 512) // stays on the stack
	if size > cap(b) {
		b = make([]byte, 0, size)
	}
	b = append(b, c.secret[:]...)
	for _, p := range parts {
		b = append(binary.LittleEndian.AppendUint64(b, uint64(len(p))), p...)
	}
	k := Key(blake2b.Sum256(b))
	clear(b) // passwords are among the parts
	return k
}

// Get returns the value that was put under k. It belongs to the cache: whoever
// gets it must not change it.
func (c *Cache) Get(k Key) (any, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[k]
	if e != nil && !entryAt(e).expires.After(c.now()) {
		c.remove(e)
		e = nil
	}
	if e == nil {
		c.misses++
		return nil, false
	}
	c.hits++
	c.order.MoveToBack(e)
	return entryAt(e).value, true
}

// Put keeps value for ttl; not at all when that is 0. size is about how many
// bytes it takes, users are the names whose flushing takes it away.
func (c *Cache) Put(k Key, value any, size int, ttl time.Duration, users ...string) {
	if c == nil || ttl <= 0 || int64(size)+overhead > c.limit {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.known[k]; e != nil {
		c.remove(e)
	}
	e := &entry{key: k, users: users, value: value, size: int64(size) + overhead, expires: c.now().Add(ttl)}
	c.known[k] = c.order.PushBack(e)
	c.bytes += e.size
	for c.bytes > c.limit {
		c.remove(c.order.Front())
	}
}

// Flush forgets what concerns the named users, everything when none are named,
// and returns how many entries that were.
func (c *Cache) Flush(users []string) int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		if len(users) == 0 || slices.ContainsFunc(entryAt(e).users, func(u string) bool { return slices.Contains(users, u) }) {
			c.remove(e)
			n++
		}
		e = next
	}
	return n
}

// Stats is the condition of a cache.
type Stats struct {
	Entries      int    `json:"entries"`
	Bytes        int64  `json:"bytes"`
	Hits, Misses uint64 `json:"-"` // shown as metrics
}

// Stats counts.
func (c *Cache) Stats() Stats {
	if c == nil {
		return Stats{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Entries: c.order.Len(), Bytes: c.bytes, Hits: c.hits, Misses: c.misses}
}

func (c *Cache) remove(e *list.Element) {
	old := entryAt(e)
	delete(c.known, old.key)
	c.bytes -= old.size
	c.order.Remove(e)
}

func entryAt(e *list.Element) *entry {
	v, _ := e.Value.(*entry)
	return v
}
