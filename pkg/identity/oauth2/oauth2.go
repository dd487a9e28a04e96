package oauth2

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// name is Dovecot's name of the driver.
const name = "oauth2"

// DB checks tokens. It is safe for concurrent use.
type DB struct {
	cfg      Config
	now      func() time.Time
	http     *client
	secret   string // of client_id
	format   expand.Template
	attrs    map[string]expand.Template
	algs     []jose.SignatureAlgorithm
	keys     *cached[keySet]   // local
	metadata *cached[metadata] // not local, and no introspection_url
}

// Driver is what New makes: a passdb.TokenVerifier, and with
// password_is_token a passdb.Verifier too. Close it after use.
type Driver interface {
	passdb.Driver
	passdb.TokenVerifier
	io.Closer
}

// fileTTL is how long keys from a file are taken for current.
const fileTTL = 5 * time.Second

// New makes the database that c describes, which must be valid. It asks nobody
// yet.
func New(c Config, now func() time.Time) (Driver, error) {
	d := &DB{cfg: c, now: now, attrs: map[string]expand.Template{}, algs: algorithmsOf(c.Algorithms)}
	var err error
	if d.http, err = newClient(c, now); err != nil {
		return nil, err
	}
	if c.ClientSecretFile != "" {
		if d.secret, err = c.ClientSecretFile.Read(); err != nil {
			return nil, err
		}
	}
	if d.format, err = expand.Parse(c.UsernameFormat); err != nil {
		return nil, err
	}
	for key, text := range c.PassAttrs {
		if d.attrs[key], err = expand.Parse(text); err != nil {
			return nil, err
		}
	}
	switch fetching := 2 * c.Timeout.Std(); { // metadata, then keys
	case c.local() && c.JWKSFile != "":
		d.keys = newCached(d.loadFile, fetching, fileTTL, now)
	case c.local():
		d.keys = newCached(d.loadURL, fetching, c.JWKSTTL.Std(), now)
	case c.IntrospectionURL == "" && c.OpenIDConfigurationURL != "":
		d.metadata = newCached(d.discover, fetching, c.JWKSTTL.Std(), now)
	}
	if c.PasswordIsToken {
		return &passwordDB{d}, nil
	}
	return d, nil
}

// Name is Dovecot's name of the driver.
func (*DB) Name() string { return name }

// Close ends what is being fetched, and idle connections. It never fails.
func (d *DB) Close() error {
	if d.keys != nil {
		d.keys.close()
	}
	if d.metadata != nil {
		d.metadata.close()
	}
	d.http.close()
	return nil
}

// VerifyToken says for whom a token is. If r names a user, it is for that one.
func (d *DB) VerifyToken(ctx context.Context, r *request.Request, token string) (passdb.Account, error) {
	if !bearer(token) {
		return passdb.Account{}, refuse("this is no bearer token")
	}
	var c claims
	var err error
	if d.cfg.local() {
		c, err = d.local(ctx, token)
	} else if c, err = d.remote(ctx, token); err == nil {
		err = d.vouched(c)
	}
	if err != nil {
		return passdb.Account{}, classify(err)
	}
	return d.account(r, token, c)
}

// classify makes an outage of whatever is not a refusal.
func classify(err error) error {
	if passdb.RefusedOf(err) != nil {
		return err
	}
	return fail.Wrap(fail.Unavailable, err, "%s", name)
}

// maxToken caps a token; the SASL exchange that carries it is capped at about
// as much.
const maxToken = 12 << 10

// bearer reports the form of a bearer token: b64token of RFC 6750 section 2.1.
func bearer(token string) bool {
	body := strings.TrimRight(token, "=")
	if body == "" || len(token) > maxToken {
		return false
	}
	for i := range len(body) {
		c := body[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-' || c == '.' || c == '_' || c == '~' || c == '+' || c == '/':
		default:
			return false
		}
	}
	return true
}

// passwordDB takes passwords for tokens.
type passwordDB struct{ *DB }

// Verify is VerifyToken for a token that came as a password.
func (d *passwordDB) Verify(ctx context.Context, r *request.Request, password string) (passdb.Account, error) {
	return d.VerifyToken(ctx, r, password)
}
