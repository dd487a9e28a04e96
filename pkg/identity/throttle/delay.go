package throttle

import (
	"context"
	"time"

	"github.com/postcote/postcote/pkg/identity/waits"
)

// tick is Dovecot's: failures are flushed twice a second.
const tick = 500 * time.Millisecond

// Delay holds refusals back for a fixed time, 2 s as Dovecot does unless
// configured otherwise.
type Delay struct {
	For time.Duration // 0 turns it off
	Now func() time.Time
}

// Wait returns at the first tick at least d.For from now, or when ctx ends.
func (d Delay) Wait(ctx context.Context) {
	if d.For > 0 {
		waits.For(ctx, d.until())
	}
}

// WaitFrom is Wait for a refusal of something that began earlier: it returns
// at the first tick at least d.For from then, if that is yet to come, else at
// the next one. How long the decision took does not show.
func (d Delay) WaitFrom(ctx context.Context, began time.Time) {
	if d.For > 0 {
		waits.For(ctx, d.from(began))
	}
}

func (d Delay) from(began time.Time) time.Duration {
	now := d.Now()
	due := began.Add(d.For)
	if due.Before(now) {
		due = now
	}
	return ceil(due).Sub(now)
}

// until is the time to that tick. Ticks lie at fixed times, so that refusals
// of different age leave together.
func (d Delay) until() time.Duration {
	now := d.Now()
	return ceil(now.Add(d.For)).Sub(now)
}

// ceil is the first tick at t or after it.
func ceil(t time.Time) time.Time {
	if early := t.Truncate(tick); early.Before(t) {
		return early.Add(tick)
	}
	return t
}
