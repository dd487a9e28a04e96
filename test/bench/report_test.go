package main

import (
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/test/bench/peer"
)

func TestMiddle(t *testing.T) {
	for _, tc := range []struct {
		of   []float64
		want float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{1, 100}, 100}, // of two the greater: no figure that was not measured
		{[]float64{4, 1, 3, 2}, 3},
	} {
		if got := middle(tc.of); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.of, got, tc.want)
		}
	}
}

// Runs that did not measure a figure do not count.
func TestMedianOf(t *testing.T) {
	cpu := func(r Result) float64 { return perOp(r.CPU, r.Ops) }
	runs := []Result{{Ops: 10, CPU: 100 * time.Microsecond}, {}, {Ops: 10, CPU: 300 * time.Microsecond}, {Ops: 10, CPU: 200 * time.Microsecond}}
	if got := medianOf(runs, cpu); got != 20 {
		t.Errorf("%v us", got)
	}
	if got := medianOf(nil, cpu); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for _, tc := range []struct {
		of   []time.Duration
		p    float64
		want time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.99, 7},
		{hundred, 0.5, 51},
		{hundred, 0.99, 100},
		{hundred, 1, 100},
	} {
		if got := percentile(tc.of, tc.p); got != tc.want {
			t.Errorf("%v of %d: %d, want %d", tc.p, len(tc.of), got, tc.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("the latencies were sorted in place")
	}
}

func TestPerSecondAndPerOp(t *testing.T) {
	for _, tc := range []struct {
		r          Result
		rate, cost float64
	}{
		{Result{}, 0, 0},
		{Result{Ops: 10}, 0, 0},
		{Result{Wall: time.Second, CPU: time.Second}, 0, 0},
		{Result{Ops: 10, Wall: 2 * time.Second, CPU: time.Millisecond}, 5, 100},
	} {
		if rate, cost := perSecond(tc.r), perOp(tc.r.CPU, tc.r.Ops); rate != tc.rate || cost != tc.cost {
			t.Errorf("%+v: %v/s, %v us", tc.r, rate, cost)
		}
	}
}

func TestRatio(t *testing.T) {
	for _, tc := range []struct {
		medians []float64 // the peer's first, ours last
		times   bool
		want    string
	}{
		{[]float64{100}, true, "-"},
		{[]float64{0, 100}, true, "-"},
		{[]float64{100, 0}, false, "-"},
		{[]float64{100, 250}, true, "2.50x"},
		{[]float64{100, 50}, true, "0.50x"},
		{[]float64{100, 25}, false, "1/4.0"},
		{[]float64{100, 150}, false, "1.50x"},
		{[]float64{100, 7, 50}, false, "1/2.0"},
	} {
		if got := ratio(tc.medians, tc.times); got != tc.want {
			t.Errorf("%v, times %v: %s, want %s", tc.medians, tc.times, got, tc.want)
		}
	}
}

// A table has a line for each figure that somebody measured, the name of the
// scenario on its first.
func TestReport(t *testing.T) {
	s := Suite{Name: "auth", Scenarios: []Scenario{{Name: "logins", Goals: Goals{"rate": Times(3), "CPU/op": Part(2), "p99": MostTime(20 * time.Millisecond)}}, {Name: "idle"}}}
	targets := []*peer.Server{{Name: "peer"}, {Name: "ours"}}
	run := func(ops int, cpu time.Duration) Result {
		return Result{Ops: ops, Wall: time.Second, CPU: cpu, P50: 50 * time.Microsecond, P99: 20 * time.Millisecond}
	}
	all := table{
		{{run(100, 10*time.Millisecond), run(300, 30*time.Millisecond), run(200, 20*time.Millisecond)}, {run(400, 20*time.Millisecond)}},
		{{{Memory: 4 << 20, Each: 2048}}, {{Memory: 2 << 20, Each: 1024}}},
	}
	var out strings.Builder
	report(&out, s, targets, all)
	want := `
auth    figure  peer      ours     ratio  goal
logins  rate    200/s     400/s    2.00x  3x, missed
        CPU/op  100.0 us  50.0 us  1/2.0  1/2, met
        p50     50.0 us   50.0 us  1/1.0  
        p99     20.0 ms   20.0 ms  1/1.0  at most 20.0 ms, met
idle    memory  4 MiB     2 MiB    1/2.0  
        each    2.0 KiB   1.0 KiB  1/2.0  
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}
