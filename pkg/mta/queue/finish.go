package queue

import (
	"slices"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/spool"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// finish decides what becomes of a message none of whose jobs is left: the
// sender is told what there is to tell, then it goes, or waits.
func (s *scheduler) finish(m *message) {
	if _, here := s.q.spool.Flags(m.e); !here { // deleted meanwhile: nobody hears of it
		s.mu.Lock()
		s.release(m)
		s.mu.Unlock()
		return
	}
	notices := s.notices(m)
	if m.over() && len(notices) == 0 {
		if m.env.Origin == OriginDouble && m.failed() {
			s.q.consumer.Observer.Discarded(m.e.ID)
		}
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

// failed reports whether some recipient did not get the message.
func (m *message) failed() bool {
	return slices.ContainsFunc(m.states, func(st State) bool { return st.Status == Failed || st.Status == Expired })
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

// due is a notification that is due. Who is told of a delay need not hear of it
// again; of any other event the recipients that it settles.
type due struct {
	*Notice
	settles []NoticeRecipient
	warns   bool
}

// notices are the notifications that are due, with the recipients they are
// about; a copy for the postmaster stands before the sender's own, which ends
// the matter.
func (s *scheduler) notices(m *message) []due {
	var list []due
	expired := false
	for i := range m.states {
		expired = expired || m.states[i].Status == Expired && !m.states[i].Notified
	}
	for kind := NoticeFailure; kind <= NoticeSuccess; kind++ {
		var all, about []NoticeRecipient
		for i := range m.states {
			if !s.concerns(m, kind, i) {
				continue
			}
			r := NoticeRecipient{Recipient: m.env.Recipients[i], State: m.states[i], Index: i, Transport: m.via[i]}
			all = append(all, r)
			if s.wanted(m, kind, &r) {
				about = append(about, r)
			}
		}
		list = append(list, s.addressed(m, kind, all, about)...)
	}
	if !expired {
		return list
	}
	if flags, _ := s.q.spool.Flags(m.e); flags&spool.Expiring == 0 {
		s.q.consumer.Observer.Expired(m.e.ID, m.env, false)
	}
	return list
}

// addressed are the notices of a kind: the postmaster's about all recipients
// that it concerns, then the sender's about those of which it wants to hear.
// What comes from the null sender concerns the postmaster alone.
func (s *scheduler) addressed(m *message, kind NoticeKind, all, about []NoticeRecipient) []due {
	if len(all) == 0 {
		return nil
	}
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
	var list []due
	if copied.Kind.ForPostmaster() {
		if copied.To = set.postmaster(copied.Kind); !copied.To.Null() {
			copied.Recipients = all
			list = append(list, due{Notice: &copied, settles: without(all, about), warns: kind == NoticeDelay && len(about) == 0})
		}
	}
	if len(about) > 0 {
		list = append(list, due{Notice: &base, settles: about, warns: kind == NoticeDelay})
	}
	return list
}

// without are the recipients of all that are not in some.
func without(all, some []NoticeRecipient) (left []NoticeRecipient) {
	for _, r := range all {
		if !slices.ContainsFunc(some, func(o NoticeRecipient) bool { return o.Index == r.Index }) {
			left = append(left, r)
		}
	}
	return left
}

// concerns reports whether recipient i belongs in a notification of a kind,
// whoever gets it.
func (s *scheduler) concerns(m *message, kind NoticeKind, i int) bool {
	st, r := &m.states[i], &m.env.Recipients[i]
	if st.Notified || m.env.Origin == OriginDouble {
		return false
	}
	if m.env.Sender.Null() && kind != NoticeFailure {
		return false
	}
	switch kind {
	case NoticeFailure:
		// Our own notifications ask for none themselves, others that did so
		// and have no sender are not to be heard of either.
		quiet := m.env.Sender.Null() && !r.Notify.Failure() && m.env.Origin != OriginBounce
		return (st.Status == Failed || st.Status == Expired) && !quiet
	case NoticeSuccess:
		return st.Status == Delivered && (!st.Relayed && r.Notify.Success() || s.cleared(m, r))
	}
	after := s.q.settings.Load().DelayWarning.Std()
	if after <= 0 || st.Status != Deferred || s.q.now().Sub(m.env.Arrival) < after {
		return false
	}
	flags, _ := s.q.spool.Flags(m.e)
	return flags&spool.Warned == 0
}

// wanted reports whether the sender is to hear of a recipient (RFC 3461 section
// 5.2). Nothing is ever sent to the null sender.
func (s *scheduler) wanted(m *message, kind NoticeKind, r *NoticeRecipient) bool {
	switch {
	case m.env.Sender.Null():
		return false
	case kind == NoticeFailure:
		return r.Notify.Failure()
	case kind == NoticeDelay:
		return r.Notify.Delay()
	}
	return true
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

// notify makes a notification durable, then records that it was made. Only a
// crash between the two repeats it. When a notice to the postmaster (its origin
// says so) fails, nobody is told any more.
func (s *scheduler) notify(m *message, n due) error {
	ctx := s.ctx
	msg, err := s.q.Begin(ctx, 0)
	if err != nil {
		return err
	}
	defer msg.Abort()
	facts, err := s.askBouncer(msg, n)
	if err != nil {
		return err
	}
	env := &Envelope{
		Recipients: []Recipient{{Addr: n.To, Notify: NotifyNever}}, // RFC 3461 section 6.1
		SMTPUTF8:   facts.SMTPUTF8, EightBit: facts.EightBit, Origin: OriginBounce,
	}
	if n.Kind.ForPostmaster() {
		env.Origin = OriginDouble
	}
	if err := msg.Commit(ctx, env); err != nil {
		return err
	}
	disk.Point(s.q.cfg.FS, "queue.bounce.committed")
	s.q.metrics.notices.WithLabelValues(n.Kind.String()).Inc()
	s.q.consumer.Observer.Notified(m.e.ID, n.Kind, msg.ID(), facts.MessageID)
	switch {
	case n.warns:
		s.q.spool.SetFlags(m.e, spool.Warned, 0)
		return s.q.spool.Sync()
	case n.Kind.Delay() || len(n.settles) == 0:
		return nil // the sender's own follows
	}
	changes := make([]format.IndexedState, len(n.settles))
	for k := range n.settles {
		i := n.settles[k].Index
		m.states[i].Notified = true
		changes[k] = format.IndexedState{Index: i, State: m.states[i]}
	}
	s.q.spool.SetStates(m.e, changes)
	return s.q.spool.Sync()
}
