package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// wall is a clock that can be set.
type wall struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *wall) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *wall) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += d
}

// A clock that is set, while the queue runs or between two runs, neither loses
// mail nor keeps it waiting for longer than the longest time between attempts.
func TestClockIsSet(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, tc := range map[string]struct {
		by      time.Duration
		restart bool
	}{
		"back by a year while it runs":    {-year, false},
		"back by a year while it is down": {-year, true},
		"back by an hour while it runs":   {-time.Hour, false},
		"back by an hour":                 {-time.Hour, true},
		"on by an hour while it runs":     {time.Hour, false},
		"on by an hour":                   {time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { setClock(t, tc.by, tc.restart) })
		})
	}
}

func setClock(t *testing.T, by time.Duration, restart bool) {
	clock, fsys := &wall{}, disk.NewForgetful()
	var tries atomic.Int64 // two deliveries may run at once
	begin := func() *world {
		s := settings()
		s.MinBackoff, s.MaxBackoff, s.SyncInterval = conf.Duration(5*time.Minute), conf.Duration(time.Hour), conf.Duration(time.Minute)
		q, err := Open(context.Background(), Config{Settings: s, Dir: "/q", FS: fsys, Now: clock.now})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, fsys: fsys, q: q, running: map[string]int{}, peak: map[string]int{}, tries: map[string]int{}}
		w.deliver = func(_ context.Context, job *Job) (out Outcome) {
			n := tries.Add(1)
			for range job.Recipients {
				out.Results = append(out.Results, map[bool]Result{true: delivered(), false: deferred("450 later")}[n > 4])
			}
			return out
		}
		w.start()
		return w
	}
	w := begin()
	if err := w.trySubmit(to("one@x.example", "two@x.example"), 100); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	before := tries.Load()
	if before == 0 {
		t.Fatal("nothing was tried")
	}
	if restart {
		w.stop()
	}
	clock.set(by)
	if restart {
		w = begin()
	}
	time.Sleep(2*time.Hour + 2*time.Minute)
	synctest.Wait()
	if tries.Load() == before {
		t.Error("nothing is tried any more")
	}
	time.Sleep(8 * time.Hour)
	synctest.Wait()
	n := 0
	for range w.q.List(Filter{}) {
		n++
	}
	if n != 0 {
		t.Errorf("%d messages wait after %d attempts", n, tries.Load())
	}
	w.stop()
}
