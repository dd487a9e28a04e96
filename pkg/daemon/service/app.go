package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// App is what a daemon supplies.
type App struct {
	Name    string // "mtad"; names the binary, logs, metrics and files
	Short   string // one line for the help
	Long    string // what it does, for help and manual
	Version string // set by main from the linker; empty takes the build info

	// Config returns a pointer to a fresh configuration preset with defaults;
	// the struct embeds Common.
	Config func() any
	// Run builds everything, calls rt.Ready, serves until ctx is done, drains
	// within rt.Drain and returns. cfg is what Config made, loaded. An error
	// before Ready is a failed start.
	Run func(ctx context.Context, rt *Runtime, cfg any) error

	// Paths, if not nil, lists the paths that a loaded configuration names
	// where no tag can say so. It is for the verb check.
	Paths func(cfg any) []conf.PathUse

	// Check, if not nil, looks for mistakes in a loaded configuration that
	// reading it does not show, without connecting or changing anything. Notes
	// are what an operator should know. It is for the verb check.
	Check func(cfg any) (notes []string, err error)

	// Roles replaces Config and Run in a binary with several roles; the key
	// `role` of the configuration file picks one.
	Roles []Role

	// Commands are the daemon's own verbs. Their Run functions reach the
	// configuration and the running daemon by ConfigPath, LoadConfig and Dial.
	Commands []*cobra.Command
}

// Role is one way of running a binary. Its configuration struct has a field
// `role` preset with Key.
type Role struct {
	Key    string // value of `role` in the file
	Name   string // "imapd-login"; names logs, metrics and the default file
	Short  string
	Config func() any
	Run    func(ctx context.Context, rt *Runtime, cfg any) error
}

// AllRoles lists the roles of a, one of the App's own name when it has none.
func (a App) AllRoles() []Role {
	if len(a.Roles) > 0 {
		return a.Roles
	}
	return []Role{{Name: a.Name, Short: a.Short, Config: a.Config, Run: a.Run}}
}

// Exit codes, after sysexits(3) as Postfix and systemd units use them.
const (
	ExitOK     = 0
	ExitError  = 1 // of an administrative command
	ExitUsage  = 64
	ExitFailed = 75 // temporary: worth another start
	ExitConfig = 78 // only an edit helps
)

// process is one run of a binary. Its fields are what it touches of the
// system around it; tests bring their own.
type process struct {
	app       App
	stdout    io.Writer
	stderr    io.Writer
	getenv    func(string) string
	uid       int
	signals   func() <-chan os.Signal // from now on they come here
	grace     time.Duration           // beyond the drain limit, to close files
	notify    func(state string)
	exit      func(code int)
	inherited func() (*netx.Inherited, error)
	confine   func() error

	ran bool // a command began, so that an error is none of usage
}

// Main runs the command line and returns the exit code.
func Main(app App) int {
	p := &process{
		app:     app,
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		getenv:  os.Getenv,
		uid:     os.Getuid(),
		signals: catchSignals,
		grace:   5 * time.Second,
		// A manager that is not there or does not listen changes nothing.
		notify:    func(state string) { _, _ = daemon.SdNotify(false, state) },
		exit:      os.Exit,
		inherited: netx.InheritedFDs,
		confine:   forbidExec,
	}
	return p.main(context.Background(), os.Args[1:])
}

func catchSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	// Without this a log reader that goes away would end the daemon.
	signal.Ignore(syscall.SIGPIPE)
	return signals
}

func (p *process) main(ctx context.Context, args []string) int {
	root := p.command()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(context.WithValue(ctx, processKey{}, p))
	var end *exitError
	if err != nil && !errors.As(err, &end) {
		end = &exitError{p.codeOf(err), err}
	}
	switch {
	case end == nil:
		return ExitOK
	case end.err != nil:
		fmt.Fprintf(p.stderr, "%s: %v\n", p.app.Name, end.err)
	}
	return end.code
}

// exitError ends the process with a code; without err all is said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// codeOf gives the error of a command an exit code.
func (p *process) codeOf(err error) int {
	var problems conf.Problems
	switch {
	case errors.As(err, &problems):
		return ExitConfig
	case !p.ran || fail.Is(err, fail.Invalid):
		return ExitUsage
	case fail.Is(err, fail.Unavailable):
		return ExitFailed
	default:
		return ExitError
	}
}

// version is the linker's word, or what the module system recorded.
func (a App) version() string {
	if a.Version != "" {
		return a.Version
	}
	return buildVersion()
}
