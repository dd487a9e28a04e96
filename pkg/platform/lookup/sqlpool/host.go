package sqlpool

import (
	"sync"
	"time"
)

// firstPause is how long a host is left alone after it failed once.
const firstPause = 500 * time.Millisecond

// Idle connections are closed after maxIdle, and any after maxAge, so that
// changes of names and of load balancers take effect.
const (
	maxIdle = 5 * time.Minute
	maxAge  = time.Hour
)

// host is a server with its idle connections and its health.
type host struct {
	addr    address
	longest time.Duration // pause; 0: a file, which is never left alone

	mu      sync.Mutex
	idle    []*link // last used last
	pause   time.Duration
	until   time.Time // down: not asked before; zero: up
	probing bool      // down, and one request is trying it
	why     error     // down: what happened
}

// link is a session with its history.
type link struct {
	session
	host   *host
	born   time.Time
	used   time.Time
	reused bool // taken from the idle ones: it may have died there
}

// claim reports whether the host may be asked now. For a host that is down and
// whose pause is over that is the right of one request, which calls succeeded,
// failed or untried when it is done.
func (h *host) claim(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.until.IsZero() || h.longest <= 0:
		return true
	case now.Before(h.until) || h.probing:
		return false
	}
	h.probing = true
	return true
}

// succeeded notes an answer; true when the host was down before.
func (h *host) succeeded() (back bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	back = !h.until.IsZero()
	h.until, h.pause, h.probing, h.why = time.Time{}, 0, false, nil
	return back
}

// failed notes a failure; true when the host was up before. Requests that were
// under way when it went down do not prolong the pause.
func (h *host) failed(now time.Time, why error) (down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.until.IsZero() && !h.probing && h.longest > 0 {
		return false
	}
	down = h.until.IsZero()
	h.pause = min(max(firstPause, 2*h.pause), h.longest)
	h.until, h.probing, h.why = now.Add(h.pause), false, why
	return down
}

// untried gives back a claim that came to nothing.
func (h *host) untried() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = false
}

// take returns the idle connection that was used last, nil when there is none.
func (h *host) take(now time.Time) *link {
	h.mu.Lock()
	old := h.expire(now)
	var l *link
	for n := len(h.idle); n > 0 && l == nil; n-- {
		l = h.idle[n-1]
		h.idle = h.idle[:n-1]
		if !l.usable() {
			old = append(old, l)
			l = nil
		}
	}
	h.mu.Unlock()
	closeAll(old)
	if l != nil {
		l.reused = true
	}
	return l
}

// expire removes what has been idle or alive for too long.
func (h *host) expire(now time.Time) []*link {
	var old []*link
	kept := h.idle[:0]
	for _, l := range h.idle {
		if now.Sub(l.used) > maxIdle || now.Sub(l.born) > maxAge {
			old = append(old, l)
		} else {
			kept = append(kept, l)
		}
	}
	clear(h.idle[len(kept):])
	h.idle = kept
	return old
}

func (h *host) put(l *link, now time.Time) {
	l.used = now
	h.mu.Lock()
	h.idle = append(h.idle, l)
	h.mu.Unlock()
}

// trim closes idle connections whose time is over.
func (h *host) trim(now time.Time) {
	h.mu.Lock()
	old := h.expire(now)
	h.mu.Unlock()
	closeAll(old)
}

// drop closes the idle connections: the server that they lead to is gone.
func (h *host) drop() {
	h.mu.Lock()
	old := h.idle
	h.idle = nil
	h.mu.Unlock()
	closeAll(old)
}

func closeAll(links []*link) {
	for _, l := range links {
		l.close()
	}
}
