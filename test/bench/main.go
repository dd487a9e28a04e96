package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// suites in the order in which they are run.
func suites() []Suite {
	return []Suite{authSuite(), smtpSuite(), lmtpSuite(), flowSuite(), imapSmallSuite(), imapFreshSuite(), pop3Suite(), imapBigSuite(), idleSuite(), hostileSuite(), growthSuite()}
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parse reads the command line.
func parse(args []string) (Options, error) {
	var names []string
	for _, s := range suites() {
		names = append(names, s.Name)
	}
	var o Options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := fs.String("suite", strings.Join(names, ","), "suites to run, separated by commas")
	fs.IntVar(&o.Reps, "reps", 2, "repetitions")
	fs.Float64Var(&o.Scale, "scale", 0.5, "how much work, as a factor")
	fs.BoolVar(&o.Keep, "keep", false, "leave the servers' folders and logs")
	fs.IntVar(&o.Messages, "messages", 20000, "messages in the mailbox of imap_big")
	fs.IntVar(&o.Deferred, "deferred", 50000, "deferred messages in growth, 2 KB of disk each")
	fs.StringVar(&o.Scenario, "scenario", "", "only scenarios, or rows of growth, whose name contains this")
	fs.StringVar(&o.Bin, "bin", "./bin", "folder of our binaries")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.Suites = strings.Split(*only, ",")
	for _, name := range o.Suites {
		if !slices.Contains(names, name) {
			return o, fmt.Errorf("there is no suite %q, only %s", name, strings.Join(names, ", "))
		}
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("what is %q?", fs.Arg(0))
	case o.Reps < 1 || o.Scale <= 0 || o.Messages < 1 || o.Deferred < 1:
		return o, errors.New("-reps, -scale, -messages and -deferred must be above 0")
	}
	return o, nil
}

func run(ctx context.Context, o Options) error {
	for _, s := range suites() {
		if !slices.Contains(o.Suites, s.Name) {
			continue
		}
		if err := runSuite(ctx, s, o); err != nil {
			return fmt.Errorf("suite %s: %w", s.Name, err)
		}
	}
	return nil
}
