package authd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postcote/postcote/pkg/daemon/authd/authcmd"
	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/daemon/authd/drivers"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/identity/cache"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/identity/slots"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
)

// App is the daemon for service.Main.
func App() service.App {
	return service.App{
		Name:  "authd",
		Short: "Postcote's authentication daemon: who somebody is, and whether the password is right",
		Long: "authd answers Dovecot's authentication protocols on Unix sockets: it checks passwords for mtad, imapd, Postfix and Exim,\n" +
			"says where a user's mail is to deliverd and imapd, and lets imapd's session role redeem the logins of its login role.",
		Config: func() any { c := authconf.Default(); return &c },
		Run: func(ctx context.Context, rt *service.Runtime, cfg any) error {
			return Run(ctx, rt, cfg.(*authconf.Config))
		},
		Check:    check,
		Commands: authcmd.Commands(),
	}
}

// check makes the databases without asking them.
func check(cfg any) (notes []string, err error) {
	exists := func(context.Context, *request.Request) error { return fail.New(fail.Unavailable, "nothing is asked") }
	set, err := drivers.Build(cfg.(*authconf.Config), nil, drivers.Deps{Now: time.Now, Exists: exists, Dry: true})
	if err != nil {
		return nil, err
	}
	defer set.CloseUnless(nil)
	return set.Notes(nil), nil
}

// daemon is what all connections share.
type daemon struct {
	state   atomic.Pointer[state]
	log     *obs.Logger
	metrics metrics
	server  *authserver.Server
	recent  throttle.Recent
	now     func() time.Time
	host    string // our name, in challenges
	pid     uint32
	started time.Time

	old sync.WaitGroup // states that are about to be given up
}

// trouble logs a fault that cost one request only.
func (d *daemon) trouble(err error) {
	if !errors.As(err, new(logged)) {
		d.log.Log(trouble{err})
	}
}

// Run serves until ctx is done and running requests have ended.
func Run(ctx context.Context, rt *service.Runtime, cfg *authconf.Config) error {
	pool, stop := startSlots(rt, cfg)
	defer stop()
	d := &daemon{log: rt.Log, metrics: newMetrics(rt.Metrics), now: rt.Now, pid: uint32(os.Getpid())}
	if d.now == nil {
		d.now = time.Now
	}
	d.started = d.now()
	d.host, _ = os.Hostname() // without one challenges are as good
	if err := d.load(ctx, rt, cfg, pool); err != nil {
		return err
	}
	defer func() {
		d.old.Wait()
		d.state.Load().close(nil)
	}()
	d.server = authserver.New(authserver.Config{
		Auth: d, Directory: directory{d}, PID: os.Getpid(), Now: d.now, Report: d.trouble,
		RequestTimeout: cfg.Login.RequestTimeout.Std(), RedeemWithin: cfg.Login.RedeemWithin.Std(),
		MaxRequests: cfg.Limits.Requests, DrainTimeout: rt.Drain(),
	})
	d.publish(rt, pool)
	return d.serve(ctx, rt, cfg)
}

// startSlots sets aside the threads for hashing. GOMAXPROCS grows by as many,
// so that a hash never holds the place of a cheap request.
func startSlots(rt *service.Runtime, cfg *authconf.Config) (pool *slots.Pool, stop func()) {
	n := cores()
	count := cfg.Passwords.SlotCount(n)
	runtime.GOMAXPROCS(slots.Processors(n, count))
	pool = slots.New(count, cfg.Passwords.Queue)
	return pool, func() {
		pool.Close()
		runtime.GOMAXPROCS(n)
	}
}

// load builds the first state and the hook for the next ones. A database that
// cannot be asked is no reason not to start: it may come, and until then every
// answer is "try later".
func (d *daemon) load(ctx context.Context, rt *service.Runtime, cfg *authconf.Config, pool *slots.Pool) error {
	deps := deps{log: rt.Log, hasher: pool, decoy: scheme.Decoy(), key: decoyKey(cfg), now: d.now, report: d.trouble}
	st, err := newState(cfg, nil, deps)
	if err != nil {
		return err
	}
	d.state.Store(st)
	logNotes(rt.Log, st.set.Notes(nil))
	for name, err := range st.set.Health() {
		if err != nil {
			rt.Log.Error("a database cannot be asked; logins and lookups that need it fail until it can", slog.String("database", name), obs.Err(err))
		}
	}
	rt.OnReload(func(cfg any) error {
		old := d.state.Load()
		st, err := newState(cfg.(*authconf.Config), old, deps)
		if err != nil {
			return err
		}
		logNotes(rt.Log, st.set.Notes(old.set))
		d.state.Store(st)
		d.retire(ctx, old, st)
		return errors.Join(slices.Collect(maps.Values(st.set.Health()))...)
	})
	return nil
}

func logNotes(log *obs.Logger, notes []string) {
	for _, note := range notes {
		log.Warn("a setting of a database is not as it may seem", slog.String("note", note))
	}
}

// retire gives up what the next state does not go on with, once no request can
// be using it any more.
func (d *daemon) retire(ctx context.Context, old, next *state) {
	d.old.Go(func() {
		t := time.NewTimer(old.cfg.Login.RequestTimeout.Std())
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		old.close(next)
	})
}

// publish makes the daemon's condition visible.
func (d *daemon) publish(rt *service.Runtime, pool *slots.Pool) {
	if !pool.Niced() {
		rt.Log.Warn("password hashing runs at normal priority: the sandbox forbids setpriority")
	}
	rt.Metrics.GaugeFunc("authd_hash_slots_busy", "Passwords being hashed.", func() float64 { return float64(pool.Busy()) })
	rt.Metrics.GaugeFunc("authd_hash_queue", "Passwords waiting to be hashed.", func() float64 { return float64(pool.Waiting()) })
	stats := func() cache.Stats { return d.state.Load().chain.Cache.Stats() }
	rt.Metrics.GaugeFunc("authd_cache_entries", "Answers and checks that are remembered.", func() float64 { return float64(stats().Entries) })
	rt.Metrics.GaugeFunc("authd_cache_bytes", "Memory that they take.", func() float64 { return float64(stats().Bytes) })
	rt.Metrics.CounterFunc("authd_cache_hits_total", "Questions that were answered from memory.", func() float64 { return float64(stats().Hits) })
	rt.Metrics.CounterFunc("authd_cache_misses_total", "Questions that were not.", func() float64 { return float64(stats().Misses) })
	rt.Health("databases", func() error { return errors.Join(slices.Collect(maps.Values(d.state.Load().set.Health()))...) })
	rt.Status("databases", func() any { return d.state.Load().set.Status() })
	rt.Status("cache", func() any { return stats() })
	for _, v := range d.verbs() {
		rt.Control(v)
	}
	rt.Status("hashing", func() any { return map[string]int{"busy": pool.Busy(), "waiting": pool.Waiting()} })
}

// serve opens all listeners, then serves them.
func (d *daemon) serve(ctx context.Context, rt *service.Runtime, cfg *authconf.Config) error {
	var g errgroup.Group
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var open []net.Listener
	for i, spec := range cfg.Listeners {
		l, err := rt.Listen(spec.Listen)
		if err != nil {
			for _, l := range open {
				_ = l.Close()
			}
			return fmt.Errorf("listeners[%d]: %w", i, err)
		}
		open = append(open, l)
	}
	for i, spec := range cfg.Listeners {
		owner := ownerOf(open[i], spec.Listen)
		srv := &netx.Server{
			// One context for all: to watch one of its own takes a connection
			// 400 bytes, and all end together.
			Handler:    func(_ context.Context, conn net.Conn) { d.handle(ctx, conn, spec.Type, owner) },
			Limits:     netx.Limits{MaxConns: cfg.Limits.Connections},
			DrainLimit: rt.Drain(),
			OnReject: func(conn net.Conn, why netx.Reason) {
				d.ended(conn, spec.Type, errors.New(string(why)))
			},
			Log: d.log,
		}
		g.Go(func() error {
			defer cancel() // one listener broken for good: stop, and be restarted
			return srv.Serve(ctx, open[i])
		})
	}
	rt.Ready()
	return g.Wait()
}

// handle serves one connection of a listener type.
func (d *daemon) handle(ctx context.Context, conn net.Conn, kind string, o *owner) {
	d.metrics.conns.WithLabelValues(kind).Inc()
	if kind == authconf.Socketmap {
		d.ended(conn, kind, d.serveSocketmap(ctx, conn))
		return
	}
	k, ok := authserver.KindNamed(kind)
	if !ok {
		return // the configuration allows no other
	}
	peer := peerOf(conn)
	peer.Restricted = o.restricts(peer)
	d.ended(conn, kind, d.server.Serve(ctx, conn, k, peer))
}

// ended logs why a connection was dropped, if it was.
func (d *daemon) ended(conn net.Conn, kind string, err error) {
	if err == nil {
		return
	}
	peer := peerOf(conn)
	d.log.Log(dropped{kind: kind, uid: peer.UID, pid: peer.PID, err: err})
}

// cores is how many the Go runtime was given: the machine's, or the cgroup's.
func cores() int { return runtime.GOMAXPROCS(0) }
