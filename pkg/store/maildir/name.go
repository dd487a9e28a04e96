package maildir

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Namer makes base names that no other process and no other moment makes:
// <seconds>.M<microseconds>P<pid>.<host>. Time always grows inside a Namer, so
// one per process keeps them unique.
type Namer struct {
	now  func() time.Time
	host string
	pid  int

	mu   sync.Mutex
	last int64 // microseconds
}

// NewNamer names files for one process. Empty host means the machine's name;
// now may be nil.
func NewNamer(host string, pid int, now func() time.Time) *Namer {
	if host == "" {
		host, _ = os.Hostname()
	}
	if host == "" {
		host = "localhost"
	}
	if now == nil {
		now = time.Now
	}
	// Common Maildir practice for the two bytes that a name cannot hold.
	host = strings.NewReplacer("/", `\057`, ":", `\072`, ",", `\054`).Replace(host)
	return &Namer{now: now, host: host, pid: pid}
}

// Next returns a new base name without sizes.
func (n *Namer) Next() string {
	n.mu.Lock()
	t := n.now().UnixMicro()
	if t <= n.last {
		t = n.last + 1
	}
	n.last = t
	n.mu.Unlock()
	return fmt.Sprintf("%d.M%dP%d.%s", t/1e6, t%1e6, n.pid, n.host)
}
