package mtad

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postcote/postcote/pkg/daemon/mtad/edge"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/gate/rate"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// listening is an open listener. Its engine is replaced when the
// configuration is read again; sessions keep the one they began with.
type listening struct {
	d      *daemon
	spec   Listener
	label  string
	local  bool // the submit socket
	policy *gate.Policy
	tls    *tls.Config
	// asksCert: clients are asked for a certificate.
	asksCert bool
	rcptOK   server.Reply
	// undecided is said when a check of ours fails to decide.
	undecided server.Reply
	// accepted and bytes count this listener's messages.
	accepted, bytes prometheus.Counter
	ln              net.Listener
	engine          atomic.Pointer[server.Server]
	conns           *netx.Server
	doorman         edge.Doorman // of a listener behind a proxy
	rates           rate.Counter
}

// listen opens one listener.
func (d *daemon) listen(spec Listener) (*listening, error) {
	policy := spec.policy()
	l := &listening{d: d, spec: spec, label: spec.label(), policy: &policy}
	if d.keeper != nil && spec.TLS != TLSNone {
		l.asksCert = spec.ClientCert != "" || spec.Auth != AuthNone && d.state.Load().cfg.TLS.ClientCAFile != ""
		l.tls = d.keeper.Server()
		if l.asksCert {
			l.tls = d.keeper.Asking(spec.ClientCert == CertRequired)
		}
	}
	return l, l.open(spec.Listen)
}

// listenSubmit opens the socket for local programs.
func (d *daemon) listenSubmit(spec conf.Listen) (*listening, error) {
	policy := gate.Submit()
	l := &listening{d: d, label: "submit", local: true, policy: &policy}
	l.spec = Listener{TLS: TLSNone, Auth: AuthNone}
	return l, l.open(spec)
}

func (l *listening) open(spec conf.Listen) error {
	replies := server.DefaultReplies()
	l.rcptOK, l.undecided = replies.Rcpt, replies.Internal
	l.accepted, l.bytes = l.d.metrics.accepted.WithLabelValues(l.label), l.d.metrics.bytes.WithLabelValues(l.label)
	if err := l.build(l.d.state.Load()); err != nil {
		return err
	}
	ln, err := l.d.rt.Listen(spec)
	if err != nil {
		return err
	}
	l.ln = ln
	limits := l.d.state.Load().cfg.Limits
	l.conns = &netx.Server{
		Handler:    func(ctx context.Context, conn net.Conn) { l.engine.Load().Serve(ctx, conn) },
		Limits:     netx.Limits{MaxConns: limits.Connections, MaxPerPeer: limits.ConnectionsPerPeer, Exempt: l.d.state.Load().cfg.trusted()},
		DrainLimit: l.d.rt.Drain(),
		OnReject:   l.turnAway,
		Log:        l.d.log,
	}
	if l.spec.HAProxy {
		// The doorman counts the clients; the proxies may have as many as there are.
		l.conns.Handler, l.conns.Limits.MaxPerPeer = l.behind, 0
	}
	return nil
}

// behind serves a connection that begins with a PROXY header.
func (l *listening) behind(ctx context.Context, conn net.Conn) {
	remote, local, err := l.doorman.Addresses(ctx, conn)
	if err != nil {
		who := client{Service: l.label, Name: edge.Unknown, IP: netx.AddrPort(conn.RemoteAddr()).Addr()}
		l.d.log.Log(proxyRefused{who, err})
		l.d.metrics.refused.WithLabelValues(l.label, "proxy header").Inc()
		return
	}
	leave := l.doorman.Admit(remote, l.d.state.Load().cfg.Limits.ConnectionsPerPeer, l.d.state.Load().cfg.trusted())
	if leave == nil {
		l.refuse(conn, netx.AddrPort(remote).Addr(), netx.TooManyFromPeer)
		return
	}
	defer leave()
	l.engine.Load().ServeBetween(ctx, conn, remote, local)
}

// build makes the engine that fits a configuration.
func (l *listening) build(st *state) error {
	c := server.Default()
	c.Hostname, c.Listener = st.hostname, l.label
	c.TLS, c.ImplicitTLS = l.tls, l.spec.TLS == TLSImplicit
	if l.asksCert {
		c.Client = l.d.keeper.Client
	}
	if l.spec.Auth != AuthNone && l.d.auth != nil {
		c.Auth = l.d.auth
		c.Policy.ClearAuth = l.spec.Auth == AuthClear
	}
	c.Policy.Limits.MessageSize = st.cfg.MessageSize.Int64()
	c.Policy.RequireTLS = l.spec.TLS == TLSRequired
	c.Policy.Limits.Recipients, c.Policy.Limits.Overshoot = st.cfg.Limits.Recipients, st.cfg.Limits.Overshoot
	c.Policy.Limits.Junk = st.cfg.Limits.JunkCommands
	if l.local {
		c.Policy.Limits.Recipients = st.cfg.Submit.Recipients
		c.Policy.StrictSync = false // scripts feed sendmail -bs a session at once
	}
	c.Policy.Words.DSN, c.Policy.Words.SMTPUTF8 = st.cfg.DSN, st.cfg.UTF8
	c.Policy.StrictUTF8 = st.cfg.StrictUTF8
	c.Policy.Limits.Line, c.Policy.Limits.AuthResponse = st.cfg.Limits.Line, st.cfg.Smtpd.SASLResponse
	c.Policy.Limits.SoftErrors, c.Policy.Limits.HardErrors = st.cfg.Limits.SoftErrors, st.cfg.Limits.HardErrors
	t := st.cfg.Timeouts
	c.Timeouts.Command, c.Timeouts.Data, c.Timeouts.TLS = t.Command.Std(), t.Data.Std(), t.TLS.Std()
	c.Timeouts.ErrorDelay, c.Timeouts.MinRate = t.Error.Std(), int64(t.MinRate)
	if !l.local {
		if f := st.footer; f != nil {
			c.Footer = func(conn *server.Conn, r server.Reply) server.Reply {
				return f.Add(r, netx.AddrPort(conn.Remote), l.d.now())
			}
		}
		l.doorman.Use(&st.cfg.Smtpd)
		c.Greeting = st.cfg.Smtpd.Banner
		c.Forbidden = st.cfg.Smtpd.Verbs()
		c.Overridden = l.d.overridden
		if l.spec.Role == RoleMX && st.cfg.Smtpd.MayFlush(st.cfg.Domains.Relay) {
			c.Etrn = l.d.etrn
		}
	}
	c.Replies.BareLF.Code, c.Replies.BareLF.Enhanced[0] = st.cfg.Smtpd.BareLFCode, st.cfg.Smtpd.BareLFCode/100
	c.Now = l.d.now
	c.Accept = func(ctx context.Context, conn *server.Conn) (server.Session, server.Reply) {
		return l.d.accept(ctx, l, conn)
	}
	engine, err := server.New(c)
	if err != nil {
		return err
	}
	l.engine.Store(engine)
	return nil
}

// turnAway says 421 to a connection that the limits refuse.
func (l *listening) turnAway(conn net.Conn, why netx.Reason) {
	l.refuse(conn, netx.AddrPort(conn.RemoteAddr()).Addr(), why)
}

func (l *listening) refuse(conn net.Conn, ip netip.Addr, why netx.Reason) {
	who := client{Service: l.label, Name: edge.Unknown, IP: ip, Local: l.local}
	reply := server.MakeReply(421, 4, 3, 2, l.d.state.Load().hostname+" Error: all server ports are busy")
	if why == netx.TooManyFromPeer {
		reply = server.MakeReply(421, 4, 7, 0, l.d.state.Load().hostname+" Error: too many connections from "+ip.String())
	}
	l.d.metrics.refused.WithLabelValues(l.label, string(why)).Inc()
	limits := l.d.state.Load().cfg.Limits
	refused := connectionRefused{who, why, limits.Connections}
	if why == netx.TooManyFromPeer {
		refused.Limit = limits.ConnectionsPerPeer
	}
	l.d.log.Log(refused)
	if l.spec.TLS != TLSImplicit {
		_, _ = conn.Write(reply.Append(nil))
	}
}
