package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/postcote/postcote/test/bench/peer"
)

// Growth is a cost that should not depend on how much there is of something.
type Growth struct {
	Name  string
	Sizes [3]int  // at scale 1, each ten times as much as the one before
	Most  float64 // what the cost at the last one may be, as a ratio to that at the first
	// Grow makes it so much, from the size before. Run does about n operations.
	Grow func(ctx context.Context, t *peer.Server, size int) error
	Run  func(ctx context.Context, t *peer.Server, size, n int) (Result, error)
	N    int
}

// curve is the CPU of one operation at each size, in microseconds.
type curve [3]float64

// grow measures all rows, each at all of its sizes, against ours alone.
func grow(ctx context.Context, s Suite, t *peer.Server, o Options) error {
	curves := make([]curve, len(s.Rows))
	defer func() { reportGrowth(os.Stdout, s, curves) }()
	for i, g := range s.Rows {
		for k := range g.Sizes {
			g.Sizes[k] = max(int(float64(g.Sizes[k])*o.Scale), 1)
		}
		s.Rows[i] = g
		for k, size := range g.Sizes {
			fmt.Fprintf(os.Stderr, "%s: %s, %d\n", s.Name, g.Name, size)
			if err := g.Grow(ctx, t, size); err != nil {
				return fmt.Errorf("%s, making it %d: %w", g.Name, size, err)
			}
			var results []Result
			for range o.Reps {
				r, err := steady(g.N, func(n int) (Result, error) { return g.Run(ctx, t, size, n) })
				if err != nil {
					return fmt.Errorf("%s, %d: %w", g.Name, size, err)
				}
				results = append(results, r)
			}
			curves[i][k] = medianOf(results, func(r Result) float64 { return perOp(r.CPU, r.Ops) })
		}
	}
	return nil
}

// reportGrowth prints the cost at each size and how it grows.
func reportGrowth(w io.Writer, s Suite, curves []curve) {
	tw := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "%s\tsizes\tCPU/op\t10x\t100x\tslope\tgoal\n", s.Name)
	for i, g := range s.Rows {
		c := curves[i]
		verdict := fmt.Sprintf("%.3gx", g.Most)
		slope := "-"
		if c[0] > 0 {
			slope = fmt.Sprintf("%.2fx", c[2]/c[0])
			if c[2] <= g.Most*c[0] {
				verdict += ", met"
			} else {
				verdict += ", missed"
			}
		}
		fmt.Fprintf(tw, "%s\t%d to %d\t%s\t%s\t%s\t%s\t%s\n", g.Name, g.Sizes[0], g.Sizes[2], micros(c[0]), micros(c[1]), micros(c[2]), slope, verdict)
	}
	_ = tw.Flush()
}
