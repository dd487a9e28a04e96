package queue

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/spool"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// Selection says which messages an operator means. All selects everything;
// otherwise the messages that are in IDs, or have a recipient for which
// Destination is the domain.
type Selection struct {
	All         bool
	IDs         []ID
	Destination string
	Places      []Place  // if not empty, only messages that are in one of these
	KeepDown    bool     // Flush only: what is known of destinations that are down stays
	Changed     func(ID) // if not nil, told of each message that was changed
	Readdress   Readdress
}

// Readdress is for Requeue: what the addresses of an envelope, which has the
// unfinished recipients only, mean today; edit, if not nil, is applied to the
// content. The envelope that it is given is its own to change.
type Readdress func(ctx context.Context, env *Envelope) (next *Envelope, edit func(io.Reader) (io.Reader, error), err error)

// selected returns the messages of a selection and an error of kind NotFound
// that names ids that are not there.
func (q *Queue) selected(sel Selection) (list []*spool.Entry, missing error) {
	if sel.All || sel.Destination != "" {
		for _, e := range q.spool.Entries() {
			if sel.All || q.goesTo(e, sel.Destination) {
				list = append(list, e)
			}
		}
	}
	var absent []string
	for _, id := range sel.IDs {
		if e := q.spool.Find(id); e != nil {
			list = append(list, e)
		} else {
			absent = append(absent, id.String())
		}
	}
	if len(sel.Places) > 0 {
		list = slices.DeleteFunc(list, func(e *spool.Entry) bool { return !slices.Contains(sel.Places, q.placeOf(e)) })
	}
	if len(absent) > 0 {
		missing = fail.New(fail.NotFound, "not in the queue: %s", strings.Join(absent, " "))
	}
	return list, missing
}

func (q *Queue) goesTo(e *spool.Entry, domain string) bool {
	v, ok := q.spool.View(e)
	if !ok {
		return false
	}
	for i := range v.Recipients {
		if strings.EqualFold(v.Recipients[i].Addr.Domain, domain) && !v.Recipients[i].State.Status.Final() {
			return true
		}
	}
	return false
}

// each does something with every selected message and makes it durable.
func (q *Queue) each(ctx context.Context, sel Selection, do func(*spool.Entry) bool) (int, error) {
	list, missing := q.selected(sel)
	n := 0
	for _, e := range list {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if do(e) {
			n++
			if sel.Changed != nil {
				sel.Changed(e.ID)
			}
		}
	}
	if n > 0 {
		if err := q.spool.Sync(); err != nil {
			return n, err
		}
	}
	return n, missing
}

// Hold keeps the selected messages from being tried until Release. A delivery
// that is running ends first. It returns how many changed; an id that is not
// there gives an error of kind fail.NotFound after the others were done. All
// of Hold, Release, Delete, Requeue and Expire are durable when they return.
func (q *Queue) Hold(ctx context.Context, sel Selection) (int, error) {
	s := &q.sched
	return q.each(ctx, sel, func(e *spool.Entry) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !q.spool.SetFlags(e, spool.Held, 0) {
			return false
		}
		if s.unplace(e) {
			e.Pos = posHeld
		} else {
			s.halt(e)
		}
		return true
	})
}

// halt lets an active message begin no further job. s.mu is held.
func (s *scheduler) halt(e *spool.Entry) {
	if m := s.active[e]; m != nil {
		m.stop = true
	}
}

// Release ends Hold.
func (q *Queue) Release(ctx context.Context, sel Selection) (int, error) {
	return q.each(ctx, sel, func(e *spool.Entry) bool {
		q.sched.mu.Lock()
		defer q.sched.mu.Unlock()
		if !q.spool.SetFlags(e, 0, spool.Held) {
			return false
		}
		q.sched.retry(e)
		return true
	})
}

// retry makes a message due now, unless it is active: then it is when it has
// been worked on, because it is not on hold any more. s.mu is held.
func (s *scheduler) retry(e *spool.Entry) {
	if s.unplace(e) {
		s.postpone(e, 0)
	}
}

// Delete removes messages without telling their senders. A delivery that is
// running is not called back.
func (q *Queue) Delete(ctx context.Context, sel Selection) (int, error) {
	s := &q.sched
	return q.each(ctx, sel, func(e *spool.Entry) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !q.spool.Remove(e) {
			return false
		}
		if !s.unplace(e) {
			s.halt(e)
		}
		return true
	})
}

// Flush tries deferred messages now and forgets that their destinations are
// down. It returns how many were made due. One that is being tried is tried once
// more if that fails: nobody can know whether it began to fail before.
func (q *Queue) Flush(ctx context.Context, sel Selection) (int, error) {
	s := &q.sched
	if !sel.KeepDown {
		s.mu.Lock()
		s.revive()
		s.mu.Unlock()
	}
	list, missing := q.selected(sel)
	n := 0
	for _, e := range list {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		s.mu.Lock()
		if e.Pos >= 0 {
			s.retry(e)
			n++
		} else if m := s.active[e]; m != nil {
			m.flushed = m.tried
		}
		s.mu.Unlock()
	}
	return n, missing
}

// Requeue makes unfinished recipients as if they had just arrived: no
// reason, no attempts, tried at once with a new route. Held ones are released,
// and Expire is taken back.
// With Selection.Readdress a message whose addresses mean something else today
// gets a new id, and the old one goes; a crash between the two leaves both. A
// message that is being worked on is left alone, and so is one that could not
// be addressed anew: the first error says why.
func (q *Queue) Requeue(ctx context.Context, sel Selection) (int, error) {
	var first error
	n, err := q.each(ctx, sel, func(e *spool.Entry) bool {
		due, ok := q.sched.claim(e)
		if !ok {
			return false
		}
		moved, err := q.readdress(ctx, e, sel.Readdress)
		if err != nil {
			if first == nil {
				first = fail.Wrap(fail.KindOf(err), err, "%s stays as it is", e.ID)
			}
			q.sched.unclaim(e, due)
			return false
		}
		return moved || q.afresh(e)
	})
	if err == nil {
		err = first
	}
	return n, err
}

// afresh forgets what happened to a message that is claimed.
func (q *Queue) afresh(e *spool.Entry) bool {
	v, ok := q.spool.View(e)
	if ok {
		var changes []format.IndexedState
		for i := range v.Recipients {
			if !v.Recipients[i].State.Status.Final() {
				changes = append(changes, format.IndexedState{Index: i})
			}
		}
		q.spool.SetStates(e, changes)
		q.spool.SetFlags(e, 0, spool.Held|spool.Expiring)
	}
	q.sched.unclaim(e, 0)
	return ok
}

// claim takes a waiting message away from everybody else until unclaim; false
// when it is being worked on. due is when it would have been tried.
func (s *scheduler) claim(e *spool.Entry) (due int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due = e.Due
	if !s.unplace(e) {
		return 0, false
	}
	e.Pos = posClaimed
	return due, true
}

func (s *scheduler) unclaim(e *spool.Entry, due int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place(e, due)
}

// readdress queues a claimed message anew if its addresses have changed; moved
// says that it did.
func (q *Queue) readdress(ctx context.Context, e *spool.Entry, how Readdress) (moved bool, err error) {
	if how == nil {
		return false, nil
	}
	env, states, err := q.spool.Load(e)
	if err != nil {
		return false, err
	}
	q.spool.Park(e)
	left := *env
	left.Recipients = nil
	for i, r := range env.Recipients {
		if !states[i].Status.Final() {
			left.Recipients = append(left.Recipients, r)
		}
	}
	next, edit, err := how(ctx, &left)
	if err != nil || len(next.Recipients) == 0 || edit == nil && next.Sender == env.Sender && slices.Equal(next.Recipients, left.Recipients) {
		return false, err
	}
	id, err := q.again(ctx, e, next, edit)
	if err != nil {
		return false, err
	}
	if !q.spool.Remove(e) { // somebody has deleted it meanwhile
		_, err = q.Delete(ctx, Selection{IDs: []ID{id}})
		return false, err
	}
	q.sched.mu.Lock()
	e.Pos = posNone
	q.sched.mu.Unlock()
	return true, nil
}

// again makes a new message of the content of e.
func (q *Queue) again(ctx context.Context, e *spool.Entry, env *Envelope, edit func(io.Reader) (io.Reader, error)) (ID, error) {
	c, err := q.open(e)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	in := io.Reader(c.Reader())
	if edit != nil {
		if in, err = edit(in); err != nil {
			return 0, err
		}
	}
	msg, err := q.Begin(ctx, c.Size())
	if err != nil {
		return 0, err
	}
	defer msg.Abort()
	if _, err := io.Copy(msg, in); err != nil {
		return 0, err
	}
	env.Hold, env.Size = false, 0
	return msg.ID(), msg.Commit(ctx, env)
}

// Expire gives the selected messages up as if their lifetime were over:
// recipients not delivered so far are returned to the sender, after the
// delivery that is running. Held ones are released.
func (q *Queue) Expire(ctx context.Context, sel Selection) (int, error) {
	return q.each(ctx, sel, func(e *spool.Entry) bool {
		q.sched.mu.Lock()
		defer q.sched.mu.Unlock()
		if !q.spool.SetFlags(e, spool.Expiring, spool.Held) {
			return false
		}
		q.sched.giveUp(e)
		return true
	})
}

// giveUp makes an expiring message due now. One that is active begins no
// further job, and is due when those that run have ended. s.mu is held.
func (s *scheduler) giveUp(e *spool.Entry) {
	if m := s.active[e]; m != nil {
		m.stop, m.flushed = true, true
		return
	}
	s.retry(e)
}

// ExpireHeld is Expire, but messages on hold stay there until Release.
func (q *Queue) ExpireHeld(ctx context.Context, sel Selection) (int, error) {
	return q.each(ctx, sel, func(e *spool.Entry) bool {
		q.sched.mu.Lock()
		defer q.sched.mu.Unlock()
		if !q.spool.SetFlags(e, spool.Expiring, 0) {
			return false
		}
		if flags, _ := q.spool.Flags(e); flags&spool.Held == 0 {
			q.sched.giveUp(e)
		}
		return true
	})
}

// CheckReport is what Check found.
type CheckReport struct {
	Messages int     // sound
	Bytes    int64   // of these
	Segments int     // files of small messages
	Orphans  int     // bodies of submissions that were never completed; no damage
	Unlisted int     // messages that a damaged state log has lost; on hold after a repair
	Damage   []error // of kind fail.Corrupt, with file and offset
	Repaired int     // damaged messages that were taken out; their bytes are in DIR/damaged
}

// Check reads every byte of the queue in cfg.Dir, which no process may use
// meanwhile (else kind fail.Unavailable). It changes nothing unless repair is
// set: then damaged records and messages are moved to DIR/damaged.
func Check(ctx context.Context, cfg Config, repair bool) (*CheckReport, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = obs.Discard()
	}
	r, err := spool.Check(ctx, spoolConfig(&cfg), repair)
	if err != nil {
		return nil, err
	}
	out := &CheckReport{Messages: r.Messages, Bytes: r.Bytes, Segments: r.Segments, Orphans: r.Orphans, Unlisted: r.Unlisted, Repaired: r.Repaired}
	for _, d := range r.Damage {
		out.Damage = append(out.Damage, fail.Wrap(fail.Corrupt, d, "queue"))
	}
	return out, nil
}
