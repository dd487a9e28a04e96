package passdb

import (
	"container/list"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/crypto/blake2b"
)

// Cache remembers password checks that succeeded, so that a phone that
// connects every minute does not cost a hash each time. The key is a keyed
// digest over everything the verdict depends on: the database, the user, the
// stored password and the one that was tried. So a changed password takes
// effect at once, and neither kind of password is in the cache. A nil *Cache
// remembers nothing.
type Cache struct {
	ttl time.Duration
	max int
	now func() time.Time
	key [32]byte

	mu    sync.Mutex
	known map[digest]*list.Element
	order *list.List // of entry, oldest first: all live equally long
}

type digest [blake2b.Size256]byte

type entry struct {
	sum     digest
	user    string
	expires time.Time
}

// NewCache keeps at most limit checks for ttl each; nil when either is 0.
func NewCache(ttl time.Duration, limit int, now func() time.Time) *Cache {
	if ttl <= 0 || limit <= 0 {
		return nil
	}
	c := &Cache{ttl: ttl, max: limit, now: now, known: make(map[digest]*list.Element), order: list.New()}
	_, _ = rand.Read(c.key[:]) // never fails, see crypto/rand
	return c
}

// sum digests the parts with their lengths, so that no two lists of parts
// give the same input.
func (c *Cache) sum(parts ...string) digest {
	h, err := blake2b.New256(c.key[:])
	if err != nil {
		panic(err) // a key of 32 bytes is allowed
	}
	for _, p := range parts {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
		_, _ = h.Write(n[:])
		_, _ = h.Write([]byte(p))
	}
	var d digest
	h.Sum(d[:0])
	return d
}

// verified reports whether this very check succeeded lately.
func (c *Cache) verified(db, user, stored, password string) bool {
	if c == nil {
		return false
	}
	d := c.sum(db, user, stored, password)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	return c.known[d] != nil
}

// remember notes a success.
func (c *Cache) remember(db, user, stored, password string) {
	if c == nil {
		return
	}
	d := c.sum(db, user, stored, password)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	if c.known[d] != nil {
		return
	}
	if c.order.Len() >= c.max {
		c.remove(c.order.Front())
	}
	c.known[d] = c.order.PushBack(entry{d, user, c.now().Add(c.ttl)})
}

// Flush forgets the checks of the named users, all when none are named, and
// returns how many there were.
func (c *Cache) Flush(users []string) int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	named := make(map[string]bool, len(users))
	for _, u := range users {
		named[u] = true
	}
	n := 0
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		if len(users) == 0 || named[entryAt(e).user] {
			c.remove(e)
			n++
		}
		e = next
	}
	return n
}

// Len is how many checks are remembered.
func (c *Cache) Len() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}

func (c *Cache) expire() {
	now := c.now()
	for e := c.order.Front(); e != nil && !entryAt(e).expires.After(now); e = c.order.Front() {
		c.remove(e)
	}
}

func (c *Cache) remove(e *list.Element) {
	delete(c.known, entryAt(e).sum)
	c.order.Remove(e)
}

func entryAt(e *list.Element) entry {
	v, _ := e.Value.(entry)
	return v
}
