package login

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/handover"
	imapwire "github.com/postcote/postcote/pkg/proto/imap/wire"
	pop3wire "github.com/postcote/postcote/pkg/proto/pop3/wire"
)

// role is what all connections share.
type role struct {
	cfg     atomic.Pointer[Config]
	log     *obs.Logger
	metrics metrics
	now     func() time.Time
	auth    *authclient.Client
	offer   offer
	links   handover.Links
	seal    atomic.Pointer[string] // name of the session role's key at authd, as it last said; nil: none
	keeper  *tlsx.Keeper           // nil without certificates
	waiting waiting
	buffers sync.Pool
	held    atomic.Int64 // buffers in use
	imap    imapwire.Buffers
	pop3    *pop3wire.Pools
	server  *netx.Server
	lot     *netx.Lot // where pumps wait that are silent
	// patience is the constant; tests have less.
	patience time.Duration
	version  string
	host     string                                // our name, in APOP challenges
	private  func(peer, local netip.AddrPort) bool // see sameHost
}

// Run serves until ctx is done, then sends away who has not logged in and
// pumps sessions until the drain limit.
func Run(ctx context.Context, rt *service.Runtime, cfg *Config) error {
	r, err := newRole(rt, cfg)
	if err != nil {
		return err
	}
	defer r.lot.Close()
	defer r.auth.Close()
	defer r.links.Close()
	doors, err := r.open(rt)
	if err != nil {
		return err
	}
	r.publish(rt)
	return r.run(ctx, rt, doors)
}

// run serves the doors until ctx is done and the drain is over.
func (r *role) run(ctx context.Context, rt *service.Runtime, doors []*door) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var g errgroup.Group
	g.Go(func() error { r.offer.keep(background, r.auth); return nil })
	if r.keeper != nil {
		g.Go(func() error { r.keeper.Run(background); return nil })
	}
	rt.Ready()
	err := r.serveAll(ctx, doors)
	stop()
	_ = g.Wait()
	return err
}

func newRole(rt *service.Runtime, cfg *Config) (*role, error) {
	r := &role{log: rt.Log, metrics: newMetrics(rt.Metrics), now: rt.Now, pop3: pop3wire.NewPools(), private: sameHost, version: rt.Version, patience: patience}
	r.cfg.Store(cfg)
	if r.now == nil {
		r.now = time.Now
	}
	r.buffers.New = func() any { b := make([]byte, pumpBuffer); return &b }
	r.waiting.limit = cfg.Limits.WithoutLogin
	r.waiting.perSite = cfg.Limits.PerAddress
	r.waiting.exempt = cfg.Limits.Exempt
	if cfg.TLS.Enabled() {
		var err error
		if r.keeper, err = tlsx.NewKeeper(cfg.TLS, rt.Log); err != nil {
			return nil, err
		}
	}
	var err error
	if r.lot, err = netx.NewLot(); err != nil {
		return nil, err
	}
	r.auth = authclient.New(authclient.Config{Address: cfg.AuthSocket, RequestTimeout: cfg.Limits.AuthTime.Std(), ChannelBinding: true})
	if r.host, _ = os.Hostname(); r.host == "" {
		r.host = "localhost"
	}
	r.server = &netx.Server{
		Start: r.serve, Log: rt.Log, DrainLimit: rt.Drain(), OnReject: r.reject,
		Limits: netx.Limits{MaxConns: cfg.Limits.Connections},
	}
	return r, nil
}

// open opens all listeners or none.
func (r *role) open(rt *service.Runtime) (doors []*door, err error) {
	for _, e := range r.cfg.Load().endpoints() {
		if e.Listen.Address == "" {
			continue
		}
		l, err := rt.Listen(e.Listen)
		if err != nil {
			for _, d := range doors {
				_ = d.Close()
			}
			return nil, err
		}
		// The default of a probe every 15 s would keep phones awake.
		if err := netx.KeepAlive(l, 5*time.Minute, 75*time.Second, 9); err != nil {
			rt.Log.Warn("connections are probed more often than they should be", slog.String("listener", e.Listen.Address), obs.Err(err))
		}
		d := &door{Listener: l, endpoint: e}
		if e.TLS != "none" && r.keeper != nil {
			d.config = r.keeper.Login()
		}
		doors = append(doors, d)
	}
	return doors, nil
}

// serveAll returns when every door is closed and every connection is over. A
// door that breaks brings the others down, so that the service manager can
// start afresh.
func (r *role) serveAll(ctx context.Context, doors []*door) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range doors {
		g.Go(func() error { return r.server.Serve(ctx, d) })
	}
	return g.Wait()
}

// reject is the last word to a connection over the total limit.
func (r *role) reject(conn net.Conn, why netx.Reason) {
	if e, ok := conn.(*entry); ok {
		r.newClient(e).sayNo("Too many connections, try again later.")
		r.metrics.ended.WithLabelValues(e.protocol(), string(why)).Inc()
	}
}

func (e *entry) protocol() string {
	if e.door.pop3 {
		return "pop3"
	}
	return "imap"
}

// publish registers status, health, metrics and the reload hook.
func (r *role) publish(rt *service.Runtime) {
	rt.Status("connections", func() any { return r.server.Active() })
	rt.Status("without_login", func() any { return r.waiting.count() })
	rt.Health("authd", r.offer.health)
	rt.Metrics.GaugeFunc("imapd_login_connections", "Open connections.", func() float64 { return float64(r.server.Active()) })
	rt.Metrics.GaugeFunc("imapd_login_pump_buffers", "Pump buffers in use; idle sessions hold none.", func() float64 { return float64(r.held.Load()) })
	if r.keeper != nil {
		rt.Status("certificate_expiry", func() any { return r.keeper.Expiry() })
		rt.Metrics.GaugeFunc("imapd_login_certificate_expiry_seconds", "When the first certificate ends, in seconds since 1970.", r.keeper.ExpirySeconds)
	}
	rt.OnReload(func(cfg any) error {
		r.reload(cfg.(*Config))
		return nil
	})
}

// reload takes over what the configuration marks as such; connections that
// are open keep what they began with.
func (r *role) reload(fresh *Config) {
	next := *r.cfg.Load()
	next.Greeting, next.AllowPlaintext = fresh.Greeting, fresh.AllowPlaintext
	next.TrustedNetworks, next.HAProxyNetworks, next.HAProxyTimeout = fresh.TrustedNetworks, fresh.HAProxyNetworks, fresh.HAProxyTimeout
	l := &next.Limits
	l.BadCommands = fresh.Limits.BadCommands
	l.LoginTime, l.AuthTime = fresh.Limits.LoginTime, fresh.Limits.AuthTime
	r.cfg.Store(&next)
	if r.keeper != nil {
		r.keeper.Check()
	}
}
