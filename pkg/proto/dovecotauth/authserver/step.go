package authserver

import (
	"context"
	"time"
)

// stepContext is the context of one step. Most steps end before anybody could
// ask whether they should: the timer and the channel of a real context are made
// when they are first asked for.
type stepContext struct {
	x        *exchange
	inline   bool // runs on the goroutine that reads the connection
	detached bool // … ran, until it called Waiting

	// Under x.c.mu:
	real   context.Context
	cancel context.CancelFunc
}

type stepKey struct{}

// materialize returns the real context, for the time that is left from now on.
func (s *stepContext) materialize() context.Context {
	c := s.x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.real == nil {
		s.real, s.cancel = context.WithTimeout(c.ctx, c.s.cfg.RequestTimeout)
		if s.x.gone {
			s.cancel()
		}
	}
	return s.real
}

func (s *stepContext) Deadline() (time.Time, bool) { return s.materialize().Deadline() }
func (s *stepContext) Done() <-chan struct{}       { return s.materialize().Done() }

// Err does without the real context.
func (s *stepContext) Err() error {
	c := s.x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.real != nil:
		return s.real.Err()
	case s.x.gone:
		return context.Canceled
	}
	return c.ctx.Err()
}

func (s *stepContext) Value(key any) any {
	if key == (stepKey{}) {
		return s
	}
	s.x.c.mu.Lock()
	real := s.real
	s.x.c.mu.Unlock()
	if real != nil {
		return real.Value(key)
	}
	return s.x.c.ctx.Value(key)
}

// end frees what the step's context holds.
func (s *stepContext) end() {
	s.x.c.mu.Lock()
	defer s.x.c.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
}

// Waiting says that the step to which ctx belongs is about to wait for
// something. A step that was called on the goroutine which reads the connection
// (see Immediate) keeps that goroutine from now on; another one goes on reading.
// It is to be called on the goroutine that called Next, costs nothing the second
// time, and does nothing outside a step.
func Waiting(ctx context.Context) {
	if s, ok := ctx.Value(stepKey{}).(*stepContext); ok && s.inline && !s.detached {
		s.detached = true
		s.x.c.detach(s.x)
	}
}
