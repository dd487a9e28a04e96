package service

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// supervisor runs a role and answers signals.
type supervisor struct {
	*process
	rt      *Runtime
	role    Role
	started any // the configuration that Run got
	current any // the latest one that was loaded

	signals <-chan os.Signal
	stop    context.CancelFunc
	limit   <-chan time.Time // set while stopping
}

// run returns when the role has ended, or when it has not done so in time.
func (s *supervisor) run(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	s.stop = cancel
	watchdog, stopWatchdog := s.watchdog()
	defer stopWatchdog()
	ended := make(chan error, 1)
	go func() { ended <- s.role.Run(ctx, s.rt, s.started) }()
	gone := parent.Done()
	for {
		select {
		case err := <-ended:
			return s.end(err)
		case <-s.limit:
			s.rt.Log.Error("open sessions did not end in time", slog.Duration("limit", s.rt.Drain()))
			return &exitError{code: ExitFailed}
		case <-watchdog:
			s.notify("WATCHDOG=1")
		case r := <-s.rt.reloads:
			r.done <- s.reload()
		case <-gone:
			gone = nil
			s.stopping("context")
		case sig := <-s.signals:
			s.signal(sig)
		}
	}
}

func (s *supervisor) signal(sig os.Signal) {
	switch {
	case sig == syscall.SIGHUP && s.limit == nil:
		s.reload()
	case sig == syscall.SIGHUP:
	case s.limit != nil:
		s.rt.Log.Warn("second signal, ending at once", slog.String("signal", sig.String()))
		s.exit(ExitFailed)
	default:
		s.stopping(sig.String())
	}
}

// stopping ends the context of Run and sets the limit for what is open.
func (s *supervisor) stopping(why string) {
	s.notify("STOPPING=1")
	s.rt.Log.Info("stopping", slog.String("signal", why), slog.Duration("limit", s.rt.Drain()))
	s.limit = time.After(s.rt.Drain() + s.grace)
	s.stop()
}

// end turns the result of Run into that of the process.
func (s *supervisor) end(err error) error {
	switch {
	case s.limit != nil && (err == nil || errors.Is(err, context.Canceled)):
		s.rt.Log.Info("stopped")
		return nil
	case err == nil:
		err = fail.New(fail.Permanent, "it ended without being told to")
	}
	what := "failed"
	if !s.rt.IsReady() {
		what = "cannot start"
	}
	return s.rt.failed(what, err)
}

// watchdog ticks twice per interval of WatchdogSec=, never without it.
func (s *supervisor) watchdog() (<-chan time.Time, func()) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(interval / 2)
	return t.C, t.Stop
}
