package queue

import (
	"context"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/spool"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// scheduler is the part of the queue that is in memory only. Each message is
// in one place, told by its Entry.Pos: an index into the heap of what is due,
// or one of the constants below.
type scheduler struct {
	q *Queue

	mu         sync.Mutex
	cond       *sync.Cond // for the intake
	incoming   fifo[*spool.Entry]
	again      fifo[*spool.Entry] // whose destination has room again
	lists      fifo[*spool.Entry] // with many recipients, that wait until there is room for them
	due        dueHeap
	active     map[*spool.Entry]*message
	recipients int // of active messages, that are not done with
	old        int // active messages that had been deferred
	turn       bool
	transports map[string]*transport
	revived    uint64          // how often revive was called
	paused     map[string]bool // see Queue.Pause; replaced, never changed
	pausing    sync.Mutex      // one change of them at a time
	timer      *time.Timer
	clock      int64 // when the timer last fired, in seconds
	stopping   bool
	started    bool
	ctx        context.Context // of deliveries; set once, by start
	busy       sync.WaitGroup  // intake and deliveries
}

// Places, in Entry.Pos. A place in the heap is an index from 0 on.
const (
	posNone     = -1 // nowhere (yet, or any more)
	posIncoming = -2 // waits for its first attempt
	posActive   = -3 // being worked on
	posHeld     = -4
	posBacklog  = -5 // waits for its destination to have room, or for room for its recipients
	posClaimed  = -6 // see claim
)

// message is an active message.
type message struct {
	e         *spool.Entry
	env       *Envelope
	states    []State // of all recipients; a job changes only its own
	jobs      int     // queued or running
	counted   int     // recipients in scheduler.recipients
	old       bool
	forced    bool // an operator wants it tried now
	stop      bool // held or deleted meanwhile: no further job begins
	tried     bool // a job has begun, or was put off without
	flushed   bool // since then: what has failed is tried again at once
	activated time.Time
	via       map[int]string // transports of recipients that NOTIFY=SUCCESS concerns
	unsaved   []int          // recipients whose new state is not recorded yet
	turns     []turnOf
}

func (s *scheduler) init(q *Queue) {
	s.q = q
	s.cond = sync.NewCond(&s.mu)
	s.active = map[*spool.Entry]*message{}
	s.transports = map[string]*transport{}
}

// restore places what a restart found.
func (s *scheduler) restore() {
	var untried, deferred []*spool.Entry
	latest := s.latest()
	s.q.spool.Restore(func(r spool.Restored) {
		switch {
		case r.Flags&spool.Held != 0:
			r.Entry.Pos = posHeld
		case !r.Tried:
			untried = append(untried, r.Entry)
		default:
			// All final: what is left is to notify and remove.
			r.Entry.Due = min(r.Next, latest)
			deferred = append(deferred, r.Entry)
		}
	})
	s.due.fill(deferred)
	for _, e := range untried {
		e.Pos = posIncoming
		s.incoming.push(e)
	}
}

// latest is the last second for which anything can be due that was put off by
// this clock. What is later was put off before the clock was set back.
func (s *scheduler) latest() int64 {
	set := s.q.settings.Load()
	return s.q.now().Add(max(set.MaxBackoff.Std(), set.minBackoff())).Unix() + 1
}

// setBack puts the times of all that waits right after the clock was set back.
// s.mu is held.
func (s *scheduler) setBack() {
	latest := s.latest()
	for _, e := range s.due.list {
		e.Due = min(e.Due, latest)
	}
	s.due.fill(s.due.list)
}

// unix is a time in seconds, 0 for none.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// start begins the intake.
func (s *scheduler) start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.started = ctx, true
	s.setTimer()
	for range intakes {
		s.busy.Go(s.intake)
	}
}

// stop begins the end: nothing new starts.
func (s *scheduler) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.cond.Broadcast()
}

// wait returns when no delivery is running any more.
func (s *scheduler) wait() { s.busy.Wait() }

// inFlowFactor times the active messages may wait for their first attempt
// before in_flow_delay slows down those who submit.
const inFlowFactor = 5

// arrived takes a message that has just been committed; it reports whether
// mail comes in much faster than it goes out.
func (s *scheduler) arrived(e *spool.Entry, held bool) (flood bool) {
	s.mu.Lock()
	if held {
		e.Pos = posHeld
		s.mu.Unlock()
		s.q.spool.Park(e)
		return false
	}
	e.Pos = posIncoming
	s.incoming.push(e)
	limit := s.q.settings.Load().activeMessages()
	crowded := s.incoming.len() > limit
	flood = s.incoming.len() > inFlowFactor*limit
	s.cond.Signal()
	s.mu.Unlock()
	if crowded {
		s.q.spool.Park(e) // its turn is not soon: the envelope is on disk
	}
	return flood
}

// wake makes the intake look again. s.mu is held.
func (s *scheduler) wake() { s.cond.Broadcast() }

// postpone puts an inactive message among the deferred. s.mu is held.
func (s *scheduler) postpone(e *spool.Entry, due int64) {
	e.Due = due
	s.due.push(e)
	s.setTimer()
	s.wakeIfDue()
}

// setTimer wakes the intake when the first deferred message is due. s.mu is held.
func (s *scheduler) setTimer() {
	if !s.started || s.stopping || s.due.len() == 0 {
		return
	}
	// At most a minute, so that a clock that is set is noticed.
	d := min(time.Unix(s.due.first().Due, 0).Sub(s.q.now()), time.Minute)
	if s.timer == nil {
		s.timer = time.AfterFunc(max(d, 0), s.tick)
		return
	}
	s.timer.Reset(max(d, 0))
}

func (s *scheduler) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	now := s.q.now().Unix()
	if now < s.clock {
		s.setBack()
	}
	s.clock = now
	s.wakeIfDue()
	if s.due.len() > 0 && !s.dueNow() {
		s.setTimer()
	}
}

func (s *scheduler) dueNow() bool {
	return s.due.len() > 0 && s.due.first().Due <= s.q.now().Unix()
}

func (s *scheduler) wakeIfDue() {
	if s.dueNow() {
		s.wake()
	}
}

// unplace takes a waiting message from where it is; false when it is active.
// s.mu is held.
func (s *scheduler) unplace(e *spool.Entry) bool {
	switch {
	case e.Pos == posActive || e.Pos == posClaimed:
		return false
	case e.Pos >= 0:
		s.due.remove(e)
	}
	// The lists of incoming and waiting messages skip what is not theirs any more.
	e.Pos = posNone
	return true
}

// place puts a message that is nowhere back where it belongs. s.mu is held.
func (s *scheduler) place(e *spool.Entry, due int64) {
	flags, ok := s.q.spool.Flags(e)
	switch {
	case !ok:
		e.Pos = posNone
	case flags&spool.Held != 0:
		e.Pos = posHeld
	default:
		s.postpone(e, due)
	}
}

// trouble logs what no caller hears of.
func (s *scheduler) trouble(what string, id ID, err error) {
	s.q.cfg.Log.Error(what, qid(id), obs.Err(err))
}
