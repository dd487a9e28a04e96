package remote

import (
	"errors"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

// hostSet remembers hosts for a while. The zero value knows none.
type hostSet struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// What a hostSet holds. When it is full it is emptied: a host is then found
// out about again.
const (
	hostsKept = 1000
	hostsAge  = 24 * time.Hour
)

func (h *hostSet) add(host string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until == nil || len(h.until) >= hostsKept {
		h.until = map[string]time.Time{}
	}
	h.until[host] = now.Add(hostsAge)
}

func (h *hostSet) has(host string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.until[host])
}

// noChunks learns from a transaction whether the host cannot do the CHUNKING
// that it announced. again says that it has taken no message, and that by DATA
// it may. A connection that was lost may have delivered all the same: such a
// message waits for its next attempt, which is by DATA.
func (s *session) noChunks(results []client.Result, err error) (again bool) {
	var site *client.SiteError
	lost := errors.As(err, &site) && site.Chunk
	for _, r := range results {
		again = again || r.NoChunks()
	}
	if lost || again {
		s.c.noChunks.add(s.target.name(), s.c.cfg.Now())
	}
	return again
}
