package session

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postcote/postcote/pkg/daemon/imapd/folders"
	"github.com/postcote/postcote/pkg/daemon/imapd/maildrop"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/handover"
	"github.com/postcote/postcote/pkg/proto/imap/server"
	pop3wire "github.com/postcote/postcote/pkg/proto/pop3/wire"
	"github.com/postcote/postcote/pkg/store/mailbox"
	"github.com/postcote/postcote/pkg/store/quota"
)

// redeemer turns a login into a user, once, and knows users by name. About a
// login that came sealed it asks nobody.
type redeemer interface {
	User(ctx context.Context, name, service string) (userdbclient.UserRecord, error)
	Redeem(ctx context.Context, clientPID, requestID uint32, cookie string, sessionPID int) (userdbclient.UserRecord, error)
	Unseal(clientPID, requestID uint32, sealed string) (userdbclient.UserRecord, error)
	SealName() string
}

// userAt is the unit in which a user's sessions are counted.
type userAt struct {
	user     string
	protocol handover.Protocol
	peer     netip.Addr
}

// role is what all sessions share.
type role struct {
	cfg     *Config
	log     *obs.Logger
	metrics metrics
	auth    redeemer
	store   *mailbox.Store
	warner  *quota.Warner
	imap    *server.Server
	lot     *netx.Lot // where silent sessions wait
	pop3    *pop3wire.Pools
	folders []mailbox.FolderConfig
	rules   maildrop.Rules
	locks   maildrop.Locks
	fs      disk.FS
	here    register
	users   netx.Tally[userAt]
	now     func() time.Time
	pid     int
	scans   sync.Pool       // of *scanner, for all sessions: as many as read at a time
	ctx     context.Context // ends when the role stops; sessions outlive the connection they came over
}

// Run serves until ctx is done, says goodbye to every client and flushes.
func Run(ctx context.Context, rt *service.Runtime, cfg *Config) error {
	r, err := newRole(rt, cfg)
	if err != nil {
		return err
	}
	defer r.lot.Close()
	defer r.warner.Close()
	auth := userdbclient.New(userdbclient.Config{Address: cfg.AuthSocket, RequestTimeout: time.Duration(cfg.AuthWait)})
	defer auth.Close()
	r.auth, r.ctx = auth, ctx

	sessions, err := rt.ListenPacket(cfg.Sessions)
	if err != nil {
		return err
	}
	events, err := rt.ListenPacket(cfg.Events)
	if err != nil {
		sessions.Close()
		return err
	}
	r.publish(ctx, rt, auth)

	background, stopStore := context.WithCancel(context.Background())
	defer stopStore()
	storeDone := make(chan error, 1)
	go func() { storeDone <- r.store.Run(background) }()

	rt.Ready()
	err = r.serve(ctx, rt, sessions, events)
	// All sessions are over; what they changed becomes durable file names.
	flush, cancel := context.WithTimeout(context.Background(), rt.Drain())
	defer cancel()
	err = errors.Join(err, r.store.Close(flush))
	stopStore()
	<-storeDone
	return err
}

func newRole(rt *service.Runtime, cfg *Config) (*role, error) {
	r := &role{
		cfg: cfg, log: rt.Log, metrics: newMetrics(rt.Metrics), pop3: pop3wire.NewPools(),
		folders: folders.All(cfg.Folders, cfg.SpecialFolders), now: rt.Now, pid: os.Getpid(), ctx: context.Background(),
	}
	if r.now == nil {
		r.now = time.Now
	}
	fsys := rt.FS
	if fsys == nil {
		fsys = disk.OS()
	}
	r.fs, r.warner = fsys, quota.NewWarner(rt.Log)
	err := cfg.Mail.Check(fsys)
	if err != nil {
		return nil, err
	}
	if r.rules, err = cfg.POP3.Rules(); err != nil {
		return nil, err
	}
	r.store, err = mailbox.NewStore(mailbox.Config{
		FS: fsys, IndexRoot: cfg.IndexDir, Now: r.now, Log: rt.Log, Linger: time.Duration(cfg.Limits.Linger), Warner: r.warner,
	})
	if err != nil {
		return nil, err
	}
	if r.lot, err = netx.NewLot(); err != nil {
		return nil, err
	}
	engine := server.Config{
		Lot:         r.lot,
		MaxMessage:  int64(cfg.MessageSize),
		MaxLine:     int(cfg.Limits.LineLength),
		MaxBad:      cfg.Limits.BadCommands,
		IdleTimeout: time.Duration(cfg.Limits.IMAPInactive),
		Keepalive:   time.Duration(cfg.Limits.Keepalive),
		Stall:       time.Duration(cfg.Limits.Stall),
		Now:         r.now,
		Command:     r.metrics.command,
	}
	cfg.IMAP.Fill(&engine, rt.Version)
	r.imap = server.New(engine)
	return r, nil
}

// serve runs both listeners until ctx is done and every session is over.
func (r *role) serve(ctx context.Context, rt *service.Runtime, sessions, events net.Listener) error {
	var g errgroup.Group
	g.Go(func() error {
		srv := &netx.Server{Handler: r.handovers, DrainLimit: rt.Drain(), Log: r.log}
		return srv.Serve(ctx, sessions)
	})
	g.Go(func() error {
		srv := &netx.Server{Handler: r.hints, DrainLimit: time.Second, Log: r.log, Limits: netx.Limits{MaxConns: 64}}
		return srv.Serve(ctx, events)
	})
	stop := context.AfterFunc(ctx, r.sayGoodbye)
	defer stop()
	err := g.Wait()
	r.here.wait(rt.Drain())
	return err
}

// sayGoodbye has all sessions end.
func (r *role) sayGoodbye() {
	for _, s := range r.here.list() {
		s.cancel(netx.ErrShutdown)
	}
}

// publish registers status, health and the operator's verbs.
func (r *role) publish(ctx context.Context, rt *service.Runtime, auth *userdbclient.Client) {
	rt.Status("sessions", func() any { return r.here.count() })
	rt.Status("accounts", func() any { return len(r.store.Accounts()) })
	rt.Health("authd", func() error {
		hctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return auth.Ping(hctx)
	})
	for _, v := range r.verbs() {
		rt.Control(v)
	}
}
