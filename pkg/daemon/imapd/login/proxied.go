package login

import (
	"context"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/handover"
)

// header reads what a proxy says of the connection, at doors where one must
// speak first. It reports how the connection ended where that went wrong.
func (c *client) header(ctx context.Context) (why ending, err error) {
	if !c.entry.door.HAProxy {
		return endNone, nil
	}
	if !conf.Among(c.cfg.HAProxyNetworks, c.peer.Addr()) {
		return endUntrusted, nil
	}
	_ = c.raw.SetReadDeadline(time.Now().Add(c.cfg.HAProxyTimeout.Std()))
	stop := context.AfterFunc(ctx, func() { _ = c.raw.SetReadDeadline(time.Unix(1, 0)) })
	h, err := netx.ReadProxy(c.raw)
	stop()
	_ = c.raw.SetReadDeadline(time.Time{})
	switch {
	case ctx.Err() != nil:
		return endShutdown, nil
	case err != nil:
		return endNoHeader, err
	}
	if h.Source.IsValid() {
		c.moved(h.Source, h.Dest)
		c.session = sessionID(c.started, c.peer)
		c.relay.req.Session = c.session
	}
	c.proxyTLS = h.TLS
	c.relay.req.Secured, c.relay.req.LocalName = c.secured(), h.ServerName
	return endNone, nil
}

// moved takes over addresses that a proxy named. The first ones stay known as
// those of the connection.
func (c *client) moved(peer, local netip.AddrPort) {
	r := &c.relay.req
	if !r.RealRemoteAddr.IsValid() {
		r.RealRemoteAddr, r.RealLocalAddr = c.peer, c.local
	}
	if peer.IsValid() {
		c.peer, r.RemoteAddr = peer, peer
	}
	if local.IsValid() {
		c.local, r.LocalAddr = local, local
	}
	c.proxied = true
}

// trusted: the peer may say who its client is.
func (c *client) trusted() bool {
	return c.believed || conf.Among(c.cfg.TrustedNetworks, c.peer.Addr())
}

// identified takes over what a trusted proxy says by ID or XCLIENT; names of
// either that mean nothing here are left out. It reports false, and changes
// nothing, when a value cannot be.
func (c *client) identified(pairs [][2]string) bool {
	var f forwarded
	for _, p := range pairs {
		if !f.take(strings.ToLower(p[0]), p[1]) {
			return false
		}
	}
	c.believed = true // the addresses are about to be another's
	peer, local := c.peer, c.local
	f.peer.into(&peer)
	f.local.into(&local)
	if peer != c.peer || local != c.local {
		c.moved(peer, local)
	}
	if f.session != "" {
		c.session, c.relay.req.Session = f.session, f.session
	}
	for _, x := range f.fields {
		if len(c.relay.req.Forward) < maxForwarded {
			c.relay.req.Forward = append(c.relay.req.Forward, x)
		}
	}
	return true
}

// maxForwarded caps the fields that go to authd for one connection.
const maxForwarded = 16

// forwarded is what one ID or XCLIENT says.
type forwarded struct {
	peer, local endFacts
	session     string
	fields      dovecotauth.Fields
}

// endFacts are an address and a port, each of which may be left out.
type endFacts struct {
	ip   netip.Addr
	port uint16
}

func (e endFacts) into(ap *netip.AddrPort) {
	ip, port := ap.Addr(), ap.Port()
	if e.ip.IsValid() {
		ip = e.ip
	}
	if e.port != 0 {
		port = e.port
	}
	*ap = netip.AddrPortFrom(ip, port)
}

func (e *endFacts) address(v string) (err error) {
	if e.ip, err = netip.ParseAddr(v); err == nil {
		e.ip = e.ip.Unmap().WithZone("")
	}
	return err
}

func (e *endFacts) setPort(v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	e.port = uint16(n)
	return err
}

// take reads one pair, its name in lower case.
func (f *forwarded) take(name, value string) bool {
	switch name {
	case "x-originating-ip", "addr":
		return f.peer.address(value) == nil
	case "x-originating-port", "port":
		return f.peer.setPort(value) == nil
	case "x-connected-ip", "destaddr":
		return f.local.address(value) == nil
	case "x-connected-port", "destport":
		return f.local.setPort(value) == nil
	case "x-session-id", "x-session-ext-id", "session":
		f.session = value
		return fitsLog(value, handover.MaxSession)
	case "forward":
		text, err := base64.StdEncoding.DecodeString(value)
		if err != nil || len(text) > 1024 {
			return false
		}
		f.fields = append(f.fields, dovecotauth.UnpackFields(string(text))...)
		return true
	}
	if key, ok := strings.CutPrefix(name, "x-forward-"); ok && fitsLog(key, 32) && len(value) <= 255 {
		f.fields = f.fields.Add(key, value)
	}
	return true
}

// fitsLog: the value can stand in a log line and in a frame.
func fitsLog(v string, limit int) bool {
	return v != "" && len(v) <= limit && !strings.ContainsFunc(v, func(r rune) bool { return r <= 0x20 || r > 0x7E || r == '<' || r == '>' })
}
