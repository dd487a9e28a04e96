package queue

import (
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/spool"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// finish decides what becomes of a message none of whose jobs is left: the
// sender is told what there is to tell, then it goes, or waits.
func (s *scheduler) finish(m *message) {
	notices := s.notices(m)
	if m.over() && len(notices) == 0 {
		s.remove(m)
		return
	}
	if len(m.unsaved) > 0 {
		s.q.spool.SetStates(m.e, m.changes())
		s.q.spool.Done()
	}
	for _, n := range notices {
		if err := s.notify(m, n); err != nil {
			s.trouble("notification could not be queued", m.e.ID, err)
			s.rest(m, s.q.now().Add(s.q.settings.Load().minBackoff()))
			return
		}
	}
	if m.over() {
		s.remove(m)
		return
	}
	s.rest(m, m.next())
}

// over reports whether every recipient is final.
func (m *message) over() bool {
	for i := range m.states {
		if !m.states[i].Status.Final() {
			return false
		}
	}
	return true
}

// next is when the first recipient is to be tried again.
func (m *message) next() time.Time {
	var next time.Time
	for i := range m.states {
		st := &m.states[i]
		switch {
		case st.Status.Final():
		case st.Next.IsZero():
			return time.Time{}
		case next.IsZero() || st.Next.Before(next):
			next = st.Next
		}
	}
	return next
}

// remove ends a message.
func (s *scheduler) remove(m *message) {
	told := s.q.spool.Remove(m.e)
	s.q.spool.Done()
	disk.Point(s.q.cfg.FS, "queue.removed")
	s.mu.Lock()
	s.release(m)
	s.mu.Unlock()
	if told {
		s.q.consumer.Observer.Removed(m.e.ID)
	}
}

// rest lets a message wait.
func (s *scheduler) rest(m *message, until time.Time) {
	s.q.spool.Park(m.e)
	now := s.q.now()
	if until.IsZero() {
		until = now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	due := max(until.Unix(), 1)
	if m.flushed {
		due = 0
	}
	s.release(m)
	s.place(m.e, due)
}

// doubleOrigin is the Origin of notices to the postmaster. When they fail
// nobody is told any more.
const doubleOrigin = "2bounce"

// notices are the notifications that are due, with the recipients they are
// about; a copy for the postmaster stands before the sender's own, which ends
// the matter.
func (s *scheduler) notices(m *message) []*Notice {
	var list []*Notice
	expired := false
	for i := range m.states {
		expired = expired || m.states[i].Status == Expired && !m.states[i].Notified
	}
	for kind := NoticeFailure; kind <= NoticeSuccess; kind++ {
		var about []NoticeRecipient
		for i := range m.states {
			if s.concerns(m, kind, i) {
				about = append(about, NoticeRecipient{Recipient: m.env.Recipients[i], State: m.states[i], Index: i, Transport: m.via[i]})
			}
		}
		if len(about) > 0 {
			list = append(list, s.addressed(m, kind, about)...)
		}
	}
	if !expired {
		return list
	}
	if flags, _ := s.q.spool.Flags(m.e); flags&spool.Expiring == 0 {
		s.q.consumer.Observer.Expired(m.e.ID, m.env)
	}
	return list
}

// addressed are the notices of a kind: the postmaster's, then the sender's.
// What comes from the null sender concerns the postmaster alone.
func (s *scheduler) addressed(m *message, kind NoticeKind, about []NoticeRecipient) []*Notice {
	set := s.q.settings.Load()
	base := Notice{
		Kind: kind, To: m.env.Sender, ID: m.e.ID, Envelope: m.env, Recipients: about, Now: s.q.now(),
		Expires: m.env.Arrival.Add(set.lifetime(m.env)),
		Open:    func() (*Content, error) { return s.q.open(m.e) },
	}
	copied := base
	switch {
	case m.env.Sender.Null():
		copied.Kind = NoticeDouble
	case kind == NoticeFailure:
		copied.Kind = NoticeFailureCopy
	case kind == NoticeDelay:
		copied.Kind = NoticeDelayCopy
	}
	var list []*Notice
	if copied.Kind.ForPostmaster() {
		if copied.To = set.postmaster(copied.Kind); !copied.To.Null() {
			list = append(list, &copied)
		}
	}
	if !m.env.Sender.Null() {
		list = append(list, &base)
	}
	return list
}

// concerns reports whether recipient i belongs in a notification of a kind.
func (s *scheduler) concerns(m *message, kind NoticeKind, i int) bool {
	st, r := &m.states[i], &m.env.Recipients[i]
	if st.Notified || m.env.Origin == doubleOrigin {
		return false
	}
	if m.env.Sender.Null() {
		// Of what had asked for a report itself; anything else from the null
		// sender is not ours, or wants to hear nothing.
		return kind == NoticeFailure && m.env.Origin == bounceOrigin && (st.Status == Failed || st.Status == Expired)
	}
	switch kind {
	case NoticeFailure:
		return (st.Status == Failed || st.Status == Expired) && r.Notify.Failure()
	case NoticeSuccess:
		return st.Status == Delivered && (!st.Relayed && r.Notify.Success() || s.cleared(m, r))
	}
	after := s.q.settings.Load().DelayWarning.Std()
	if after <= 0 || st.Status != Deferred || !r.Notify.Delay() || s.q.now().Sub(m.env.Arrival) < after {
		return false
	}
	flags, _ := s.q.spool.Flags(m.e)
	return flags&spool.Warned == 0
}

// cleared reports whether the sender was warned of a delay that is over now,
// and is to hear of that. Whoever was warned of one recipient hears of all.
func (s *scheduler) cleared(m *message, r *Recipient) bool {
	if !s.q.settings.Load().ConfirmDelay || !r.Notify.Delay() {
		return false
	}
	flags, _ := s.q.spool.Flags(m.e)
	return flags&spool.Warned != 0
}

// bounceOrigin is the Origin of our notifications.
const bounceOrigin = "bounce"

// notify makes a notification durable, then records that it was made. Only a
// crash between the two repeats it.
func (s *scheduler) notify(m *message, n *Notice) error {
	ctx := s.ctx
	msg, err := s.q.Begin(ctx, 0)
	if err != nil {
		return err
	}
	defer msg.Abort()
	facts, err := s.q.consumer.Bouncer.Compose(ctx, msg, msg.ID(), n)
	if err != nil {
		return err
	}
	env := &Envelope{
		Recipients: []Recipient{{Addr: n.To, Notify: NotifyNever}}, // RFC 3461 section 6.1
		SMTPUTF8:   facts.SMTPUTF8, EightBit: facts.EightBit, Origin: bounceOrigin,
	}
	if n.Kind.ForPostmaster() {
		env.Origin = doubleOrigin
	}
	if err := msg.Commit(ctx, env); err != nil {
		return err
	}
	disk.Point(s.q.cfg.FS, "queue.bounce.committed")
	s.q.metrics.notices.WithLabelValues(n.Kind.String()).Inc()
	s.q.consumer.Observer.Notified(m.e.ID, n.Kind, msg.ID())
	switch n.Kind {
	case NoticeFailureCopy, NoticeDelayCopy:
		return nil // the sender's own follows
	case NoticeDelay:
		s.q.spool.SetFlags(m.e, spool.Warned, 0)
		return s.q.spool.Sync()
	}
	changes := make([]format.IndexedState, len(n.Recipients))
	for k := range n.Recipients {
		i := n.Recipients[k].Index
		m.states[i].Notified = true
		changes[k] = format.IndexedState{Index: i, State: m.states[i]}
	}
	s.q.spool.SetStates(m.e, changes)
	return s.q.spool.Sync()
}
