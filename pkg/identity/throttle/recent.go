package throttle

import (
	"net/netip"
	"sync"
	"time"
)

// Failure is one refused login, for the operator.
type Failure struct {
	Time    time.Time  `json:"time"`
	User    string     `json:"user"`
	Addr    netip.Addr `json:"addr"`
	Service string     `json:"service"`
	Reason  string     `json:"reason"`
}

// maxRecent is how many failures are kept.
const maxRecent = 2000

// Recent keeps the last failures in memory. The zero value is ready.
type Recent struct {
	mu   sync.Mutex
	ring []Failure
	next int
}

// Add keeps f.
func (r *Recent) Add(f Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < maxRecent {
		r.ring = append(r.ring, f)
		return
	}
	r.ring[r.next] = f
	r.next = (r.next + 1) % maxRecent
}

// Last returns at most n failures, the latest first.
func (r *Recent) Last(n int) []Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Failure
	for i := 1; i <= min(n, len(r.ring)); i++ {
		out = append(out, r.ring[(r.next+len(r.ring)-i)%len(r.ring)])
	}
	return out
}
