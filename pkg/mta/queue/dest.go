package queue

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/spool"
	"github.com/postcote/postcote/pkg/mta/queue/turns"
	"github.com/postcote/postcote/pkg/mta/queue/window"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// transport is one way out, with its destinations.
type transport struct {
	name    string
	limits  Limits
	running int
	dests   map[string]*dest // by next hop, see Limits.key
	most    int              // that dests ever had
	line    turns.Line[*job] // jobs of all destinations, in the order of their turns
	resting bool             // until transport_rate_delay is over
	dead    time.Time        // until transport_retry_time is over
	reason  Result           // of the failure that made it dead
}

// dest is one next hop. How many deliveries it gets at a time is found out:
// the window grows with success and shrinks when the destination fails.
type dest struct {
	t       *transport
	next    string
	key     string             // in transport.dests
	place   turns.Dest[*job]   // its jobs
	backlog fifo[*spool.Entry] // messages for this destination alone, not loaded
	running int
	window  window.Window
	dead    time.Time
	reason  Result    // of the failure that made it dead
	resting bool      // until destination_rate_delay is over
	seen    time.Time // last change, for forget
}

// job is some recipients of a message on their way to a destination.
type job struct {
	m       *message
	d       *dest
	index   []int
	revived uint64 // scheduler.revived when it began
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

func (s *Settings) activeMinimum() int { return max(s.ActiveMinimum, 1) }

// dest finds or makes a destination. s.mu is held.
func (s *scheduler) dest(b *bundle) *dest {
	t := s.transports[b.route.Transport]
	if t == nil {
		t = &transport{name: b.route.Transport, limits: s.q.settings.Load().limits(b.route.Transport), dests: map[string]*dest{}}
		s.transports[t.name] = t
	}
	d := t.dests[b.key]
	if d == nil {
		d = &dest{t: t, next: b.route.NextHop, key: b.key, window: window.New(t.limits.window()), place: *turns.NewDest[*job]()}
		t.dests[b.key] = d
		t.most = max(t.most, len(t.dests))
	}
	d.seen = s.q.now()
	return d
}

func (d *dest) route() Route { return Route{Transport: d.t.name, NextHop: d.next} }

// isDead reports whether nothing is to be tried at d, or over its transport.
func (d *dest) isDead(now time.Time) bool { return d.dead.After(now) || d.t.dead.After(now) }

// offer makes d wait for its turn if it can start a job. s.mu is held.
func (d *dest) offer() {
	if !d.resting && d.running < d.allowed() {
		d.t.line.Offer(&d.place)
	}
}

// putOff takes out what waits for d, to be suspended. s.mu is held.
func (d *dest) putOff() []*job {
	list := d.t.line.TakeAll(&d.place, d.t.limits.costs())
	for _, j := range list {
		j.m.tried = true
	}
	return list
}

// allowed is how many deliveries d may have at a time.
func (d *dest) allowed() int {
	if d.t.limits.DestinationDelay > 0 {
		return 1
	}
	return max(min(d.window.Size(), d.t.limits.Destination), 1) // a limit may be lower since a reload
}

// restDest lets d wait between two deliveries. s.mu is held.
func (s *scheduler) restDest(d *dest) {
	delay := d.t.limits.DestinationDelay.Std()
	if delay <= 0 {
		return
	}
	d.resting = true
	time.AfterFunc(delay, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		d.resting = false
		d.offer()
		s.dispatch(d.t)
	})
}

// restTransport lets t wait between the beginnings of two deliveries. s.mu is held.
func (s *scheduler) restTransport(t *transport) {
	delay := t.limits.TransportDelay.Std()
	if delay <= 0 {
		return
	}
	t.resting = true
	time.AfterFunc(delay, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.resting = false
		s.dispatch(t)
	})
}

// succeeded is positive feedback. A destination that something has reached is
// not down, whatever failed meanwhile.
func (d *dest) succeeded() {
	if rules := d.t.limits.window(); d.dead.IsZero() {
		d.window.Succeeded(rules, d.running)
	} else {
		d.dead = time.Time{}
		d.window.Revived(rules, d.running)
	}
}

// failedSite is negative feedback. Failures that are windows enough, without a
// success between, make the destination dead. What had begun before that and
// fails, too, says nothing new.
func (d *dest) failedSite(now time.Time, rest time.Duration, why Result) bool {
	if d.dead.After(now) || !d.window.Failed(d.t.limits.window()) {
		return false
	}
	d.dead, d.reason = now.Add(rest), why
	d.window.Revived(d.t.limits.window(), 0)
	return true
}

// failedTransport lets nothing be tried over a transport for a while. It
// returns what waited for it; told is false when it rests already. s.mu is held.
func (s *scheduler) failedTransport(t *transport, now time.Time, why Result) (waiting []*job, told bool) {
	if t.dead.After(now) {
		return nil, false
	}
	t.dead, t.reason = now.Add(s.q.settings.Load().retryTime()), why
	for _, d := range t.dests {
		waiting = append(waiting, d.putOff()...)
		s.benchBacklog(d, false)
	}
	return waiting, true
}

// forgetAtOnce is how many destinations of a transport are looked at under one
// hold of the lock. Where a walk over them begins is up to chance, so that each
// has its turn.
const forgetAtOnce = 4096

// forget drops destinations that nothing is known of worth keeping. It is
// called once a second.
func (s *scheduler) forget(now time.Time) {
	keep := s.q.settings.Load().minBackoff()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.transports {
		seen := 0
		for key, d := range t.dests {
			if seen++; seen > forgetAtOnce {
				break
			}
			idle := d.running == 0 && d.place.Len() == 0 && d.backlog.len() == 0 && !d.resting && !d.dead.After(now)
			if idle && (d.window.Untroubled() || now.Sub(d.seen) > keep) {
				delete(t.dests, key)
			}
		}
		if t.most > forgetAtOnce && len(t.dests) < t.most/4 { // a map does not shrink by itself
			t.dests, t.most = maps.Collect(maps.All(t.dests)), len(t.dests)
		}
	}
}

// revive forgets that destinations are down. s.mu is held.
func (s *scheduler) revive() {
	s.revived++
	for _, t := range s.transports {
		t.dead = time.Time{}
		for _, d := range t.dests {
			d.dead = time.Time{}
			d.window.Forgive()
		}
	}
}

// pausedFile keeps what an operator has paused, one name on a line.
const pausedFile = "paused"

// All is the name that Pause takes for every destination.
const All = "ALL"

// maxPaused caps the names in pausedFile.
const maxPaused = 1000

func (s *scheduler) loadPaused() error {
	s.paused = map[string]bool{}
	text, err := disk.ReadFile(s.q.cfg.FS, filepath.Join(s.q.cfg.Dir, pausedFile), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range strings.Fields(string(text)) {
		s.paused[name] = true
	}
	return err
}

// Pause stops deliveries to a destination until Resume, also after a restart:
// name is a next hop as the log and Destinations show it, a transport with a
// colon behind it ("smtp:"), or All. What is running goes on; mail that waits
// does not expire. It is durable when it returns.
func (q *Queue) Pause(name string) error {
	if name == "" || len(name) > 300 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fail.New(fail.Invalid, "%q is no destination", name)
	}
	return q.sched.setPaused(name, true)
}

// Resume ends Pause and tries what has waited; kind NotFound when nothing of
// this name is paused.
func (q *Queue) Resume(ctx context.Context, name string) (int, error) {
	if err := q.sched.setPaused(name, false); err != nil {
		return 0, err
	}
	sel := Selection{}
	for e := range q.List(Filter{Places: []Place{Waiting}}) {
		for i := range e.Recipients {
			if e.Recipients[i].Reason == pausedReason {
				sel.IDs = append(sel.IDs, e.ID)
				break
			}
		}
	}
	n, err := q.Flush(ctx, sel)
	if fail.Is(err, fail.NotFound) {
		err = nil // has left meanwhile
	}
	return n, err
}

// Paused lists what is paused.
func (q *Queue) Paused() []string {
	q.sched.mu.Lock()
	defer q.sched.mu.Unlock()
	return slices.Sorted(maps.Keys(q.sched.paused))
}

func (s *scheduler) setPaused(name string, on bool) error {
	s.pausing.Lock()
	defer s.pausing.Unlock()
	s.mu.Lock()
	names := maps.Clone(s.paused)
	s.mu.Unlock()
	switch {
	case !on && !names[name]:
		return fail.New(fail.NotFound, "%s is not paused", name)
	case on && len(names) >= maxPaused:
		return fail.New(fail.Invalid, "%d destinations are paused already", maxPaused)
	case on:
		names[name] = true
	default:
		delete(names, name)
	}
	text := strings.Join(slices.Sorted(maps.Keys(names)), "\n") + "\n"
	if err := disk.WriteFile(s.q.cfg.FS, filepath.Join(s.q.cfg.Dir, pausedFile), []byte(text), 0o600); err != nil {
		return fail.Wrap(fail.Temporary, err, "pausing %s", name)
	}
	s.mu.Lock()
	s.paused = names
	var waiting []*job
	for _, t := range s.transports {
		for _, d := range t.dests {
			if s.suspended(d) != "" {
				waiting = append(waiting, d.putOff()...)
				s.benchBacklog(d, true)
			}
		}
	}
	s.mu.Unlock()
	for _, j := range waiting {
		s.suspend(j)
	}
	return nil
}

// Reasons of recipients whose mail an operator keeps from being tried.
const (
	pausedReason = "delivery paused by the operator"
	heldReason   = "deferred transport"
)

// suspended is why nothing is tried at d, "" if something may be. s.mu is held.
func (s *scheduler) suspended(d *dest) string {
	paused := func(name string) bool { return s.paused[name] || s.paused[d.t.name+":"+name] }
	switch {
	case len(s.paused) > 0 && (s.paused[All] || paused("") || paused(d.next) || paused(d.key)):
		return pausedReason
	case slices.Contains(s.q.settings.Load().DeferTransports, d.t.name):
		return heldReason
	}
	return ""
}

// waits reports whether m is not to be tried at d. What an operator wants to
// be tried is, over a deferred transport. s.mu is held.
func (s *scheduler) waits(m *message, d *dest) bool {
	why := s.suspended(d)
	return why != "" && (why != heldReason || !m.forced)
}

// Destination is what the scheduler knows of a next hop. Over a transport with
// one recipient in a delivery NextHop is USER@NEXTHOP, as each has limits of its
// own.
type Destination struct {
	Transport string    `json:"transport"`
	NextHop   string    `json:"next_hop"`
	Running   int       `json:"running"`
	Window    int       `json:"window"`  // deliveries at a time
	Waiting   int       `json:"waiting"` // jobs in memory
	Down      time.Time `json:"down_until,omitzero"`
	Reason    string    `json:"reason,omitempty"` // of being down, or paused
}

// Destinations lists the next hops that are in use, down or paused.
func (q *Queue) Destinations() []Destination {
	s, now := &q.sched, q.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Destination
	for _, t := range s.transports {
		for _, d := range t.dests {
			out := Destination{Transport: t.name, NextHop: d.key, Running: d.running, Window: d.allowed(), Waiting: d.place.Len() + d.backlog.len(), Reason: s.suspended(d)}
			switch {
			case t.dead.After(now):
				out.Down, out.Reason = t.dead, t.reason.Reason
			case d.dead.After(now):
				out.Down, out.Reason = d.dead, d.reason.Reason
			}
			if out.Running > 0 || out.Waiting > 0 || out.Reason != "" {
				list = append(list, out)
			}
		}
	}
	slices.SortFunc(list, func(a, b Destination) int {
		return cmp.Or(cmp.Compare(b.Waiting+b.Running, a.Waiting+a.Running), cmp.Compare(a.Transport, b.Transport), cmp.Compare(a.NextHop, b.NextHop))
	})
	return list
}
