package queue

import (
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/spool"
	"github.com/postcote/postcote/pkg/mta/queue/turns"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// intakes is how many messages are looked up and routed at a time. A Router
// may have to ask a slow database.
const intakes = 4

// intake makes messages active until the queue stops.
func (s *scheduler) intake() {
	for {
		e, old := s.next()
		if e == nil {
			return
		}
		s.activate(e, old)
	}
}

// next waits for a message that may become active, nil when the queue stops.
// New and deferred messages take turns. Deferred ones use at most half of the
// places, so that a wave of retries cannot keep new mail waiting.
func (s *scheduler) next() (e *spool.Entry, old bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.stopping {
			return nil, false
		}
		if e, old = s.choose(); e != nil {
			e.Pos = posActive
			m := &message{e: e, old: old, forced: old && e.Due == 0, activated: s.q.now()}
			s.active[e] = m
			if old {
				s.old++
			}
			return e, old
		}
		s.cond.Wait()
	}
}

// choose takes a message from where it waits. s.mu is held.
func (s *scheduler) choose() (e *spool.Entry, old bool) {
	set := s.q.settings.Load()
	if len(s.active) >= set.activeMessages() {
		return nil, false
	}
	room := s.recipients < set.activeRecipients()
	for room && s.lists.len() > 0 {
		if e := s.lists.pop(); e.Pos == posBacklog {
			return e, e.Due != 0
		}
	}
	for {
		if e, old = s.candidate(set); e == nil || room || s.q.spool.Recipients(e) <= set.activeMinimum() {
			return e, old
		}
		// Others must not wait until those of a list are done with.
		s.backlog(e, old)
		s.lists.push(e)
	}
}

// candidate is the next message that wants to become active.
func (s *scheduler) candidate(set *Settings) (*spool.Entry, bool) {
	for s.again.len() > 0 {
		if e := s.again.pop(); e.Pos == posBacklog {
			return e, e.Due != 0
		}
	}
	dueNow := s.dueNow() && s.old < max(set.activeMessages()/2, 1)
	if !dueNow || !s.turn {
		for s.incoming.len() > 0 {
			if e := s.incoming.pop(); e.Pos == posIncoming {
				s.turn = true
				return e, false
			}
		}
	}
	if !dueNow {
		return nil, false
	}
	s.turn = false
	e := s.due.pop()
	s.setTimer()
	return e, true
}

// activate loads and routes a message and queues its jobs.
func (s *scheduler) activate(e *spool.Entry, old bool) {
	now := s.q.now()
	env, states, err := s.q.spool.Load(e)
	if err != nil {
		s.deactivate(e, err)
		return
	}
	s.mu.Lock()
	m := s.active[e]
	m.env, m.states = env, states
	s.mu.Unlock()

	flags, _ := s.q.spool.Flags(e)
	var todo []int
	latest := s.latest()
	for i := range states {
		st := &states[i]
		switch {
		case st.Status.Final():
		case env.Recipients[i].Notify&NotifyExpanded != 0:
			s.expanded(m, i, now)
		case flags&spool.Expiring != 0:
			st.Status = Expired
			m.unsaved = append(m.unsaved, i)
		case e.Due == 0 || unix(st.Next) <= now.Unix() || unix(st.Next) > latest:
			todo = append(todo, i)
		}
	}
	if flags&spool.Expiring != 0 && len(m.unsaved) > 0 {
		s.q.consumer.Observer.Expired(e.ID, env, true)
	}
	if len(todo) > 0 {
		s.q.consumer.Observer.Activated(e.ID, env, len(todo))
	}
	s.enqueue(m, s.route(m, todo))
}

// Expanded is the Transport of a NoticeRecipient that was replaced by others.
const Expanded = "expanded"

// expanded makes an alias final that only waits to be reported on.
func (s *scheduler) expanded(m *message, i int, now time.Time) {
	m.states[i] = State{Status: Delivered, Code: Code{Class: 2}, Reason: "alias expanded", Last: now}
	m.unsaved = append(m.unsaved, i)
	s.remember(m, i, Expanded)
}

// deactivate ends the activity of a message that cannot be loaded. A damaged
// one is on hold from now on, for any other reason it is tried again soon.
func (s *scheduler) deactivate(e *spool.Entry, err error) {
	if !fail.Is(err, fail.NotFound) {
		s.trouble("message cannot be loaded", e.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(s.active[e])
	s.place(e, s.q.now().Add(time.Minute).Unix())
}

// release gives the place of an active message back. s.mu is held.
func (s *scheduler) release(m *message) {
	delete(s.active, m.e)
	s.recipients -= m.counted
	m.counted = 0
	if m.old {
		s.old--
	}
	m.e.Pos = posNone
	s.wake()
}

// bundle is a route and the recipients that share it, in order.
type bundle struct {
	route Route
	key   string // of the destination, see Limits.key
	index []int
}

// route asks the Router for each recipient. Those without a route get their
// result at once.
func (s *scheduler) route(m *message, todo []int) []bundle {
	type place struct{ transport, key string }
	var list []bundle
	find := map[place]int{}
	set := s.q.settings.Load()
	for _, i := range todo {
		r, err := s.askRouter(m, i)
		if err != nil {
			s.unroutable(m, i, err)
			continue
		}
		limits := set.limits(r.Transport)
		at := place{r.Transport, limits.key(r, m.env.Recipients[i].Addr)}
		k, ok := find[at]
		if !ok {
			k = len(list)
			find[at] = k
			list = append(list, bundle{route: r, key: at.key})
		}
		list[k].index = append(list[k].index, i)
	}
	return list
}

func (s *scheduler) unroutable(m *message, i int, err error) {
	r := Result{Status: Deferred, Code: Code{Class: 4, Subject: 3, Detail: 0}, Reason: err.Error()}
	if k := fail.KindOf(err); k == fail.Permanent || k == fail.NotFound {
		r.Status, r.Code = Failed, Code{Class: 5, Subject: 4, Detail: 4}
	}
	r = s.softened(r, false)
	s.settle(m, i, r)
	m.unsaved = append(m.unsaved, i)
	s.report(m, i, Route{}, r, 0, false)
}

// enqueue gives the bundles to their destinations.
func (s *scheduler) enqueue(m *message, bundles []bundle) {
	set := s.q.settings.Load()
	now := s.q.now()
	s.mu.Lock()
	if len(bundles) == 1 && len(m.unsaved) == 0 {
		if d := s.dest(&bundles[0]); d.place.Len() >= set.queuedJobs() && !d.isDead(now) && !s.waits(m, d) && !m.stop {
			s.toBacklog(m, d)
			s.mu.Unlock()
			s.q.spool.Park(m.e)
			return
		}
	}
	if m.stop {
		bundles = nil
	}
	var suspended []*job
	for _, b := range bundles {
		d := s.dest(&b)
		for rest := b.index; len(rest) > 0; {
			n := min(len(rest), max(d.t.limits.Recipients, 1))
			j := &job{m: m, d: d, index: rest[:n:n]}
			rest = rest[n:]
			m.jobs++
			m.counted += n
			s.recipients += n
			if d.isDead(now) || s.waits(m, d) {
				m.tried = true
				suspended = append(suspended, j)
			} else {
				d.t.line.Push(m.turn(d.t), &d.place, j)
			}
		}
		d.offer()
	}
	none := m.jobs == 0
	s.dispatchAll()
	s.mu.Unlock()
	for _, j := range suspended {
		s.suspend(j)
	}
	if none {
		s.finish(m)
	}
}

// turn is the place of a message among those of a transport.
func (m *message) turn(t *transport) *turns.Job[*job] {
	for i := range m.turns {
		if m.turns[i].t == t {
			return m.turns[i].job
		}
	}
	m.turns = append(m.turns, turnOf{t, t.line.Add(m.activated)})
	return m.turns[len(m.turns)-1].job
}

// turnOf is a message at a transport.
type turnOf struct {
	t   *transport
	job *turns.Job[*job]
}

// toBacklog lets a message wait, unloaded, for its destination. s.mu is held.
func (s *scheduler) toBacklog(m *message, d *dest) {
	s.release(m)
	s.backlog(m.e, m.old)
	d.backlog.push(m.e)
}

// backlog lets a message wait for something other than time.
func (s *scheduler) backlog(e *spool.Entry, old bool) {
	e.Pos = posBacklog
	if old && e.Due == 0 {
		e.Due = 1 // stays one of the old, and all of it is due
	}
}
