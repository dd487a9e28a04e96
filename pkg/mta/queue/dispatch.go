package queue

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// dispatchAll starts what may start. s.mu is held.
func (s *scheduler) dispatchAll() {
	for _, t := range s.transports {
		s.dispatch(t)
	}
}

// dispatch starts jobs of one transport, in the order of package turns.
// s.mu is held.
func (s *scheduler) dispatch(t *transport) {
	for j := s.begin(t); j != nil; j = s.begin(t) {
		s.busy.Go(func() { s.work(j) })
	}
}

// begin takes the next job of a transport that may start, nil when there is
// none. s.mu is held.
func (s *scheduler) begin(t *transport) (next *job) {
	for next == nil && !s.stopping && !t.resting && t.line.Len() > 0 && t.running < t.limits.Concurrency {
		place, j := t.line.Next(t.limits.costs(), s.q.now())
		if place == nil {
			return nil
		}
		d := j.d
		if d.running >= d.allowed() || d.resting {
			t.line.Withdraw(place) // it has changed since it was offered
			continue
		}
		t.line.Pop(place, t.limits.costs())
		if j.m.stop {
			s.drop(j)
		} else {
			j.m.tried, j.revived = true, s.revived
			d.running++
			t.running++
			s.restTransport(t)
			next = j
		}
		d.offer()
		s.refill(d)
	}
	return next
}

// work makes an attempt, and those that may follow it: a new goroutine for each
// would have to grow its stack again.
func (s *scheduler) work(j *job) {
	for j != nil {
		j = s.run(j)
	}
}

// drop ends a job that never began. s.mu is held.
func (s *scheduler) drop(j *job) {
	s.doneWith(j.m, len(j.index))
	if j.m.jobs--; j.m.jobs == 0 {
		s.busy.Go(func() { s.finish(j.m) })
	}
}

// doneWith makes room for the recipients of others. s.mu is held.
func (s *scheduler) doneWith(m *message, recipients int) {
	m.counted -= recipients
	s.recipients -= recipients
	if s.lists.len() > 0 && s.recipients < s.q.settings.Load().activeRecipients() {
		s.wake()
	}
}

// refill lets messages that wait for d become active. s.mu is held.
func (s *scheduler) refill(d *dest) {
	if d.backlog.len() == 0 || d.place.Len() > s.q.settings.Load().queuedJobs()/2 {
		return
	}
	for n := s.q.settings.Load().queuedJobs() / 2; n > 0 && d.backlog.len() > 0; n-- {
		s.again.push(d.backlog.pop())
	}
	s.wake()
}

// run makes one attempt, and returns a job that its caller is to do. What has
// failed may take its time, so that nothing waits behind it.
func (s *scheduler) run(j *job) (next *job) {
	began := s.q.now()
	out := s.attempt(j)
	why := s.apply(j, out, began)
	now := s.q.now()

	s.mu.Lock()
	d := j.d
	died, broke := false, false
	var waiting []*job
	switch {
	case (out.SiteFailure || out.TransportFailure != nil) && j.revived != s.revived: // it is to be tried in spite of what was known till then
	case out.TransportFailure != nil:
		waiting, broke = s.failedTransport(d.t, now, why)
	case out.SiteFailure:
		died = d.failedSite(now, s.q.settings.Load().minBackoff(), why)
	default:
		d.succeeded()
	}
	d.running--
	d.t.running--
	d.seen = now
	if died {
		waiting = d.putOff()
		s.benchBacklog(d, false)
	}
	s.restDest(d)
	d.offer()
	s.refill(d)
	if !j.failed() {
		next = s.begin(d.t)
	}
	s.dispatch(d.t)
	s.mu.Unlock()

	if broke {
		s.q.consumer.Observer.TransportFailed(d.t.name, out.TransportFailure)
	}
	for _, w := range waiting {
		s.suspend(w)
	}
	s.ended(j)
	return next
}

// failed reports whether somebody may have to be told about a recipient.
func (j *job) failed() bool {
	for _, i := range j.index {
		if j.m.states[i].Status != Delivered || j.m.env.Recipients[i].Notify.Success() {
			return true
		}
	}
	return false
}

// survive turns the panic of a consumer into an error: one message must not
// take the queue with it, at each start anew.
func (s *scheduler) survive(what string, id ID, err *error) {
	if p := recover(); p != nil {
		s.trouble(what+" panicked", id, fail.New(fail.Temporary, "%v\n%s", p, debug.Stack()))
		*err = fail.New(fail.Temporary, "internal error")
	}
}

func (s *scheduler) askRouter(m *message, i int) (r Route, err error) {
	defer s.survive("routing", m.e.ID, &err)
	return s.q.consumer.Router.Route(s.ctx, m.env, m.env.Recipients[i].Addr)
}

func (s *scheduler) askBouncer(msg *Message, n due) (facts Composed, err error) {
	defer s.survive("composing a notification", n.ID, &err)
	return s.q.consumer.Bouncer.Compose(s.ctx, msg, msg.ID(), n.Notice)
}

// attempt calls the Deliverer and survives what it does.
func (s *scheduler) attempt(j *job) (out Outcome) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.trouble("delivery panicked", j.m.e.ID, fail.New(fail.Temporary, "%v\n%s", p, debug.Stack()))
			out = Outcome{}
		}
	}()
	job := &Job{
		ID: j.m.e.ID, Route: j.d.route(), Envelope: j.m.env, Attempt: 1,
		open: func() (*Content, error) { return s.q.open(j.m.e) },
	}
	for _, i := range j.index {
		job.Recipients = append(job.Recipients, j.m.env.Recipients[i])
		job.States = append(job.States, j.m.states[i])
		job.Attempt = max(job.Attempt, int(j.m.states[i].Attempts)+1)
	}
	return s.q.consumer.Deliverer.Deliver(ctx, job)
}

// apply settles the recipients of a job and returns a result that explains a
// failure of the destination.
func (s *scheduler) apply(j *job, out Outcome, began time.Time) (why Result) {
	s.mu.Lock()
	soft := j.d.t.limits.SoftBounce
	s.mu.Unlock()
	for k, i := range j.index {
		r := Result{Status: Deferred, Code: Code{Class: 4, Subject: 3, Detail: 0}, Reason: "delivery attempt ended without a result"}
		if k < len(out.Results) {
			r = out.Results[k]
		}
		r = s.softened(r.complete(), soft)
		if r.Status == Deferred && why.Reason == "" {
			why = r
		}
		j.m.states[i].Attempts++
		s.settle(j.m, i, r)
		if notify := j.m.env.Recipients[i].Notify; r.Status == Delivered && (notify.Success() || s.q.settings.Load().ConfirmDelay) {
			name := j.d.t.name
			if r.Expanded {
				name = Expanded
			}
			s.remember(j.m, i, name)
		}
		s.report(j.m, i, j.d.route(), r, began.Sub(j.m.activated), false)
	}
	return why
}

// remember keeps which transport delivered, for the notification.
func (s *scheduler) remember(m *message, i int, transport string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.via == nil {
		m.via = map[int]string{}
	}
	m.via[i] = transport
}

// complete fills in what a Deliverer may leave out.
func (r Result) complete() Result {
	class := uint16(4)
	switch r.Status {
	case Delivered:
		class = 2
	case Failed:
		class = 5
	default:
		r.Status = Deferred
	}
	if r.Code.Class != class {
		r.Code = Code{Class: class}
	}
	return r
}

// softened is soft_bounce, everywhere or of the transport: a failure for good
// becomes one for now.
func (s *scheduler) softened(r Result, soft bool) Result {
	if r.Status == Failed && (soft || s.q.settings.Load().SoftBounce) {
		r.Status, r.Code.Class = Deferred, 4
	}
	return r
}

// settle turns a result into the state of a recipient.
func (s *scheduler) settle(m *message, i int, r Result) {
	now := s.q.now()
	set := s.q.settings.Load()
	st := &m.states[i]
	st.Status, st.Code, st.Reason, st.Diagnostic, st.Remote, st.Relayed = r.Status, r.Code, r.Reason, r.Diagnostic, r.Remote, r.Relayed
	st.Last, st.Next = now, time.Time{}
	if r.Status != Deferred {
		return
	}
	age := now.Sub(m.env.Arrival)
	if age >= set.lifetime(m.env) {
		st.Status = Expired
		return
	}
	st.Next = now.Add(set.backoff(age))
}

// backoff is how long a message of an age waits: as long as it is old, within
// limits. So the distance between attempts doubles.
func (s *Settings) backoff(age time.Duration) time.Duration {
	return min(max(age, s.minBackoff()), max(s.MaxBackoff.Std(), s.minBackoff()))
}

func (s *Settings) minBackoff() time.Duration { return max(s.MinBackoff.Std(), time.Second) }

func (s *Settings) lifetime(env *Envelope) time.Duration {
	if env.Sender.Null() {
		return s.BounceLifetime.Std()
	}
	return s.Lifetime.Std()
}

// suspend defers a job without trying, because its destination is dead, or
// paused: then it does not expire.
func (s *scheduler) suspend(j *job) {
	s.mu.Lock()
	why, whole, paused := j.d.reason, j.d.t.dead.After(s.q.now()), s.suspended(j.d)
	if whole {
		why = j.d.t.reason
	}
	s.mu.Unlock()
	r := Result{Status: Deferred, Code: why.Code, Remote: why.Remote, Reason: "delivery temporarily suspended: " + why.Reason}.complete()
	if whole {
		r.Reason = why.Reason
	}
	if paused != "" {
		r = Result{Status: Deferred, Code: Code{Class: 4, Subject: 3, Detail: 2}, Reason: paused}
	}
	for _, i := range j.index {
		s.settle(j.m, i, r)
		if st := &j.m.states[i]; paused == pausedReason && st.Status == Expired {
			st.Status, st.Next = Deferred, s.q.now().Add(s.q.settings.Load().backoff(s.q.now().Sub(j.m.env.Arrival)))
		}
		s.report(j.m, i, j.d.route(), r, s.q.now().Sub(j.m.activated), true)
	}
	s.ended(j)
}

// benchBacklog defers what waits unloaded for a destination that is not tried
// now, for as long as if it had been tried. What has waited so long that its
// sender is to hear of it becomes active soon, and all of it with tell, so that
// it is known why it waits. s.mu is held.
func (s *scheduler) benchBacklog(d *dest, tell bool) {
	now, set := s.q.now(), s.q.settings.Load()
	for _, e := range d.backlog.all() {
		if e.Pos != posBacklog {
			continue
		}
		due := now
		if age := now.Sub(e.Arrival()); !tell && age < set.patience() {
			due = now.Add(set.backoff(age))
		}
		e.Pos = posNone
		s.postpone(e, due.Unix())
	}
}

// patience is the age from which senders may have to be told something.
func (s *Settings) patience() time.Duration {
	p := min(s.Lifetime.Std(), s.BounceLifetime.Std())
	if warn := s.DelayWarning.Std(); warn > 0 {
		p = min(p, warn)
	}
	return p
}

// ended takes a job off its message; with the last one the message is
// finished. What another job will outlive is recorded before.
func (s *scheduler) ended(j *job) {
	m := j.m
	s.mu.Lock()
	m.unsaved = append(m.unsaved, j.index...)
	if m.jobs > 1 {
		changes := m.changes()
		s.mu.Unlock()
		s.q.spool.SetStates(m.e, changes)
		s.q.spool.Done()
		s.mu.Lock()
	}
	m.jobs--
	last := m.jobs == 0
	s.doneWith(m, len(j.index))
	s.mu.Unlock()
	if last {
		s.finish(m)
	}
}

// changes are the states that are not recorded yet.
func (m *message) changes() []format.IndexedState {
	list := make([]format.IndexedState, len(m.unsaved))
	for k, i := range m.unsaved {
		list[k] = format.IndexedState{Index: i, State: m.states[i]}
	}
	m.unsaved = m.unsaved[:0]
	return list
}

// report tells the observer and the counters of one recipient's attempt.
func (s *scheduler) report(m *message, i int, r Route, res Result, queued time.Duration, suspended bool) {
	if !suspended {
		s.q.metrics.attempt(r, res, s.q.now().Sub(m.env.Arrival))
	}
	s.q.consumer.Observer.Attempted(&Attempt{
		ID: m.e.ID, Recipient: m.env.Recipients[i], Route: r, Result: res, Suspended: suspended,
		Before: m.activated.Sub(m.env.Arrival), Queued: max(queued, 0),
	})
}

// String is for messages in logs and tests.
func (r Route) String() string { return fmt.Sprintf("%s:%s", r.Transport, r.NextHop) }
