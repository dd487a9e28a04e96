package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// suites in the order in which they are run.
func suites() []Suite { return []Suite{authSuite()} }

func main() {
	var names []string
	for _, s := range suites() {
		names = append(names, s.Name)
	}
	only := flag.String("suite", strings.Join(names, ","), "suites to run, separated by commas")
	reps := flag.Int("reps", 3, "repetitions")
	scale := flag.Float64("scale", 1, "how much work, as a factor")
	scenario := flag.String("scenario", "", "only scenarios whose name contains this")
	bin := flag.String("bin", "./bin", "folder of our binaries")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, strings.Split(*only, ","), Options{Reps: max(*reps, 1), Scale: *scale, Bin: *bin, Scenario: *scenario}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only []string, o Options) error {
	for _, s := range suites() {
		if !slices.Contains(only, s.Name) {
			continue
		}
		if err := runSuite(ctx, s, o); err != nil {
			return fmt.Errorf("suite %s: %w", s.Name, err)
		}
	}
	return nil
}
