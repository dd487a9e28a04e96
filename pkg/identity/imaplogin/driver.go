package imaplogin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"time"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// The values of Config.TLS.
const (
	tlsImplicit = "imaps"
	tlsStart    = "starttls"
	tlsNone     = "none"
)

// Config is a password database's section `imap`.
type Config struct {
	Address string        `yaml:"address" example:"imap.old.example:993" doc:"Server and port."`
	TLS     string        `yaml:"tls" oneof:"imaps|starttls|none" doc:"How the connection is encrypted. none sends passwords readable: only for a loopback address or a private wire."`
	CAFile  string        `yaml:"ca_file" path:"read" doc:"Certificates that the server's must lead to; empty means the system's."`
	Name    string        `yaml:"user" doc:"Name to log in with there."`
	Timeout conf.Duration `yaml:"timeout" min:"1s" max:"5m" doc:"How long one login may take."`
	Limit   int           `yaml:"limit" min:"1" max:"1000" doc:"Logins at a time; further ones wait."`
}

// DefaultConfig is the section when it says nothing.
func DefaultConfig() Config {
	return Config{TLS: tlsImplicit, Name: "%{user}", Timeout: conf.Duration(30 * time.Second), Limit: 20}
}

// Validate reports what cannot work.
func (c Config) Validate(p *conf.Reporter) {
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		p.At("address").Hint("write host:port, such as imap.example.org:993").Errorf("%q is no server address", c.Address)
	}
	if _, err := expand.Parse(c.Name); err != nil {
		p.At("user").Errorf("%v", err)
	}
}

// Driver is the password database. It is safe for concurrent use.
type Driver struct {
	conf  Config
	host  string
	user  expand.Template
	tls   *tls.Config
	slots chan struct{}
}

// New makes the driver; it reads the CA file and connects to nothing.
func New(c Config) (*Driver, error) {
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "imap: address %q", c.Address)
	}
	user, err := expand.Parse(c.Name)
	if err != nil {
		return nil, err
	}
	var roots *x509.CertPool
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "imap: ca_file")
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fail.New(fail.Invalid, "imap: ca_file %s holds no certificate", c.CAFile)
		}
	}
	return &Driver{conf: c, host: host, user: user, tls: tlsx.Strict(host, roots), slots: make(chan struct{}, max(c.Limit, 1))}, nil
}

// Name is Dovecot's name of the driver.
func (*Driver) Name() string { return "imap" }

// Verify logs in at the other server.
func (d *Driver) Verify(ctx context.Context, r *request.Request, password string) (passdb.Account, error) {
	user, err := d.user.Expand(r, nil)
	if err != nil {
		return passdb.Account{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.conf.Timeout.Std())
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return passdb.Account{}, fail.Wrap(fail.Unavailable, ctx.Err(), "imap: all logins at %s are busy", d.conf.Address)
	}
	right, err := d.try(ctx, user, password)
	switch {
	case err != nil:
		return passdb.Account{}, fail.Wrap(fail.Unavailable, err, "imap server %s", d.conf.Address)
	case !right:
		return passdb.Account{}, passdb.Refuse(d.Name(), passdb.Mismatch)
	}
	return passdb.Account{User: r.User}, nil
}

func (d *Driver) try(ctx context.Context, user, password string) (bool, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", d.conf.Address)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if d.conf.TLS == tlsImplicit {
		conn = tls.Client(conn, d.tls)
	}
	s := newSession(conn)
	if err := s.greeting(); err != nil {
		return false, err
	}
	if d.conf.TLS == tlsStart {
		if s, err = s.startTLS(d.tls); err != nil {
			return false, err
		}
	}
	return s.login(user, password)
}
