package ldapdb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/ldapwire"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// dial opens a connection to t, encrypted as configured. ctx bounds all of it.
func (s *server) dial(ctx context.Context, t ldapwire.Target) (*ldapwire.Guard, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, t.Network, t.Addr)
	if err != nil {
		return nil, err
	}
	// ctx reaches the reads and writes below by closing under them.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	stream, err := s.encrypt(ctx, t, raw)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return ldapwire.NewGuard(stream, raw), nil
}

func (s *server) encrypt(ctx context.Context, t ldapwire.Target, raw net.Conn) (net.Conn, error) {
	if !t.TLS && (!s.cfg.StartTLS || t.Network == "unix") {
		return raw, nil
	}
	config, err := s.tlsConfig(t.Host)
	if err != nil {
		return nil, err
	}
	if !t.TLS {
		if err := ldapwire.StartTLS(raw); err != nil {
			return nil, err
		}
	}
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "TLS")
	}
	return c, nil
}

// tlsConfig reads the files anew, so that a renewed certificate is used by the
// next connection.
func (s *server) tlsConfig(host string) (*tls.Config, error) {
	var roots *x509.CertPool
	if s.cfg.CAFile != "" {
		pem, err := os.ReadFile(s.cfg.CAFile)
		if err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "ca_file")
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fail.New(fail.Unavailable, "ca_file %s holds no certificate", s.cfg.CAFile)
		}
	}
	config := tlsx.Strict(host, roots)
	config.Time = s.now
	config.InsecureSkipVerify = !s.cfg.TLSVerify
	if s.cfg.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.cfg.CertFile, s.cfg.KeyFile)
		if err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "cert_file")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// conn is one connection, used by one goroutine at a time.
type conn struct {
	ldap *ldap.Conn
	wire *ldapwire.Guard
	from *endpoint
	age  int64 // of the endpoint, when the connection was made
	born time.Time
	used time.Time
}

// do runs op, which speaks with the server, until ctx ends. dead says that the
// connection is of no use any more.
func (c *conn) do(ctx context.Context, limit int64, op func(*ldap.Conn) error) (dead bool, err error) {
	deadline, _ := ctx.Deadline()
	c.wire.Allow(limit, deadline)
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	err = careful(c.ldap, op)
	if !stop() {
		return true, ctx.Err()
	}
	return err != nil && !answered(err), err
}

// careful keeps a fault of the LDAP library from ending the daemon.
func careful(l *ldap.Conn, op func(*ldap.Conn) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fail.New(fail.Unavailable, "the LDAP library gave up: %v", r)
		}
	}()
	return op(l)
}

// bindAsService binds as the configured user, or leaves the connection
// anonymous when there is none.
func (s *server) bindAsService(l *ldap.Conn) error {
	switch {
	case s.cfg.SASLExternal:
		return l.ExternalBind()
	case s.cfg.BindDN == "":
		return nil
	}
	password := s.cfg.password
	if password == "" {
		var err error
		if password, err = s.cfg.BindPasswordFile.Read(); err != nil {
			return err
		}
	}
	return l.Bind(s.cfg.BindDN, password)
}

// close ends the connection, politely when it still works.
func (c *conn) close(dead bool) {
	if !dead {
		c.wire.Allow(ldapwire.MaxAnswer, time.Now().Add(time.Second))
		_ = c.ldap.Unbind()
	}
	_ = c.wire.Close()
	_ = c.ldap.Close()
}
