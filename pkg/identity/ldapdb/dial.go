package ldapdb

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// target is what a URI says.
type target struct {
	uri           string
	network, addr string
	host          string // for the certificate
	tls           bool   // from the first byte
	local         bool   // a Unix socket or the loopback: nobody can listen in
}

// parseURI reads ldap://host[:port], ldaps://host[:port] and
// ldapi://%2Fpath%2Fof%2Fsocket.
func parseURI(uri string) (target, error) {
	scheme, rest, _ := strings.Cut(uri, "://")
	rest = strings.TrimSuffix(rest, "/")
	t := target{uri: uri, network: "tcp"}
	port := "389"
	switch strings.ToLower(scheme) {
	case "ldap":
	case "ldaps":
		t.tls, port = true, "636"
	case "ldapi":
		path, err := url.PathUnescape(rest)
		if err != nil || (path != "" && path[0] != '/') {
			return target{}, fail.New(fail.Invalid, "%q names no socket: write ldapi://%%2Frun%%2Fslapd%%2Fldapi", uri)
		}
		if path == "" {
			path = "/run/slapd/ldapi"
		}
		return target{uri: uri, network: "unix", addr: path, local: true}, nil
	default:
		return target{}, fail.New(fail.Invalid, "%q is no LDAP URI: write ldaps://host, ldap://host or ldapi://socket", uri)
	}
	u, err := url.Parse("ldap://" + rest)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return target{}, fail.New(fail.Invalid, "%q is not of the form %s://host:port", uri, scheme)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t.host = u.Hostname()
	t.addr = net.JoinHostPort(t.host, port)
	ip := net.ParseIP(t.host)
	t.local = t.host == "localhost" || (ip != nil && ip.IsLoopback())
	return t, nil
}

// dial opens a connection to t, encrypted as configured. ctx bounds all of it.
func (s *server) dial(ctx context.Context, t target) (*guard, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, t.network, t.addr)
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
	return newGuard(stream, raw), nil
}

func (s *server) encrypt(ctx context.Context, t target, raw net.Conn) (net.Conn, error) {
	if !t.tls && (!s.cfg.StartTLS || t.network == "unix") {
		return raw, nil
	}
	config, err := s.tlsConfig(t.host)
	if err != nil {
		return nil, err
	}
	if !t.tls {
		if err := startTLS(raw); err != nil {
			return nil, err
		}
	}
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "TLS")
	}
	return c, nil
}

// startTLSName is the extended operation of RFC 4511 section 4.14.
const startTLSName = "1.3.6.1.4.1.1466.20037"

// startTLS asks for TLS. It reads exactly one message, so that nothing that was
// sent in the clear can pass for a part of the encrypted stream.
func startTLS(conn net.Conn) error {
	request := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, ""))
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationExtendedRequest, nil, "")
	op.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, startTLSName, ""))
	request.AppendChild(op)
	if _, err := conn.Write(request.Bytes()); err != nil {
		return err
	}
	var left atomic.Int64
	left.Store(maxAnswer)
	m, err := readMessage(conn, &left)
	if err != nil {
		return err
	}
	answer, err := ber.ReadPacket(bytes.NewReader(m))
	if err != nil {
		return err
	}
	if len(answer.Children) < 2 || answer.Children[0].Value != int64(1) || answer.Children[1].Tag != ldap.ApplicationExtendedResponse {
		return fail.New(fail.Unavailable, "the server's answer to StartTLS is none")
	}
	if err := ldap.GetLDAPError(answer); err != nil {
		return fail.New(fail.Unavailable, "the server refuses StartTLS: %.200s", err.Error())
	}
	return nil
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
	wire *guard
	from *endpoint
	age  int64 // of the endpoint, when the connection was made
	born time.Time
	used time.Time
}

// do runs op, which speaks with the server, until ctx ends. dead says that the
// connection is of no use any more.
func (c *conn) do(ctx context.Context, limit int64, op func(*ldap.Conn) error) (dead bool, err error) {
	deadline, _ := ctx.Deadline()
	c.wire.allow(limit, deadline)
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
		c.wire.allow(maxAnswer, time.Now().Add(time.Second))
		_ = c.ldap.Unbind()
	}
	_ = c.wire.Close()
	_ = c.ldap.Close()
}
