package verify

import (
	"context"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// Config is what a Service is made from.
type Config struct {
	Times Times
	Wait  time.Duration // how long Ask waits for a probe
	// Probe finds out about an address. It returns soon after ctx is done.
	Probe   func(ctx context.Context, a addr.Address) Answer
	Timeout time.Duration // of a probe
	Probes  int           // how many run side by side; 0: 20
	Max     int           // addresses that are remembered; 0: 100 000

	FS   disk.FS
	Path string // of the file; empty: nothing outlives the process
	Now  func() time.Time
	Log  *obs.Logger
}

const (
	defaultProbes = 20
	defaultMax    = 100000
	waiting       = 1000 // addresses that may wait for a probe
	saveInterval  = 5 * time.Minute
)

// Service answers. It is safe for concurrent use.
type Service struct {
	cfg  Config
	jobs chan *probe

	mu      sync.Mutex
	times   Times
	wait    time.Duration
	known   map[string]entry
	running map[string]*probe
	changed bool
}

// probe is one that waits or runs.
type probe struct {
	key  string
	addr addr.Address
	done chan struct{}
}

// New makes a Service with what the file remembers. A file that cannot be
// read is as good as none.
func New(cfg Config) *Service {
	if cfg.Probes <= 0 {
		cfg.Probes = defaultProbes
	}
	if cfg.Max <= 0 {
		cfg.Max = defaultMax
	}
	s := &Service{cfg: cfg, jobs: make(chan *probe, waiting), known: map[string]entry{}, running: map[string]*probe{}, times: cfg.Times, wait: cfg.Wait}
	if err := s.load(); err != nil && cfg.Log != nil {
		cfg.Log.Warn("what was known of addresses is lost", obs.Err(err))
	}
	return s
}

// Reload takes over other times.
func (s *Service) Reload(times Times, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times, s.wait = times, wait
}

// Run makes probes, and saves what they find, until ctx is done.
func (s *Service) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for range s.cfg.Probes {
		wg.Go(func() { s.work(ctx) })
	}
	tick := time.NewTicker(saveInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			s.saved()
		}
	}
	wg.Wait()
	s.saved()
}

func (s *Service) saved() {
	if err := s.save(); err != nil && s.cfg.Log != nil {
		s.cfg.Log.Warn("what is known of addresses cannot be saved", obs.Err(err))
	}
}

func (s *Service) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-s.jobs:
			s.settle(p, s.probe(ctx, p.addr))
			close(p.done)
		}
	}
}

func (s *Service) probe(ctx context.Context, a addr.Address) (got Answer) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil && s.cfg.Log != nil {
			s.cfg.Log.Error("panic in a probe", obs.Err(fail.New(fail.Temporary, "%v", v)))
			got = Answer{}
		}
	}()
	return s.cfg.Probe(ctx, a)
}

// Ask says what is known of an address, and has it probed if that is nothing
// or getting old. An address of which nothing is known is waited for a while.
func (s *Service) Ask(ctx context.Context, a addr.Address) Answer {
	key, now := a.Key(), s.cfg.Now()
	s.mu.Lock()
	e, ok := s.known[key]
	if ok && s.times.expired(e, now) {
		delete(s.known, key)
		ok, s.changed = false, true
	}
	if ok {
		if s.times.stale(e, now) {
			e.probed = now
			s.known[key] = e
			s.start(key, a)
		}
		s.mu.Unlock()
		return Answer{Status: e.Status, Code: e.code, Text: e.text}
	}
	p, wait := s.start(key, a), s.wait
	s.mu.Unlock()
	if p == nil {
		return Answer{Text: "too many addresses wait for verification"}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok = s.known[key]; ok {
		return Answer{Status: e.Status, Code: e.code, Text: e.text}
	}
	return Answer{Text: "address verification is in progress"}
}

// start begins a probe, or finds the one that is on its way; nil when there
// are too many. s.mu is held.
func (s *Service) start(key string, a addr.Address) *probe {
	if p := s.running[key]; p != nil {
		return p
	}
	p := &probe{key, a, make(chan struct{})}
	select {
	case s.jobs <- p:
		s.running[key] = p
		return p
	default:
		return nil
	}
}

// settle files the answer of a probe.
func (s *Service) settle(p *probe, got Answer) {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, p.key)
	old, ok := s.known[p.key]
	good := ok && old.Status == Deliverable && !s.times.expired(old, now)
	if got.Status == Unknown || got.Status != Deliverable && (good || s.times.NoNegative) {
		return
	}
	if !ok && len(s.known) >= s.cfg.Max {
		s.forget(now)
	}
	s.changed = true
	s.known[p.key] = entry{Status: got.Status, probed: now, updated: now, code: got.Code, text: oneLine(got.Text)}
}

// forget makes room: what is too old goes, and if that is not enough, any.
// s.mu is held.
func (s *Service) forget(now time.Time) {
	for key, e := range s.known {
		if s.times.expired(e, now) {
			delete(s.known, key)
		}
	}
	for key := range s.known {
		if len(s.known) < s.cfg.Max-s.cfg.Max/10 {
			return
		}
		delete(s.known, key)
	}
}
