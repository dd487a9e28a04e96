package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/test/bench/peer"
)

// Options of a run.
type Options struct {
	Suites   []string
	Reps     int
	Scale    float64
	Messages int    // in the mailbox of imap_big
	Deferred int    // in the queue of growth, at the end
	Bin      string // folder of our binaries
	Keep     bool   // leave the folder of a suite
	Scenario string // only those whose name contains it
}

// Suite compares programs that do the same.
type Suite struct {
	Name string
	// Start starts the servers in dir, the peer first; ours is the last one.
	Start     func(ctx context.Context, dir string, o Options) ([]*peer.Server, error)
	Scenarios []Scenario
	Rows      []Growth // or costs that should not grow
}

// Scenario is one kind of work. Run does about n operations; seq numbers the
// runs against this server, for work that must not come twice.
type Scenario struct {
	Name  string
	N     int // operations at scale 1
	Goals Goals
	Run   func(ctx context.Context, t *peer.Server, n, seq int) (Result, error)
}

// Result is what one run gave. Only what a scenario measures is set.
type Result struct {
	Ops    int
	Wall   time.Duration // 0: the rate says nothing
	CPU    time.Duration // of the server's process trees
	P50    time.Duration
	P99    time.Duration
	Memory int64 // bytes of the server's process trees
	Each   int64 // bytes that each connection added
}

// table[scenario][target] are the results of the repetitions.
type table [][][]Result

func runSuite(ctx context.Context, s Suite, o Options) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	if o.Keep {
		fmt.Fprintln(os.Stderr, "folder:", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // peers run as other users
		return err
	}
	targets, err := s.Start(ctx, dir, o)
	defer func() {
		for _, t := range targets {
			t.Stop()
		}
	}()
	if err != nil {
		return err
	}
	if s.Rows != nil {
		s.Rows = slices.DeleteFunc(slices.Clone(s.Rows), func(g Growth) bool { return !strings.Contains(g.Name, o.Scenario) })
		return grow(ctx, s, targets[len(targets)-1], o)
	}
	s.Scenarios = slices.DeleteFunc(slices.Clone(s.Scenarios), func(sc Scenario) bool { return !strings.Contains(sc.Name, o.Scenario) })
	all := make(table, len(s.Scenarios))
	for i := range all {
		all[i] = make([][]Result, len(targets))
	}
	defer func() { report(os.Stdout, s, targets, all) }() // what there is, when it was interrupted
	for rep := range o.Reps {
		for i, sc := range s.Scenarios {
			for j, t := range targets {
				fmt.Fprintf(os.Stderr, "%s, repetition %d of %d: %s, %s\n", s.Name, rep+1, o.Reps, sc.Name, t.Name)
				n := max(int(float64(sc.N)*o.Scale), 1)
				r, err := sc.Run(ctx, t, n, rep)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", sc.Name, t.Name, err)
				}
				all[i][j] = append(all[i][j], r)
			}
		}
	}
	return nil
}

// enough is how long a run takes at least: the kernel counts CPU time in steps of
// 10 ms.
const enough = 500 * time.Millisecond

// steady repeats a run with more work until it takes long enough to count.
func steady(n int, run func(n int) (Result, error)) (Result, error) {
	for {
		r, err := run(n)
		if err != nil || r.Wall >= enough {
			return r, err
		}
		n *= 2 + int(min(enough/max(r.Wall, 1), 100))
	}
}

// measure takes the time and the server's CPU that work costs.
func measure(t *peer.Server, work func() (ops int, latencies []time.Duration, err error)) (Result, error) {
	cpu, err := t.CPU()
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	ops, latencies, err := work()
	if err != nil {
		return Result{}, err
	}
	r := Result{Ops: ops, Wall: time.Since(began)}
	after, err := t.CPU()
	r.CPU = after - cpu
	r.P50, r.P99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
	return r, err
}
