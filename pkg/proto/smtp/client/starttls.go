package client

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// startTLS upgrades the connection as the mode wants (RFC 3207), and says
// EHLO again: what the server announced in the clear counts no more.
func (c *Conn) startTLS(ctx context.Context) error {
	switch c.cfg.TLSMode {
	case NoTLS, ImplicitTLS:
		return nil
	case OpportunisticTLS:
		if !c.has("STARTTLS") {
			return nil
		}
	case RequiredTLS:
		if !c.has("STARTTLS") {
			return &SiteError{Stage: StageSTARTTLS, TLS: true, Err: fail.New(fail.Temporary, "server does not offer STARTTLS, which is required")}
		}
	}
	r, err := c.command(ctx, StageSTARTTLS, c.cfg.Timeouts.TLS, "STARTTLS")
	var site *SiteError
	switch {
	case errors.As(err, &site):
		site.TLS = site.Err == nil // 421
		return err
	case !r.OK() && c.cfg.TLSMode == OpportunisticTLS:
		return nil // the session goes on as it is
	case !r.OK():
		return &SiteError{Stage: StageSTARTTLS, Reply: r, TLS: true}
	}
	if err := c.handshake(ctx); err != nil {
		return err
	}
	return c.hello(ctx)
}

func (c *Conn) handshake(ctx context.Context) error {
	if c.cfg.TLS == nil {
		return &SiteError{Stage: StageTLS, TLS: true, Err: fail.New(fail.Invalid, "no TLS configuration")}
	}
	conn := tls.Client(c.raw, c.cfg.TLS)
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.TLS)
	defer cancel()
	_ = conn.SetDeadline(time.Now().Add(c.cfg.Timeouts.TLS)) // fails only when closed
	if err := conn.HandshakeContext(ctx); err != nil {
		return &SiteError{Stage: StageTLS, TLS: true, Err: err}
	}
	c.use(conn)
	state := conn.ConnectionState()
	c.tls = &state
	return nil
}
