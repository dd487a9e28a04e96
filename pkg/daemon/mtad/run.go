package mtad

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postcote/postcote/pkg/daemon/mtad/errormail"
	"github.com/postcote/postcote/pkg/daemon/mtad/localmail"
	"github.com/postcote/postcote/pkg/daemon/mtad/tables"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/verify"
	"github.com/postcote/postcote/pkg/platform/dnsx"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
)

// parts are what tests put in place of the world outside; nil fields mean the
// real thing.
type parts struct {
	Resolver dnsx.Resolver
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	// Patience is how long a request waits for authd to come back; 0: 2 s.
	Patience time.Duration
	Probe    time.Duration // in place of probeInterval
	// Listening is told when all listeners are open.
	Listening func([]*listening)
}

// daemon is a running mtad.
type daemon struct {
	rt      *service.Runtime
	log     *obs.Logger
	now     func() time.Time
	parts   parts
	metrics *metrics

	state  atomic.Pointer[state]
	remote atomic.Pointer[senders]
	reload sync.Mutex // one reload at a time
	tables *tables.Set

	queue    *queue.Queue
	letters  *errormail.Sender // transcripts for the postmaster
	agents   *agents
	keeper   *tlsx.Keeper         // nil without certificate
	auth     *authenticator       // nil without auth socket
	users    *userdbclient.Client // nil without exists socket
	local    *localmail.Policy    // what local users may submit
	verify   *verify.Service      // which addresses elsewhere take mail
	flushing sync.Mutex           // held by the ETRN that is being carried out
	sessions sync.Map             // *server.Conn to *session
	editors  header.Editors
	listens  []*listening
	status   net.Listener // for local users; nil for none
}

// Run serves until ctx is done. cfg is a *Config.
func Run(ctx context.Context, rt *service.Runtime, cfg any) error {
	c, ok := cfg.(*Config)
	if !ok {
		return fail.New(fail.Invalid, "mtad: configuration of type %T", cfg)
	}
	return run(ctx, rt, *c, parts{})
}

// run, in the order of start: what it stands on, the queue, listeners, verbs;
// then it serves, and takes everything down in the opposite order.
func run(ctx context.Context, rt *service.Runtime, cfg Config, p parts) error {
	d, err := newDaemon(rt, cfg, p)
	if err != nil {
		return err
	}
	defer d.closeClients()
	if d.queue, err = d.openQueue(ctx, cfg); err != nil {
		return err
	}
	d.local.Has = d.queue.Has
	d.letters = &errormail.Sender{Queue: d.queue, Now: d.now}
	err = d.serve(ctx, cfg)
	if cerr := d.queue.Close(); err == nil {
		err = cerr
	}
	return err
}

func newDaemon(rt *service.Runtime, cfg Config, p parts) (*daemon, error) {
	d := &daemon{rt: rt, log: rt.Log, now: rt.Now, parts: p, metrics: newMetrics(rt.Metrics)}
	d.agents = newAgents(d)
	d.tables = tables.New(tables.Log(d.log))
	d.local = localmail.NewPolicy(cfg.Submit, func() time.Time { return d.now() })
	if d.now == nil {
		d.now = time.Now
	}
	if d.parts.Resolver == nil {
		r, err := dnsx.NewClient(cfg.DNS, d.now)
		if err != nil {
			return nil, err
		}
		d.parts.Resolver = r
	}
	if cfg.TLS.Enabled() {
		k, err := tlsx.NewKeeper(cfg.TLS, d.log)
		if err != nil {
			return nil, err
		}
		d.keeper = k
		rt.Metrics.GaugeFunc("mtad_certificate_expiry_seconds", "When the first certificate ends, seconds since 1970.", k.ExpirySeconds)
	}
	if cfg.AuthSocket != "" {
		d.auth = &authenticator{client: authclient.New(authclient.Config{Address: cfg.AuthSocket, Patience: p.Patience, ChannelBinding: true}), d: d}
	}
	if cfg.ExistsSocket != "" {
		d.users = userdbclient.New(userdbclient.Config{Address: cfg.ExistsSocket, Patience: p.Patience})
	}
	v := cfg.Verify
	d.verify = verify.New(verify.Config{
		Times: v.Times(), Wait: v.Wait.Std(), Timeout: v.Timeout.Std(), Probe: d.probe, FS: rt.FS, Path: v.Map, Now: d.now, Log: d.log,
	})
	return d, d.apply(cfg)
}

// apply makes cfg the configuration of sessions and deliveries to come.
func (d *daemon) apply(cfg Config) error {
	var known gate.Recipients
	if d.users != nil {
		known = recipients{d.users}
	}
	d.tables.Renew()
	cfg.lookups = d.tables.Options()
	cfg.warn = func(text string, err error) { d.log.Warn(text, obs.Err(err)) }
	st, err := newState(cfg, known, d.now)
	if err != nil {
		return err
	}
	sender, err := d.newSenders(st)
	if err != nil {
		return err
	}
	d.state.Store(st)
	if old := d.remote.Swap(sender); old != nil {
		go old.Close() // waits for goodbyes; running deliveries are not touched
	}
	return nil
}

func (d *daemon) openQueue(ctx context.Context, cfg Config) (*queue.Queue, error) {
	q, err := queue.Open(ctx, queue.Config{
		Settings: d.queueSettings(cfg), Dir: cfg.Queue.Dir, FS: d.rt.FS, Now: d.now, Log: d.log, Metrics: d.rt.Metrics,
	})
	if err != nil {
		return nil, fail.Wrap(fail.KindOf(err), err, "queue %s", cfg.Queue.Dir)
	}
	for _, damage := range q.Recovery().Damage {
		d.log.Error("queue damage, see queue.dir/damaged", obs.Err(damage))
	}
	return q, nil
}

// queueSettings are the configured ones with full addresses, the limits of
// transports, and room for one and a half messages of the largest size, which
// Postfix wants even if queue_minfree is 0.
func (d *daemon) queueSettings(cfg Config) queue.Settings {
	set := d.state.Load().notices(cfg.Config.Limits(cfg.Queue.Settings))
	set.MinFree = max(set.MinFree, cfg.MessageSize+cfg.MessageSize/2)
	return set
}

// serve opens the listeners and runs until ctx is done or one of the parts
// fails for good.
func (d *daemon) serve(ctx context.Context, cfg Config) error {
	if err := d.openListeners(cfg); err != nil {
		for _, l := range d.listens {
			_ = l.ln.Close()
		}
		return err // the status socket is opened last
	}
	d.registerVerbs()
	d.rt.OnReload(d.reloaded)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return d.queue.Run(gctx, queue.Consumers{Router: router{d}, Deliverer: deliverer{d}, Bouncer: bouncer{d}, Observer: observer{d}}, d.rt.Drain())
	})
	for _, l := range d.listens {
		g.Go(func() error { return l.conns.Serve(gctx, l.ln) })
	}
	g.Go(func() error {
		d.agents.run(gctx)
		return nil
	})
	g.Go(func() error {
		d.verify.Run(gctx)
		return nil
	})
	d.serveLocal(gctx, g, cfg)
	if d.keeper != nil {
		g.Go(func() error {
			d.keeper.Run(gctx)
			return nil
		})
	}
	d.rt.Ready()
	if d.parts.Listening != nil {
		d.parts.Listening(d.listens)
	}
	return g.Wait()
}

func (d *daemon) openListeners(cfg Config) error {
	for _, spec := range cfg.Listeners {
		l, err := d.listen(spec)
		if err != nil {
			return err
		}
		d.listens = append(d.listens, l)
	}
	if cfg.Submit.Listen.Address != "" {
		l, err := d.listenSubmit(cfg.Submit.Listen)
		if err != nil {
			return err
		}
		d.listens = append(d.listens, l)
	}
	if cfg.Status.Listen.Address == "" {
		return nil
	}
	var err error
	d.status, err = d.rt.Listen(cfg.Status.Listen)
	return fail.Wrap(fail.Temporary, err, "status.listen")
}

// serveLocal serves the status socket and empties the mail drop.
func (d *daemon) serveLocal(ctx context.Context, g *errgroup.Group, cfg Config) {
	if d.status != nil {
		g.Go(func() error { return d.rt.ServeControl(ctx, d.status) })
	}
	for _, l := range d.listens {
		if !l.local || cfg.Submit.Drop == "" {
			continue
		}
		pickup := localmail.Pickup{
			FS: d.rt.FS, Dir: cfg.Submit.Drop, Every: d.parts.Probe, Now: d.now, Log: d.log,
			Dial: func(_ context.Context, uid int) (net.Conn, error) {
				server, peer, err := localmail.As(uid)
				if err == nil {
					g.Go(func() error {
						l.engine.Load().Serve(ctx, server)
						return nil
					})
				}
				return peer, err
			},
		}
		g.Go(func() error {
			pickup.Run(ctx)
			return nil
		})
	}
}

// reloaded takes over what a new configuration may change while running.
// Listeners, sockets and directories need a restart; service says so.
func (d *daemon) reloaded(cfg any) error {
	c, ok := cfg.(*Config)
	if !ok {
		return fail.New(fail.Invalid, "mtad: configuration of type %T", cfg)
	}
	d.reload.Lock()
	defer d.reload.Unlock()
	if err := d.apply(*c); err != nil {
		return err
	}
	for _, l := range d.listens {
		if err := l.build(d.state.Load()); err != nil {
			return err
		}
	}
	d.queue.Reload(d.queueSettings(*c))
	d.local.Reload(c.Submit)
	d.verify.Reload(c.Verify.Times(), c.Verify.Wait.Std())
	if d.keeper != nil {
		d.keeper.Check()
	}
	return nil
}

func (d *daemon) closeClients() {
	if c := d.remote.Load(); c != nil {
		c.Close()
	}
	if d.auth != nil {
		d.auth.client.Close()
	}
	if d.users != nil {
		d.users.Close()
	}
	_ = d.tables.Close()
}
