package errormail

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
)

// MaxHourly is how many transcripts are sent in an hour. A stranger can cause
// them at will, and the postmaster has read enough of them by then.
const MaxHourly = 60

// Sender puts transcripts into the queue.
type Sender struct {
	Queue *queue.Queue
	Now   func() time.Time

	mu    sync.Mutex
	began time.Time
	sent  int
}

// To is to whom the sender writes: of the classes that are on.
type To struct {
	Hostname string
	On       []Class
	Bounces  addr.Address // of class Bounce; null for nobody
	Errors   addr.Address // of the others
}

// Send sends the transcript of a session that is over to whom it concerns. An
// error says that the queue could not take it.
func (s *Sender) Send(ctx context.Context, t *Transcript, side Side, peer string, to To) error {
	if t == nil {
		return nil
	}
	for _, who := range []struct {
		to addr.Address
		of func(Class) bool
	}{
		{to.Bounces, func(c Class) bool { return c == Bounce }},
		{to.Errors, func(c Class) bool { return c != Bounce }},
	} {
		due := slices.ContainsFunc(t.noted, func(c Class) bool { return who.of(c) && slices.Contains(to.On, c) })
		if !due || who.to.Null() {
			continue
		}
		if s.count() > MaxHourly {
			continue
		}
		if err := s.submit(ctx, t, to.Hostname, side, peer, who.to); err != nil {
			return err
		}
	}
	return nil
}

// count counts a transcript, and returns how many there were in this hour.
func (s *Sender) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.Now(); now.Sub(s.began) >= time.Hour {
		s.began, s.sent = now, 0
	}
	s.sent++
	return s.sent
}

func (s *Sender) submit(ctx context.Context, t *Transcript, hostname string, side Side, peer string, to addr.Address) error {
	msg, err := s.Queue.Begin(ctx, 0)
	if err != nil {
		return err
	}
	defer msg.Abort()
	now := s.Now()
	if _, err := io.WriteString(msg, letter(t, hostname, side, peer, msg.ID().String(), to, now)); err != nil {
		return err
	}
	return msg.Commit(ctx, &queue.Envelope{
		Arrival: now, Recipients: []queue.Recipient{{Addr: to, Notify: queue.NotifyNever}}, Origin: queue.OriginDouble,
	})
}
