package queue

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/spool"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// Queue is the queue of one mtad. All methods are safe for concurrent use.
type Queue struct {
	cfg      Config
	settings atomic.Pointer[Settings]
	spool    *spool.Spool
	recovery Recovery
	metrics  *metrics
	sched    scheduler
	consumer Consumers
	running  atomic.Bool
}

// Recovery is what Open found.
type Recovery struct {
	Messages int           // in the queue
	Salvaged int           // of these, messages that a damaged state log had lost; they are on hold
	Orphans  int           // bodies that nobody had been told about, removed
	Damage   []error       // of kind fail.Corrupt, with file and offset; what was damaged lies in DIR/damaged
	Took     time.Duration // time spent
}

// Open takes the directory of the queue and brings back what is in it. It
// fails with kind fail.Unavailable when another process has it. Damage does
// not make it fail, see Recovery.
func Open(ctx context.Context, cfg Config) (*Queue, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = obs.Discard()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = obs.NopMetrics()
	}
	s, rec, err := spool.Open(ctx, spoolConfig(&cfg))
	if err != nil {
		return nil, err
	}
	q := &Queue{cfg: cfg, spool: s, recovery: recoveryOf(rec)}
	settings := cfg.Settings
	q.settings.Store(&settings)
	q.sched.init(q)
	if err := q.sched.loadPaused(); err != nil {
		_ = s.Close()
		return nil, err
	}
	q.sched.restore()
	q.metrics = newMetrics(cfg.Metrics, q)
	return q, nil
}

// freeKept is how many free segments wait for their next use.
const freeKept = 4

func spoolConfig(cfg *Config) spool.Config {
	d := DefaultSettings()
	or := func(v, d int64) int64 {
		if v > 0 {
			return v
		}
		return d
	}
	kept := freeKept
	if cfg.ZeroRemoved {
		kept = 0 // what is kept for the next use is not overwritten
	}
	return spool.Config{
		FS: cfg.FS, Dir: cfg.Dir, Now: cfg.Now, MinFree: int64(cfg.MinFree), FreeKept: kept, Zero: cfg.ZeroRemoved,
		Large:       or(int64(cfg.LargeMessage), int64(d.LargeMessage)),
		Budget:      or(int64(cfg.BufferBudget), int64(d.BufferBudget)),
		SegmentSize: or(int64(cfg.SegmentSize), int64(d.SegmentSize)),
		LogSize:     or(int64(cfg.SegmentSize), int64(d.SegmentSize)),
		Warn:        func(err error) { cfg.Log.Error("queue storage", obs.Err(err)) },
	}
}

func recoveryOf(r *spool.Recovery) Recovery {
	out := Recovery{Messages: r.Messages, Salvaged: r.Salvaged, Orphans: r.Orphans, Took: r.Took}
	for _, d := range r.Damage {
		out.Damage = append(out.Damage, fail.Wrap(fail.Corrupt, d, "queue"))
	}
	return out
}

// Recovery tells what Open found.
func (q *Queue) Recovery() Recovery { return q.recovery }

// now is the time for all decisions.
func (q *Queue) now() time.Time { return q.cfg.Now() }

// Reload applies settings that may change while running: back-off, lifetimes,
// limits, MinFree. The other sizes need a restart.
func (q *Queue) Reload(s Settings) {
	q.settings.Store(&s)
	q.spool.SetMinFree(int64(s.MinFree))
	q.sched.mu.Lock()
	defer q.sched.mu.Unlock()
	for name, t := range q.sched.transports {
		old := t.limits
		t.limits = s.limits(name)
		// A rest that would be shorter now is over.
		t.resting = t.resting && t.limits.TransportDelay >= old.TransportDelay
		for _, d := range t.dests {
			d.resting = d.resting && t.limits.DestinationDelay >= old.DestinationDelay
			d.offer()
		}
	}
	q.sched.dispatchAll()
	q.sched.wake()
}

// Close makes everything durable and gives the directory back. Run must have
// returned.
func (q *Queue) Close() error { return q.spool.Close() }

// Run schedules deliveries until ctx is done; then it starts no new ones,
// gives the running ones the time drain, cancels the rest and returns. It is
// called once.
func (q *Queue) Run(ctx context.Context, c Consumers, drain time.Duration) error {
	if q.running.Swap(true) {
		return fail.New(fail.Invalid, "the queue is running already")
	}
	if c.Observer == nil {
		c.Observer = deaf{}
	}
	q.consumer = c
	deliveries, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	tidied := make(chan struct{})
	go func() {
		defer close(tidied)
		q.tidy(deliveries)
	}()
	q.sched.start(deliveries)
	<-ctx.Done()
	q.sched.stop()
	limit := time.AfterFunc(drain, cancel)
	defer limit.Stop()
	q.sched.wait()
	cancel()
	<-tidied
	return q.spool.Sync()
}

// tidy calls the spool's housekeeping until ctx is done.
func (q *Queue) tidy(ctx context.Context) {
	for {
		interval := q.settings.Load().SyncInterval.Std()
		if interval <= 0 {
			interval = time.Second
		}
		t := time.NewTimer(interval)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		if err := q.spool.Tidy(); err != nil {
			q.cfg.Log.Error("queue storage", obs.Err(err))
		}
		q.sched.forget(q.now())
	}
}

// deaf is the Observer of those who have none.
type deaf struct{}

func (deaf) Activated(ID, *Envelope, int)        {}
func (deaf) Attempted(*Attempt)                  {}
func (deaf) Expired(ID, *Envelope, bool)         {}
func (deaf) Notified(ID, NoticeKind, ID, string) {}
func (deaf) Removed(ID)                          {}
func (deaf) TransportFailed(string, error)       {}
func (deaf) Discarded(ID)                        {}
