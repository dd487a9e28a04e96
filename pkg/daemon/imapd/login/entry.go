package login

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/handover"
)

// door is one open listener.
type door struct {
	net.Listener
	endpoint
	config *tls.Config // nil without TLS
}

// Accept marks each connection with the door it came through.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &entry{Conn: conn, door: d}, nil
}

// SetDeadline lets the server give up a waiting Accept.
func (d *door) SetDeadline(t time.Time) error {
	if l, ok := d.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		return l.SetDeadline(t)
	}
	return errors.ErrUnsupported
}

// entry is an accepted connection.
type entry struct {
	net.Conn
	door *door

	mu     sync.Mutex
	closed bool
	local  io.Closer // the pump, closed along
}

// NetConn returns the operating system's connection.
func (e *entry) NetConn() net.Conn { return e.Conn }

// attach makes Close, as the drain calls it, end the pump as well.
func (e *entry) attach(local io.Closer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		_ = local.Close()
	}
	e.local = local
}

// Close closes the connection and what is attached.
func (e *entry) Close() error {
	e.mu.Lock()
	e.closed = true
	if e.local != nil {
		_ = e.local.Close()
	}
	e.mu.Unlock()
	return e.Conn.Close()
}

// client is one connection from accept to its end.
type client struct {
	role    *role
	cfg     *Config // as it was at accept
	entry   *entry
	raw     net.Conn   // of the operating system
	conn    net.Conn   // raw, lazy or tls
	lazy    *netx.Lazy // below conn, where there is TLS or a pump
	tls     *tls.Conn  // nil until a handshake succeeded
	fault   error      // of the handshake
	peer    netip.AddrPort
	local   netip.AddrPort
	session string
	// What proxies said: addresses that are not the connection's, TLS that one
	// of them ended, and that this one is to be believed.
	proxied, proxyTLS, believed bool

	mpid    int
	started time.Time
	relay   *relay
	known   bool // what the client is has been logged

	back  bool   // a session has ended here, and the client has not
	ahead []byte // what it has sent since
}

func (r *role) newClient(e *entry) *client {
	c := &client{
		role: r, cfg: r.cfg.Load(), entry: e, raw: e.Conn, conn: e.Conn, started: r.now(),
		peer: netx.AddrPort(e.RemoteAddr()), local: netx.AddrPort(e.LocalAddr()),
	}
	c.session = sessionID(c.started, c.peer)
	protocol := c.protocol().String()
	c.relay = &relay{auth: r.auth, offer: &r.offer, seal: &r.seal, now: r.now, count: func(result string) {
		r.metrics.logins.WithLabelValues(protocol, result).Inc()
	}}
	c.relay.req = authclient.Request{
		Service: protocol, LocalAddr: c.local, RemoteAddr: c.peer, Session: c.session, Secured: c.secured(),
	}
	return c
}

func (c *client) protocol() handover.Protocol {
	if c.entry.door.pop3 {
		return handover.POP3
	}
	return handover.IMAP
}

// secured: nobody on the network can read along, or somebody trusted says so.
// An address that a proxy named says nothing of the way here.
func (c *client) secured() bool {
	return c.tls != nil || c.proxyTLS || c.trusted() || !c.proxied && c.role.private(c.peer, c.local)
}

// sameHost: both ends are this host, or the peer came over a Unix socket.
func sameHost(peer, local netip.AddrPort) bool {
	return !peer.IsValid() || peer.Addr().IsLoopback() || peer.Addr() == local.Addr()
}

func (c *client) facts(user, method string) facts {
	f := facts{
		protocol: c.protocol().String(), session: c.session, peer: c.peer, local: c.local,
		user: user, method: method, mpid: c.mpid, secured: c.secured(),
	}
	if c.tls != nil {
		f.tls = tlsx.Describe(c.tls.ConnectionState())
	}
	if c.fault != nil {
		f.fault = c.fault.Error()
	}
	return f
}

// serve is the start of all connections.
func (r *role) serve(ctx context.Context, conn net.Conn, end func()) {
	e, ok := conn.(*entry)
	if !ok {
		end()
		return
	}
	c := r.newClient(e)
	c.goOn(ctx, c.begin(ctx), end)
}

// goOn pumps, where there is a pump, and takes the connection that comes back.
func (c *client) goOn(ctx context.Context, local *net.UnixConn, end func()) {
	if local == nil {
		end()
		return
	}
	c.pumpTo(local, func(ahead []byte, back bool) {
		if c.ahead, c.back = ahead, back; !back {
			end()
			return
		}
		c.goOn(ctx, c.comeAgain(ctx), end)
	})
}

// comeAgain is again in a goroutine of ours: a panic ends the connection only.
func (c *client) comeAgain(ctx context.Context) (local *net.UnixConn) {
	defer c.role.caught()
	return c.again(ctx)
}

// begin takes the connection to its handover, or to its end without one. Where
// there is a pump it returns its near end.
func (c *client) begin(ctx context.Context) (local *net.UnixConn) {
	r := c.role
	r.metrics.connections.WithLabelValues(c.protocol().String()).Inc()
	if why, err := c.header(ctx); why != endNone {
		c.ended(outcome{why: why, err: err})
		return nil
	}
	return c.admit(ctx)
}

// again is begin for a client whose session role has given it back: nothing of
// the login before is left but the connection and its TLS (RFC 8437).
func (c *client) again(ctx context.Context) *net.UnixConn {
	c.started, c.mpid = c.role.now(), 0
	c.session = sessionID(c.started, c.peer)
	c.relay.again(c.session)
	return c.admit(ctx)
}

// admit takes the connection from its place among those without a login on.
func (c *client) admit(ctx context.Context) (local *net.UnixConn) {
	r := c.role
	waiting, leave, ok := r.waiting.enter(ctx, c.peer.Addr(), c.trusted())
	if !ok {
		c.sayNo("Too many connections from your address.")
		c.ended(outcome{why: endAddress})
		return nil
	}
	defer leave()
	out := c.login(waiting)
	if out.success == nil && errors.Is(context.Cause(waiting), errPushedOut) && out.why == endShutdown {
		out.why = endPushed
	}
	leave()
	s := out.success
	if s == nil {
		c.ended(out)
		return nil
	}
	local, why, err := c.handOver(ctx, s)
	if why == endNone {
		return local
	}
	if err != nil {
		r.log.Log(handoverFailed{c.facts(s.result.User, s.mechanism), err})
	}
	out.why, out.err, out.user, out.mechanism = why, err, s.result.User, s.mechanism
	c.ended(out)
	c.hangUp()
	return nil
}

// login ends TLS if it comes first and runs the protocol's engine.
func (c *client) login(ctx context.Context) outcome {
	var start starter
	switch {
	case c.tls != nil: // from before the login that is over
	case c.entry.door.TLS == "implicit":
		if err := c.handshake(ctx); err != nil {
			return outcome{why: endTLS, err: err}
		}
	case c.entry.door.TLS == "starttls":
		start = func(ctx context.Context, _ net.Conn) (net.Conn, error) {
			if err := c.handshake(ctx); err != nil {
				return nil, err
			}
			return c.tls, nil
		}
	}
	run := c.runIMAP
	if c.entry.door.pop3 {
		run = c.runPOP3
	}
	out := run(ctx, start)
	if out.why == endClosed && errors.Is(out.err, syscall.ECONNRESET) {
		out.why = endReset
	}
	return out
}

// handshakeLimit is for a client that says nothing; the login time is for
// people who look for their password.
const handshakeLimit = time.Minute

func (c *client) handshake(ctx context.Context) error {
	lazy, err := netx.NewLazy(c.raw)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, min(handshakeLimit, c.cfg.Limits.LoginTime.Std()))
	defer cancel()
	conn := tls.Server(lazy, c.entry.door.config)
	if err := conn.HandshakeContext(ctx); err != nil {
		c.fault = err
		c.role.metrics.handshakes.WithLabelValues("failed").Inc()
		return err
	}
	c.lazy, c.tls, c.conn = lazy, conn, conn
	state := conn.ConnectionState()
	result := "ok"
	if state.DidResume {
		result = "resumed"
	}
	c.role.metrics.handshakes.WithLabelValues(result).Inc()
	r := &c.relay.req
	r.Secured, r.LocalName = true, state.ServerName
	r.TLSProtocol, r.TLSCipher, r.TLSCipherBits = tlsx.Version(state.Version), tlsx.Cipher(state.CipherSuite), tlsx.CipherBits(state.CipherSuite)
	r.ClientCert, r.CertUser = c.role.keeper.Client(state)
	r.Binding = func(kind string) ([]byte, error) {
		return c.role.keeper.Binding(conn.ConnectionState()).ChannelBinding(kind)
	}
	return nil
}

// ended logs and counts a connection without a login.
func (c *client) ended(out outcome) {
	c.role.metrics.ended.WithLabelValues(c.protocol().String(), string(out.why)).Inc()
	err := out.err
	if errors.Is(err, io.EOF) {
		err = nil
	}
	now := c.role.now()
	c.role.log.Log(disconnected{
		facts: c.facts(out.user, out.mechanism), why: out.why, attempts: out.attempts, err: err,
		extra: c.extraWords(out, now),
		took:  now.Sub(c.started),
	})
}

// sayNo is the whole conversation with a client that gets no place. Without a
// handshake it could not read it.
func (c *client) sayNo(text string) {
	if c.entry.door.TLS == "implicit" {
		return
	}
	_ = c.raw.SetWriteDeadline(time.Now().Add(time.Second))
	line := "* BYE " + text + "\r\n"
	if c.entry.door.pop3 {
		line = "-ERR " + text + "\r\n"
	}
	_, _ = io.WriteString(c.raw, line)
}

// hangUp closes so that the last reply arrives.
func (c *client) hangUp() {
	_ = c.raw.SetDeadline(time.Now().Add(lastWords))
	c.closeWrite()
	_, _ = io.Copy(io.Discard, c.raw)
}

// closeWrite says that no more will be said.
func (c *client) closeWrite() {
	if c.tls != nil {
		_ = c.tls.CloseWrite()
	}
	_ = netx.CloseWrite(c.raw)
}
