package service

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
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

// Exit codes, after sysexits(3) as Postfix and systemd units use them.
const (
	ExitOK     = 0
	ExitUsage  = 64
	ExitFailed = 75 // temporary: worth another start
	ExitConfig = 78 // only an edit helps
)

// Main runs the command line and returns the exit code.
func Main(app App) int {
	fmt.Fprintln(os.Stderr, app.Name+": not runnable")
	return ExitFailed
}
