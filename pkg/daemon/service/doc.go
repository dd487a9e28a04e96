// Package service is what the four daemons share: the command skeleton, the
// configuration sections common to all, start-up, signals, readiness, logs,
// the metrics and control listeners.
//
// A daemon supplies an App; its main is one line, os.Exit(service.Main(app)).
//
// Invariants: nothing runs as root; a mistake in the configuration ends the
// start with exit code 78 before anything is opened, any other failure to
// start with 75; SIGTERM drains for at most `shutdown.timeout`, a second one
// ends at once; SIGHUP never ends a session and a bad new configuration
// leaves the old one in force.
//
// Reading order: app.go (App, Main), commands.go (the command line), common.go
// (shared configuration), start.go (the order of start-up), runtime.go (what
// Run gets), supervise.go (signals, draining), reload.go, status.go, check.go
// and access.go (paths under the sandbox), sandbox.go (no exec), headroom.go and
// quiet.go (when the collector runs).
package service
