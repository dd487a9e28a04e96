package throttle

import (
	"context"
	"time"
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
		sleep(ctx, d.until())
	}
}

// until is the time to that tick. Ticks lie at fixed times, so that refusals
// of different age leave together.
func (d Delay) until() time.Duration {
	now := d.Now()
	due := now.Add(d.For)
	if early := due.Truncate(tick); early.Before(due) {
		due = early.Add(tick)
	}
	return due.Sub(now)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
