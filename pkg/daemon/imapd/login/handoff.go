package login

import (
	"context"
	"net"
	"path/filepath"
	"syscall"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/handover"
)

// handoverLimit bounds the whole way to the session role, its question to
// authd included. The login expires there after as long.
const handoverLimit = 30 * time.Second

// handOver gives the connection to the session role. Where there is a pump it
// returns its near end; if nobody took the connection, how it ended.
func (c *client) handOver(ctx context.Context, s *success) (local *net.UnixConn, why ending, err error) {
	local, pid, err := c.offerTo(ctx, s)
	if err != nil {
		c.count("internal")
		s.refuse(reason{imap.ResponseCodeUnavailable, "SYS/TEMP", textInternal})
		return nil, endInternal, err
	}
	c.mpid = pid
	c.count("ok")
	c.role.log.Log(loggedIn{c.facts(s.result.User, s.mechanism), c.role.now().Sub(c.started)})
	return local, endNone, nil
}

func (c *client) count(result string) {
	c.role.metrics.logins.WithLabelValues(c.protocol().String(), result).Inc()
}

// offerTo offers the descriptor itself, or for the pump one end of a new pair
// whose other end it returns.
func (c *client) offerTo(ctx context.Context, s *success) (local *net.UnixConn, pid int, err error) {
	ctx, cancel := context.WithTimeout(ctx, handoverLimit)
	defer cancel()
	path, err := c.socketFor(s)
	if err != nil {
		return nil, 0, err
	}
	var stream syscall.Conn
	if !c.pumped() {
		var ok bool
		if stream, ok = netx.Base(c.raw).(syscall.Conn); !ok {
			return nil, 0, fail.New(fail.Invalid, "%T has no descriptor", c.raw)
		}
	} else {
		if err := c.beLazy(); err != nil {
			return nil, 0, err
		}
		pair, remote, err := netx.SocketPair()
		if err != nil {
			return nil, 0, fail.Wrap(fail.Unavailable, err, "pair of sockets")
		}
		defer remote.Close()
		local, stream = pair, remote
	}
	a, err := c.role.links.Offer(ctx, path, c.frame(s), stream)
	if err != nil {
		if local != nil {
			_ = local.Close()
		}
		if s.result.Sealed != "" { // by the key of a process that is no more, maybe
			c.role.sealedBy("")
		}
		return nil, 0, err
	}
	if path == c.cfg.SessionSocket {
		c.role.sealedBy(a.Seal)
	}
	return local, int(a.PID), nil
}

// sealedBy remembers the session role's key, which authd may seal the logins to
// come with: the session role need not ask about those; none if name is empty. It is
// that of the default instance; authd seals nothing for who goes to another one.
func (r *role) sealedBy(name string) {
	if known := r.seal.Load(); known == nil || *known != name {
		r.seal.Store(&name)
	}
}

// socketFor picks the instance of the session role that authd names.
func (c *client) socketFor(s *success) (string, error) {
	name := s.result.Fields.Get("instance")
	if name == "" || c.cfg.SessionSockets == "" {
		return c.cfg.SessionSocket, nil
	}
	for _, b := range []byte(name) {
		if !(b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-' || b == '_') || len(name) > 32 {
			return "", fail.New(fail.Invalid, "authd names instance %.40q of the session role, which cannot be", name)
		}
	}
	return filepath.Join(c.cfg.SessionSockets, name), nil
}

// pumped: the connection stays here, and its bytes go through the pump.
func (c *client) pumped() bool { return c.tls != nil || c.returnable() }

// beLazy readies a connection without TLS for the pump.
func (c *client) beLazy() error {
	if c.lazy != nil {
		return nil
	}
	lazy, err := netx.NewLazy(c.raw)
	if err != nil {
		return fail.Wrap(fail.Invalid, err, "pump")
	}
	c.lazy, c.conn = lazy, lazy
	return nil
}

// returnable: the session role may give the client back (RFC 8437). Only the
// pump can take it.
func (c *client) returnable() bool {
	return c.cfg.Unauthenticate && c.protocol() == handover.IMAP
}

func (c *client) frame(s *success) *handover.Frame {
	f := &handover.Frame{
		Protocol: c.protocol(), Tag: s.tag, Session: c.session,
		ClientPID: s.result.PID, RequestID: s.result.RequestID, Cookie: s.result.Cookie, Sealed: s.result.Sealed,
		Mechanism: s.mechanism, Secured: c.secured(), Returnable: c.returnable(), Peer: c.peer, Local: c.local, Buffered: s.buffered,
	}
	if c.tls != nil {
		state := c.tls.ConnectionState()
		f.TLSVersion, f.TLSCipher = tlsx.Version(state.Version), tlsx.Cipher(state.CipherSuite)
	}
	return f
}
