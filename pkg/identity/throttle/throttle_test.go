package throttle

import (
	"context"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestDelayEndsOnTicks(t *testing.T) {
	for _, tc := range []struct{ at, want time.Duration }{
		{0, 2 * time.Second},
		{time.Millisecond, 2499 * time.Millisecond},
		{499 * time.Millisecond, 2001 * time.Millisecond},
		{500 * time.Millisecond, 2 * time.Second},
	} {
		d := Delay{For: 2 * time.Second, Now: func() time.Time { return start.Add(tc.at) }}
		if got := d.until(); got != tc.want {
			t.Errorf("a failure at +%s waits %s, want %s", tc.at, got, tc.want)
		}
	}
}

func TestWaitsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	now := func() time.Time { return start }
	Delay{For: time.Hour, Now: now}.Wait(ctx)
	Delay{Now: now}.Wait(t.Context())
	g := &Guard{Store: NewMemory(time.Hour, now)}
	p := peer("192.0.2.1", "a")
	g.Failed(t.Context(), p, "b")
	g.Wait(ctx, p)
}

// The time at which a refusal is told says when the try began, not how long
// the verdict took.
func TestDelayHidesTheWork(t *testing.T) {
	for _, tc := range []struct{ took, ends time.Duration }{
		{0, 2 * time.Second},
		{time.Millisecond, 2 * time.Second},
		{1900 * time.Millisecond, 2 * time.Second},
		{2 * time.Second, 2 * time.Second},
		{2001 * time.Millisecond, 2500 * time.Millisecond},
	} {
		now := start.Add(tc.took)
		d := Delay{For: 2 * time.Second, Now: func() time.Time { return now }}
		if got := now.Add(d.from(start)); got != start.Add(tc.ends) {
			t.Errorf("a verdict after %s is told after %s", tc.took, got.Sub(start))
		}
	}
}
