package service

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// serve is the life of a daemon, in this order. Until the log is open, errors
// go to standard error; then they go to the log.
func (p *process) serve(ctx context.Context, file string) error {
	if err := p.refuseRoot(); err != nil {
		return &exitError{ExitFailed, err}
	}
	signals := p.signals()
	// Mail is shared by group vmail; nothing is for others (docs/security.md).
	unix.Umask(0o007)

	role, cfg, err := p.load(file)
	if err != nil {
		return &exitError{ExitConfig, err}
	}
	common, err := commonOf(cfg)
	if err != nil {
		return &exitError{ExitConfig, err}
	}

	log, err := obs.New(common.Log, role.Name)
	if err != nil {
		return &exitError{ExitFailed, err}
	}
	defer log.Close()

	rt := p.runtime(role, file, common)
	rt.Log = log
	rt.Metrics = obs.NewMetrics(role.Name, rt.Version)
	rt.Metrics.CounterFunc("postcote_log_lines_lost_total", "Log lines that could not be written.", func() float64 { return float64(log.Lost()) })

	ctx, cancel := context.WithCancel(ctx)
	defer rt.background.Wait() // so that the control socket's file is removed
	defer cancel()
	if err := p.open(ctx, rt, common); err != nil {
		return rt.failed("cannot start", err)
	}
	rt.background.Go(func() { keepHeadroom(ctx, uint64(common.Memory.Headroom)) })
	rt.background.Go(func() { keepSmall(ctx) })
	logStart(rt)
	return (&supervisor{process: p, rt: rt, role: role, started: cfg, current: cfg, signals: signals}).run(ctx)
}

// open takes what only the start may take: inherited descriptors, the control
// and metrics listeners; then the right to start programs is given up.
func (p *process) open(ctx context.Context, rt *Runtime, common *Common) (err error) {
	if rt.inherited, err = p.inherited(); err != nil {
		return fail.Wrap(fail.Temporary, err, "inherited descriptors")
	}
	if err := rt.serveControl(ctx, common.Control); err != nil {
		return fail.Wrap(fail.Temporary, err, "control.listen")
	}
	if err := rt.serveMetrics(ctx, common.Metrics); err != nil {
		return fail.Wrap(fail.Temporary, err, "metrics.listen")
	}
	return fail.Wrap(fail.Temporary, p.confine(), "give up the right to start programs")
}

// refuseRoot: no daemon needs root, so one that has it was started wrongly.
func (p *process) refuseRoot() error {
	if p.uid == 0 && p.getenv("POSTCOTE_ALLOW_ROOT") != "1" {
		return fail.New(fail.Denied, "refusing to run as root; start the unit of systemd, or run it as its own user: runuser -u %s -- %s serve", p.app.Name, p.app.Name)
	}
	return nil
}

func (p *process) runtime(role Role, file string, common *Common) *Runtime {
	rt := &Runtime{
		Name: role.Name, Version: p.app.version(), ConfigFile: file, Now: time.Now,
		FS:         disk.OS(),
		drain:      common.Shutdown.Timeout.Std(),
		started:    time.Now(),
		onTerminal: common.Log.Target == "stderr" && common.Log.Style != "journald",
		reloads:    make(chan reloadRequest),
	}
	if point := p.getenv("POSTCOTE_CRASH_POINT"); point != "" {
		rt.FS = disk.OSWithCrash(point)
	}
	rt.ready = func() {
		p.notify("READY=1")
		rt.Log.Info("ready")
	}
	return rt
}

// failed logs the end of the daemon; standard error hears of it too, once.
func (rt *Runtime) failed(what string, err error) error {
	rt.Log.Error(what, obs.Err(err))
	if rt.onTerminal {
		return &exitError{code: ExitFailed}
	}
	return &exitError{ExitFailed, err}
}

// logStart tells what the Go runtime made of the machine and its cgroup.
func logStart(rt *Runtime) {
	memory := slog.String("memory_limit", "none")
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		memory = slog.Int64("memory_limit", limit)
	}
	rt.Log.Info("starting", slog.String("version", rt.Version), slog.Int("pid", os.Getpid()), slog.String("config", rt.ConfigFile),
		slog.Int("gomaxprocs", runtime.GOMAXPROCS(0)), memory)
}

// serveControl answers the control socket until ctx is done.
func (rt *Runtime) serveControl(ctx context.Context, c Control) error {
	rt.addVerbs()
	if c.Listen.Address == "" {
		return nil
	}
	l, err := rt.Listen(c.Listen)
	if err != nil {
		return err
	}
	rt.control.AdminGroup, rt.control.Log = c.AdminGroup, rt.Log
	rt.background.Go(func() {
		if err := rt.control.Serve(ctx, l); err != nil {
			rt.Log.Error("control socket ended", obs.Err(err))
		}
	})
	return nil
}

// maxScrapers caps connections to the metrics listener.
const maxScrapers = 32

// serveMetrics answers the metrics listener until ctx is done.
func (rt *Runtime) serveMetrics(ctx context.Context, m Metrics) error {
	if m.Listen.Address == "" {
		return nil
	}
	l, err := rt.Listen(m.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           rt.Metrics.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	context.AfterFunc(ctx, func() { server.Close() })
	rt.background.Go(func() {
		if err := server.Serve(netutil.LimitListener(l, maxScrapers)); err != nil && ctx.Err() == nil {
			rt.Log.Error("metrics listener ended", obs.Err(err))
		}
	})
	return nil
}
