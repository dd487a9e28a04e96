package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/postcote/postcote/test/bench/peer"
)

// figure is a column: a number to compare, and whether more of it is better.
type figure struct {
	name  string
	of    func(Result) float64 // 0: not measured
	text  func(float64) string
	times bool // the ratio reads "2.1x"; otherwise as a fraction of the peer's
}

func figures() []figure {
	return []figure{
		{"rate", func(r Result) float64 { return perSecond(r) }, func(v float64) string { return fmt.Sprintf("%.0f/s", v) }, true},
		{"CPU/op", func(r Result) float64 { return perOp(r.CPU, r.Ops) }, micros, false},
		{"p50", func(r Result) float64 { return float64(r.P50) / 1e3 }, micros, false},
		{"p99", func(r Result) float64 { return float64(r.P99) / 1e3 }, micros, false},
		{"memory", func(r Result) float64 { return float64(r.Memory) }, func(v float64) string { return fmt.Sprintf("%.0f MiB", v/(1<<20)) }, false},
		{"each", func(r Result) float64 { return float64(r.Each) }, func(v float64) string { return fmt.Sprintf("%.1f KiB", v/1024) }, false},
	}
}

func perSecond(r Result) float64 {
	if r.Ops == 0 || r.Wall == 0 {
		return 0
	}
	return float64(r.Ops) / r.Wall.Seconds()
}

// perOp is in microseconds.
func perOp(d time.Duration, ops int) float64 {
	if ops == 0 {
		return 0
	}
	return float64(d) / 1e3 / float64(ops)
}

func micros(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.1f ms", v/1000)
	}
	return fmt.Sprintf("%.1f us", v)
}

// Goals are what the figures of a scenario should come to, by their names.
type Goals map[string]Goal

// Goal is a ratio to the peer's figure, or a value in the figure's own unit
// (microseconds, bytes) that ours should not be above.
type Goal struct {
	Ratio float64 // 3 is three times as much, 0.25 a quarter
	Most  float64
}

// Times is so many times as much as the peer.
func Times(n float64) Goal { return Goal{Ratio: n} }

// Part is an n-th of what the peer has.
func Part(n float64) Goal { return Goal{Ratio: 1 / n} }

// MostTime is a time of ours.
func MostTime(d time.Duration) Goal { return Goal{Most: float64(d) / 1e3} }

// MostBytes is memory of ours.
func MostBytes(n float64) Goal { return Goal{Most: n} }

// verdict says what the goal is and whether it was met.
func (g Goal) verdict(f figure, medians []float64) string {
	peer, ours := medians[0], medians[len(medians)-1]
	text, met := "", false
	switch {
	case g.Most > 0:
		text, met = "at most "+f.text(g.Most), ours <= g.Most
	case g.Ratio == 0:
		return ""
	case f.times:
		text, met = fmt.Sprintf("%.3gx", g.Ratio), ours >= g.Ratio*peer
	case g.Ratio < 1:
		text, met = fmt.Sprintf("1/%.3g", 1/g.Ratio), ours <= g.Ratio*peer
	default:
		text, met = fmt.Sprintf("%.3gx", g.Ratio), ours <= g.Ratio*peer
	}
	switch {
	case ours == 0 || g.Most == 0 && (peer == 0 || len(medians) < 2):
		return text
	case met:
		return text + ", met"
	}
	return text + ", missed"
}

// report prints the medians of each scenario, of ours (the last target) the
// ratio to the first, and the goal.
func report(w io.Writer, s Suite, targets []*peer.Server, all table) {
	tw := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "%s\tfigure", s.Name)
	for _, t := range targets {
		fmt.Fprintf(tw, "\t%s", t.Name)
	}
	fmt.Fprintln(tw, "\tratio\tgoal")
	for i, sc := range s.Scenarios {
		name := sc.Name
		for _, f := range figures() {
			medians := make([]float64, len(targets))
			for j := range targets {
				medians[j] = medianOf(all[i][j], f.of)
			}
			if slices.Max(medians) == 0 {
				continue
			}
			fmt.Fprintf(tw, "%s\t%s", name, f.name)
			name = ""
			for _, m := range medians {
				fmt.Fprintf(tw, "\t%s", f.text(m))
			}
			fmt.Fprintf(tw, "\t%s\t%s\n", ratio(medians, f.times), sc.Goals[f.name].verdict(f, medians))
		}
	}
	_ = tw.Flush()
}

func ratio(medians []float64, times bool) string {
	peer, ours := medians[0], medians[len(medians)-1]
	switch {
	case len(medians) < 2 || peer == 0 || ours == 0:
		return "-"
	case times || ours > peer:
		return fmt.Sprintf("%.2fx", ours/peer)
	}
	return fmt.Sprintf("1/%.1f", peer/ours)
}

func medianOf(rs []Result, of func(Result) float64) float64 {
	var v []float64
	for _, r := range rs {
		if x := of(r); x != 0 {
			v = append(v, x)
		}
	}
	return middle(v)
}

func middle[T cmp.Ordered](v []T) T {
	var zero T
	if len(v) == 0 {
		return zero
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func percentile(v []time.Duration, p float64) time.Duration {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[min(int(p*float64(len(v))), len(v)-1)]
}
