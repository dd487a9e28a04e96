package service

import (
	"context"
	"log/slog"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/control"
)

// Reloaded is the answer of the verb RELOAD.
type Reloaded struct {
	Applied []string `json:"applied"`       // keys whose change is in force
	Restart []string `json:"needs_restart"` // keys whose change waits for a restart
}

// reloadRequest asks the supervisor's loop for a reload, so that there is one
// at a time.
type reloadRequest struct{ done chan reloadResult }

type reloadResult struct {
	Reloaded
	err error
}

// requestReload is the verb RELOAD.
func (rt *Runtime) requestReload(ctx context.Context) (Reloaded, error) {
	r := reloadRequest{make(chan reloadResult, 1)}
	select {
	case rt.reloads <- r:
	case <-ctx.Done():
		return Reloaded{}, ctx.Err()
	}
	select {
	case result := <-r.done:
		return result.Reloaded, result.err
	case <-ctx.Done():
		return Reloaded{}, ctx.Err()
	}
}

// reload reads the configuration again. A bad one changes nothing; sessions
// go on in either case.
func (s *supervisor) reload() reloadResult {
	s.notify("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonic(), 10))
	defer s.notify("READY=1")
	if err := s.rt.Log.Reopen(); err != nil {
		s.rt.Log.Error("cannot open the log again", obs.Err(err))
	}
	cfg, err := s.loadAgain()
	if err != nil {
		s.rt.Log.Error("configuration not reloaded", obs.Err(err))
		return reloadResult{err: err}
	}
	result := s.apply(cfg)
	s.rt.Log.Info("configuration reloaded", slog.Any("applied", result.Applied), slog.Any("needs_restart", result.Restart))
	return result
}

func (s *supervisor) loadAgain() (any, error) {
	role, cfg, err := s.load(s.rt.ConfigFile)
	if err == nil && role.Name != s.role.Name {
		err = fail.New(fail.Invalid, "the role changed from %s to %s, which needs a restart", s.role.Key, role.Key)
	}
	return cfg, fail.Wrap(fail.Invalid, err, "")
}

// apply hands the new configuration to the hooks. What cannot be changed in a
// running daemon is compared with the configuration it started with, so that
// it is named again at every reload until the restart.
func (s *supervisor) apply(cfg any) reloadResult {
	result := reloadResult{Reloaded: Reloaded{Applied: []string{}, Restart: []string{}}}
	for _, c := range conf.Changes(s.started, cfg) {
		if !c.Reload {
			result.Restart = append(result.Restart, c.Key)
		}
	}
	for _, c := range conf.Changes(s.current, cfg) {
		if c.Reload {
			result.Applied = append(result.Applied, c.Key)
		}
	}
	s.current = cfg
	if common, err := commonOf(cfg); err == nil {
		s.rt.Log.SetLevel(common.Log.Level)
		s.rt.setDrain(common.Shutdown.Timeout.Std())
	}
	s.rt.mu.Lock()
	hooks := append([]func(any) error(nil), s.rt.reload...)
	s.rt.mu.Unlock()
	for _, hook := range hooks {
		if err := hook(cfg); err != nil {
			s.rt.Log.Error("a part of the configuration was not taken over", obs.Err(err))
			result.err = err
		}
	}
	return result
}

// monotonic is the time that systemd compares, see sd_notify(3).
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano() / 1000
}

func (p *process) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the running daemon read its configuration again",
		Long: "Makes the running daemon read its configuration again, as SIGHUP does, and tells what came of it: the changed " +
			"keys that are in force now, and those that wait for a restart. A configuration with mistakes changes nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(ctx context.Context, c *control.Client) error {
				var r Reloaded
				if err := c.One(ctx, &r, "RELOAD"); err != nil {
					return err
				}
				for _, key := range r.Applied {
					cmd.Println("applied:", key)
				}
				for _, key := range r.Restart {
					cmd.Println("needs a restart:", key)
				}
				return nil
			})
		},
	}
}
