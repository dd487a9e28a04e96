package queue

import (
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/spool"
)

// transport is one way out, with its destinations.
type transport struct {
	name    string
	limits  Limits
	running int
	dests   map[string]*dest // by next hop
	ready   fifo[*dest]      // that have a job and may start it, in turn
}

// dest is one next hop. How many deliveries it gets at a time is found out:
// the window grows with success and shrinks when the destination fails.
type dest struct {
	t       *transport
	next    string
	jobs    fifo[*job]
	backlog fifo[*spool.Entry] // messages for this destination alone, not loaded
	running int
	window  float64
	cohort  float64 // failures since the last success, each as its share of the window
	dead    time.Time
	reason  Result // of the failure that made it dead
	isReady bool
	seen    time.Time // last change, for forget
}

// job is some recipients of a message on their way to a destination.
type job struct {
	m     *message
	d     *dest
	index []int
}

// queuedJobs is how many jobs one destination may have waiting in memory.
// Beyond that its messages wait unloaded, and leave the places of active
// messages to others.
func (s *Settings) queuedJobs() int { return max(s.activeMessages()/10, 10) }

func (s *Settings) activeMessages() int {
	if s.ActiveMessages > 0 {
		return s.ActiveMessages
	}
	return DefaultSettings().ActiveMessages
}

func (s *Settings) activeRecipients() int {
	if s.ActiveRecipients > 0 {
		return s.ActiveRecipients
	}
	return DefaultSettings().ActiveRecipients
}

// dest finds or makes a destination. s.mu is held.
func (s *scheduler) dest(r Route) *dest {
	t := s.transports[r.Transport]
	if t == nil {
		t = &transport{name: r.Transport, limits: s.q.settings.Load().limits(r.Transport), dests: map[string]*dest{}}
		s.transports[r.Transport] = t
	}
	d := t.dests[r.NextHop]
	if d == nil {
		d = &dest{t: t, next: r.NextHop, window: float64(t.limits.Initial)}
		t.dests[r.NextHop] = d
	}
	d.seen = s.q.now()
	return d
}

func (d *dest) route() Route { return Route{Transport: d.t.name, NextHop: d.next} }

func (d *dest) isDead(now time.Time) bool { return d.dead.After(now) }

// offer makes d wait for its turn if it can start a job. s.mu is held.
func (d *dest) offer() {
	if !d.isReady && d.jobs.len() > 0 && d.running < int(d.window) {
		d.isReady = true
		d.t.ready.push(d)
	}
}

// succeeded is positive feedback: one more delivery at a time for each window
// full of successes, as long as the window is used at all.
func (d *dest) succeeded() {
	d.cohort = 0
	if limit := float64(d.t.limits.Destination); d.window < limit && d.window < float64(d.running+d.t.limits.Initial) {
		d.window = min(d.window+1/d.window, limit)
	}
}

// failedSite is negative feedback. A whole window of failures without a
// success between makes the destination dead.
func (d *dest) failedSite(now time.Time, rest time.Duration, why Result) bool {
	d.cohort += 1 / d.window
	d.window = max(d.window-1/d.window, 1)
	if d.cohort < 0.999 {
		return false
	}
	d.dead, d.reason = now.Add(rest), why
	d.window, d.cohort = float64(d.t.limits.Initial), 0
	return true
}

// forget drops destinations that nothing is known of worth keeping.
func (s *scheduler) forget(now time.Time) {
	keep := s.q.settings.Load().minBackoff()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.transports {
		for next, d := range t.dests {
			idle := d.running == 0 && d.jobs.len() == 0 && d.backlog.len() == 0 && !d.isReady && !d.isDead(now)
			if idle && (d.cohort == 0 || now.Sub(d.seen) > keep) {
				delete(t.dests, next)
			}
		}
	}
}

// revive forgets that destinations are down. s.mu is held.
func (s *scheduler) revive() {
	for _, t := range s.transports {
		for _, d := range t.dests {
			d.dead, d.cohort = time.Time{}, 0
		}
	}
}
