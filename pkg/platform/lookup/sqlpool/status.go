package sqlpool

import (
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Status is how a pool is at a moment.
type Status struct {
	InUse   int // connections
	Waiting int // requests without one
	Hosts   []HostStatus
}

// HostStatus is how a host is.
type HostStatus struct {
	Host string
	Up   bool
	Why  string        // not up: what happened
	Next time.Duration // not up: asked again after this
	Idle int           // connections
}

// Status tells how the pool is.
func (p *Pool) Status() Status {
	s := Status{InUse: len(p.slots) + len(p.lists), Waiting: int(p.waiting.Load())}
	now := p.now()
	for _, h := range p.hosts {
		s.Hosts = append(s.Hosts, h.status(now))
	}
	return s
}

func (h *host) status(now time.Time) HostStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := HostStatus{Host: h.addr.text, Up: h.until.IsZero(), Idle: len(h.idle)}
	if !s.Up {
		s.Next = max(0, h.until.Sub(now)).Round(time.Millisecond)
	}
	if h.why != nil {
		s.Why = h.why.Error()
	}
	return s
}

// Check says what is wrong with a configuration that no file was validated
// for, nil when it can be opened in principle.
func Check(c Config) error {
	if c.Driver == SQLite {
		return nil
	}
	for _, h := range c.Hosts {
		if _, err := parseAddress(c.Driver, h); err != nil {
			return err
		}
	}
	switch c.TLS.Mode {
	case tlsAuto, tlsDisable, tlsPrefer, tlsRequire, tlsVerifyCA, tlsVerifyFull:
		return nil
	}
	return fail.New(fail.Invalid, "TLS mode %.20q is not known", c.TLS.Mode)
}
