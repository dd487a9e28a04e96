package ldaptable

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/ldapwire"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// Connections that are kept, and how long one may stay unused.
const (
	maxIdle  = 8
	idleLife = 2 * time.Minute
)

// client keeps connections to the first server that works.
type client struct {
	cfg *config

	mu     sync.Mutex
	idle   []*conn
	first  int // the target that worked last
	closed bool
}

// conn is one connection, used by one goroutine at a time.
type conn struct {
	*ldap.Conn
	wire *ldapwire.Guard
	used time.Time
}

// search runs r on a connection that may have died while it was idle, and then
// on a fresh one. Errors are the server's result, or fail.Unavailable.
func (c *client) search(ctx context.Context, r *ldap.SearchRequest) (*ldap.SearchResult, error) {
	for {
		l, fresh, err := c.take(ctx)
		if err != nil {
			return nil, err
		}
		result, err := l.search(ctx, r)
		var e *ldap.Error
		if err == nil || (errors.As(err, &e) && e.ResultCode < ldap.ErrorNetwork && ctx.Err() == nil) {
			c.put(l)
			return result, err
		}
		l.end()
		if fresh || ctx.Err() != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "search")
		}
	}
}

func (l *conn) search(ctx context.Context, r *ldap.SearchRequest) (result *ldap.SearchResult, err error) {
	err = l.within(ctx, func() error {
		result, err = l.Search(r)
		return err
	})
	return result, err
}

// within keeps op, which speaks with the server, in the limits of ctx, and a
// fault of the library from ending the daemon.
func (l *conn) within(ctx context.Context, op func() error) (err error) {
	deadline, _ := ctx.Deadline()
	l.wire.Allow(ldapwire.MaxAnswer, deadline)
	stop := context.AfterFunc(ctx, func() { _ = l.wire.Close() })
	defer func() {
		if r := recover(); r != nil {
			err = fail.New(fail.Unavailable, "the LDAP library gave up: %v", r)
		}
		if !stop() {
			err = fail.Wrap(fail.Unavailable, ctx.Err(), "no answer in time")
		}
	}()
	return op()
}

func (l *conn) end() {
	_ = l.wire.Close()
	_ = l.Close()
}

func (c *client) take(ctx context.Context) (l *conn, fresh bool, err error) {
	c.mu.Lock()
	for n := len(c.idle); n > 0 && l == nil; n = len(c.idle) {
		one := c.idle[n-1]
		c.idle = c.idle[:n-1]
		if time.Since(one.used) < idleLife {
			l = one
		} else {
			one.end()
		}
	}
	first := c.first
	c.mu.Unlock()
	if l != nil {
		return l, false, nil
	}
	var why []string
	for i := range c.cfg.targets {
		at := (first + i) % len(c.cfg.targets)
		left := len(c.cfg.targets) - i
		if l, err = c.connect(ctx, c.cfg.targets[at], left); err == nil {
			c.mu.Lock()
			c.first = at
			c.mu.Unlock()
			return l, true, nil
		}
		why = append(why, c.cfg.targets[at].URI+": "+err.Error())
	}
	return nil, false, fail.New(fail.Unavailable, "%s", strings.Join(why, "; "))
}

// connect reaches one server within its share of the time that is left.
func (c *client) connect(ctx context.Context, t ldapwire.Target, share int) (*conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(share))
		defer cancel()
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, t.Network, t.Addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	stream, err := c.encrypt(ctx, t, raw)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	wire := ldapwire.NewGuard(stream, raw)
	l := &conn{Conn: ldap.NewConn(wire, true), wire: wire}
	l.Start()
	if c.cfg.bind == "yes" && c.cfg.dn != "" {
		if err := l.within(ctx, func() error { return l.Bind(c.cfg.dn, c.cfg.pw) }); err != nil {
			l.end()
			return nil, fail.Wrap(fail.Unavailable, err, "binding as %s", c.cfg.dn)
		}
	}
	return l, nil
}

func (c *client) encrypt(ctx context.Context, t ldapwire.Target, raw net.Conn) (net.Conn, error) {
	if !t.TLS && (!c.cfg.startTLS || t.Network == "unix") {
		return raw, nil
	}
	config, err := c.cfg.tls.config(t.Host)
	if err != nil {
		return nil, err
	}
	if !t.TLS {
		if err := ldapwire.StartTLS(raw); err != nil {
			return nil, err
		}
	}
	s := tls.Client(raw, config)
	return s, fail.Wrap(fail.Unavailable, s.HandshakeContext(ctx), "TLS")
}

// config reads the files anew: renewed ones count for new connections.
func (t tlsFiles) config(host string) (*tls.Config, error) {
	var roots *x509.CertPool
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "tls_ca_cert_file")
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fail.New(fail.Unavailable, "tls_ca_cert_file %s holds no certificate", t.ca)
		}
	}
	config := tlsx.Strict(host, roots)
	config.InsecureSkipVerify = !t.check
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "tls_cert")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (c *client) put(l *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= maxIdle {
		l.end()
		return
	}
	l.used = time.Now()
	c.idle = append(c.idle, l)
}

// close ends idle connections, and each of the others when its search is done.
// Close is cf.Client's.
func (c *client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, l := range c.idle {
		l.end()
	}
	c.idle = nil
}
