package server

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
)

// cmdStartTLS is STARTTLS (RFC 3207).
func (e *engine) cmdStartTLS(args []byte) Reply {
	switch {
	case len(args) > 0:
		return e.refused("STARTTLS", syntax("Syntax: STARTTLS"), args)
	case e.pub.TLS != nil:
		return e.refused("STARTTLS", MakeReply(554, 5, 5, 1, "Error: TLS already active"), args)
	case e.cfg.TLS == nil || e.pub.Policy.Words.HideStartTLS:
		return e.refused("STARTTLS", MakeReply(502, 5, 5, 1, "Error: command not implemented"), args)
	}
	e.then = func() {
		if e.out.err != nil {
			e.end(Lost, e.out.err)
			return
		}
		// Whatever came behind STARTTLS in the clear may be an attacker's
		// (RFC 3207 section 6, CVE-2011-0411). It is dropped with the buffer,
		// and nothing learned before counts any more (section 4.2).
		e.in.Release()
		e.forget()
		if !e.handshake() {
			e.counts[e.current].ok--
			e.sum.OK--
		}
	}
	return MakeReply(220, 2, 0, 0, "Ready to start TLS")
}

// handshake makes the connection a TLS one, or ends it.
func (e *engine) handshake() bool {
	below := net.Conn(e.pub.Net)
	lazy, err := netx.NewLazy(below)
	if err == nil {
		below = lazy
	}
	conn := tls.Server(below, e.cfg.TLS)
	ctx, cancel := context.WithTimeout(e.ctx, e.cfg.Timeouts.TLS)
	defer cancel()
	_ = conn.SetDeadline(time.Now().Add(e.cfg.Timeouts.TLS))
	if err := conn.HandshakeContext(ctx); err != nil {
		e.hooks.Event(Event{Kind: EventTLSFailed, Err: err})
		e.end(TLSFailed, err)
		return false
	}
	e.src.secure(conn, lazy)
	e.out.secure(conn)
	state := conn.ConnectionState()
	e.pub.TLS = &state
	if e.cfg.Client != nil {
		e.pub.ClientCert, e.pub.CertUser = e.cfg.Client(state)
	}
	e.hooks.Event(Event{Kind: EventTLS})
	return true
}
