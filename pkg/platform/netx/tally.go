package netx

import "sync"

// Tally counts holders per key up to a limit. The zero value is ready.
type Tally[K comparable] struct {
	mu sync.Mutex
	n  map[K]int
}

// Take counts one more holder of k, or reports false when there are limit
// already. A limit of 0 is none.
func (t *Tally[K]) Take(k K, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if limit > 0 && t.n[k] >= limit {
		return false
	}
	if t.n == nil {
		t.n = map[K]int{}
	}
	t.n[k]++
	return true
}

// Give takes one holder of k off.
func (t *Tally[K]) Give(k K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n[k] <= 1 {
		delete(t.n, k)
		return
	}
	t.n[k]--
}

// Count returns the holders of k.
func (t *Tally[K]) Count(k K) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n[k]
}
