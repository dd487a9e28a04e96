package edge

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// Doorman reads PROXY headers at a listener and counts the clients behind the
// proxies, which all seem to come from the same few addresses.
type Doorman struct {
	cfg     atomic.Pointer[Config]
	clients netx.Tally[netip.Prefix]
}

// Use is the configuration from now on.
func (d *Doorman) Use(c *Config) { d.cfg.Store(c) }

// Addresses reads a connection's header and returns whom it is between: the
// connection's own ends when the proxy speaks for itself. Errors: fail.Denied
// for a peer that is no proxy of ours, fail.Invalid for a missing or broken
// header, fail.Unavailable when ctx ends.
func (d *Doorman) Addresses(ctx context.Context, conn net.Conn) (remote, local net.Addr, err error) {
	cfg := d.cfg.Load()
	remote, local = conn.RemoteAddr(), conn.LocalAddr()
	if !conf.Among(cfg.HAProxyNetworks, netx.AddrPort(remote).Addr()) {
		return nil, nil, fail.New(fail.Denied, "%s is not in smtpd.haproxy_trusted_networks", remote)
	}
	_ = conn.SetReadDeadline(time.Now().Add(cfg.HAProxyTimeout.Std()))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	h, err := netx.ReadProxy(conn)
	stop()
	_ = conn.SetReadDeadline(time.Time{})
	switch {
	case ctx.Err() != nil:
		return nil, nil, fail.Wrap(fail.Unavailable, ctx.Err(), "PROXY header of %s", remote)
	case err != nil:
		return nil, nil, err
	}
	if h.Source.IsValid() {
		remote, local = net.TCPAddrFromAddrPort(h.Source), net.TCPAddrFromAddrPort(h.Dest)
	}
	return remote, local, nil
}

// Admit counts a client that a proxy named. leave is nil when there are limit
// from its network already; networks in exempt are not counted, a limit of 0
// is none.
func (d *Doorman) Admit(remote net.Addr, limit int, exempt []netip.Prefix) (leave func()) {
	ip := netx.AddrPort(remote).Addr().WithZone("")
	if limit <= 0 || !ip.IsValid() || netx.Among(exempt, ip) {
		return func() {}
	}
	site := netx.Site(ip)
	if !d.clients.Take(site, limit) {
		return nil
	}
	return func() { d.clients.Give(site) }
}
