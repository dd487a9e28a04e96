package deliverd

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/hint"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/pkg/store/quota"
)

// App is the daemon for service.Main.
func App() service.App {
	return service.App{
		Name:  "deliverd",
		Short: "Postcote's local delivery agent: LMTP in, Maildir out",
		Long: "deliverd takes mail by LMTP on a Unix socket, asks authd where each recipient's mail lives and stores it\n" +
			"there as a Maildir file. It stands where Dovecot's LMTP service stands, for mtad or for Postfix.",
		Config: func() any { c := Default(); return &c },
		Run: func(ctx context.Context, rt *service.Runtime, cfg any) error {
			return Run(ctx, rt, cfg.(*Config))
		},
	}
}

// users looks up who a recipient is.
type users interface {
	User(ctx context.Context, name, service string) (userdbclient.UserRecord, error)
}

// agent is what all connections share.
type agent struct {
	cfg     atomic.Pointer[Config]
	log     *obs.Logger
	metrics metrics
	fs      disk.FS
	users   users
	hints   *hint.Sender // nil: nobody listens
	warner  *quota.Warner
	namer   *maildir.Namer
	busy    netx.Tally[string]
	volumes *volumes
	storing atomic.Int64 // copies that are being stored
	bufs    sync.Pool    // of inMemory octets each
	now     func() time.Time
	pid     int
}

// Run serves until ctx is done and deliveries in progress have ended.
func Run(ctx context.Context, rt *service.Runtime, cfg *Config) error {
	a := newAgent(rt, cfg)
	if err := cfg.Mail.Check(a.fs); err != nil {
		return err
	}
	defer a.volumes.close()
	defer a.warner.Close()
	if err := a.volumes.check(cfg); err != nil {
		return err
	}
	db := userdbclient.New(userdbclient.Config{Address: cfg.UserdbSocket, RequestTimeout: time.Duration(cfg.Limits.Lookup)})
	defer db.Close()
	a.users = db
	if cfg.EventsSocket != "" {
		a.hints = hint.NewSender(func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unixpacket", cfg.EventsSocket)
		}, uint64(a.now().UnixNano()), a.now)
		defer a.hints.Close()
	}
	engine, err := server.New(a.engineConfig(cfg))
	if err != nil {
		return err
	}
	l, err := rt.Listen(cfg.Listen)
	if err != nil {
		return err
	}
	srv := &netx.Server{
		Handler:    engine.Serve,
		Limits:     netx.Limits{MaxConns: cfg.Limits.Connections},
		DrainLimit: rt.Drain(),
		Log:        a.log,
	}
	rt.Status("connections", func() any { return srv.Active() })
	rt.Status("volumes", a.volumes.state)
	rt.Health("userdb", func() error {
		hctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return db.Ping(hctx)
	})
	rt.OnReload(func(c any) error { a.cfg.Store(c.(*Config)); return nil })
	rt.Ready()
	return srv.Serve(ctx, l)
}

func newAgent(rt *service.Runtime, cfg *Config) *agent {
	a := &agent{log: rt.Log, metrics: newMetrics(rt.Metrics), now: rt.Now, pid: os.Getpid(), fs: rt.FS}
	if a.now == nil {
		a.now = time.Now
	}
	if a.fs == nil {
		a.fs = disk.OS()
	}
	a.bufs.New = func() any {
		buf := make([]byte, inMemory)
		return &buf
	}
	a.namer = maildir.NewNamer("", a.pid, a.now)
	a.warner = quota.NewWarner(a.log)
	a.volumes = newVolumes(a.fs, a.now, a.note)
	a.cfg.Store(cfg)
	return a
}

// engineConfig makes the LMTP engine sound like Dovecot's.
func (a *agent) engineConfig(cfg *Config) server.Config {
	c := server.Default()
	c.Mode, c.Listener, c.Hostname, c.Greeting = server.LMTP, "lmtp", cfg.hostname(), "Postcote ready."
	c.Policy.Words = server.Words{Pipelining: true, EnhancedStatus: true, EightBitMIME: true, SMTPUTF8: true, Chunking: true, Size: cfg.MessageSize > 0}
	c.Policy.StrictSync, c.Policy.VRFY = false, true
	c.Policy.Limits.MessageSize = int64(cfg.MessageSize)
	c.Policy.Limits.Recipients = cfg.Limits.Recipients
	// The peer is a mail server that passes on what others gave it: a message
	// for many unknown users is not its fault.
	c.Policy.Limits.SoftErrors, c.Policy.Limits.HardErrors = 0, 0
	c.Timeouts.Command = time.Duration(cfg.Limits.Command)
	c.Replies = replies()
	c.Now = a.now
	c.Accept = func(_ context.Context, conn *server.Conn) (server.Session, server.Reply) {
		s := &session{a: a, conn: conn}
		a.log.Log(connected{a.pid, peerName(conn)})
		return s, server.Reply{}
	}
	return c
}

// replies are Dovecot's texts, so that logs and scripts read the same.
func replies() server.Replies {
	r := server.DefaultReplies()
	r.Mail = server.MakeReply(250, 2, 1, 0, "OK")
	r.Rcpt = server.MakeReply(250, 2, 1, 5, "OK")
	r.Data = server.Reply{Code: 354, Text: "OK"}
	r.Reset = server.MakeReply(250, 2, 0, 0, "OK")
	r.Noop = server.MakeReply(250, 2, 0, 0, "OK")
	r.Vrfy = server.MakeReply(252, 2, 3, 3, "Try RCPT instead")
	r.Unknown = server.MakeReply(500, 5, 5, 1, "Unknown command")
	r.Help = r.Unknown
	r.NeedHelo = server.MakeReply(503, 5, 5, 1, "LHLO needed first")
	r.NoRcpts = server.MakeReply(503, 5, 5, 1, "No valid recipients") // the code is RFC 2033 section 4.2's
	r.NeedMail = server.MakeReply(503, 5, 5, 0, "MAIL needed first")
	r.NeedRcpt = r.NeedMail
	r.NullRcpt = server.MakeReply(501, 5, 5, 4, "Invalid TO: Null path not allowed")
	r.BadOption = server.MakeReply(555, 5, 5, 4, "Unsupported parameters: ")
	return r
}

func peerName(c *server.Conn) string {
	if c.Remote == nil || c.Remote.Network() == "unix" {
		return "local"
	}
	if ip := netx.AddrPort(c.Remote).Addr(); ip.IsValid() {
		return ip.Unmap().String()
	}
	return "local"
}

// note logs a fault of ours that no reply tells in full.
func (a *agent) note(what string, err error, facts ...slog.Attr) {
	a.log.Error(what, append(facts, obs.Err(err))...)
}
