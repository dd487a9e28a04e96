package authclient

import (
	"context"
	"net"
	"os"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/link"
)

// Config says where authd is. Zero values take the defaults named here.
type Config struct {
	Address          string                                      // Unix socket path, or "inet:host:port"
	PID              uint32                                      // our CPID; default os.Getpid()
	Patience         time.Duration                               // how long a request waits for a connection; default 2 s
	HandshakeTimeout time.Duration                               // default 10 s
	RequestTimeout   time.Duration                               // for each reply; default 150 s, Dovecot's limit
	Dial             func(ctx context.Context) (net.Conn, error) // for tests; default dials Address
	// ChannelBinding says that requests over TLS come with Binding; without it
	// mechanisms that need it are neither asked for nor listed.
	ChannelBinding bool
}

// Client is safe for concurrent use. It connects at its first request.
type Client struct {
	link *link.Link
	pid  uint32
}

// New makes a client; it does not connect yet, so the server may come later.
func New(cfg Config) *Client {
	if cfg.PID == 0 {
		cfg.PID = uint32(os.Getpid())
	}
	// Minor 2 is the last version without channel bindings. Whoever claims
	// at least 1 gets temporary failures as such.
	minor := "2"
	if cfg.ChannelBinding {
		minor = "3"
	}
	hello := dovecotauth.AppendLine(nil, "VERSION", "1", minor)
	hello = dovecotauth.AppendLine(hello, "CPID", dovecotauth.FormatID(cfg.PID))
	return &Client{
		pid: cfg.PID,
		link: link.New(link.Config{
			Address: cfg.Address, Dial: cfg.Dial, Hello: hello,
			Greet:    func() link.Handshake { return &handshake{binding: cfg.ChannelBinding} },
			Patience: cfg.Patience, HandshakeTimeout: cfg.HandshakeTimeout, RequestTimeout: cfg.RequestTimeout,
		}),
	}
}

// Close drops the connection; logins not yet redeemed are lost with it.
func (c *Client) Close() { c.link.Close() }

// Mechanisms returns what the server offers, connecting if need be. On
// fail.Unavailable announce no AUTH, or answer AUTH with a temporary failure.
func (c *Client) Mechanisms(ctx context.Context) ([]dovecotauth.Mechanism, error) {
	conn, err := c.link.Get(ctx)
	if err != nil {
		return nil, err
	}
	return greeting(conn).mechs, nil
}

// Stamp returns the numbers that name the server process and our connection to
// it. APOP challenges are made of them, and good for that connection only.
func (c *Client) Stamp(ctx context.Context) (serverPID, connection uint32, err error) {
	conn, err := c.link.Get(ctx)
	if err != nil {
		return 0, 0, err
	}
	h := greeting(conn)
	return h.spid, h.cuid, nil
}

// Start begins an exchange and waits for the server's first answer. The
// exchange is nil when err is not. ctx bounds this call only. When the server
// goes away before it has answered, it is asked once more. Errors: as Next.
func (c *Client) Start(ctx context.Context, r Request) (*Exchange, Step, error) {
	if !dovecotauth.ValidMechName(r.Mech) || r.Service == "" {
		return nil, Step{}, fail.New(fail.Invalid, "authentication request without mechanism or service")
	}
	params := r.params()
	if size := maxHead + len(params); size > dovecotauth.MaxLine {
		return nil, Step{}, fail.New(fail.Invalid, "authentication request of %d bytes is too long", size)
	}
	x, step, lost, err := c.begin(ctx, r, params)
	if lost && ctx.Err() == nil {
		x, step, _, err = c.begin(ctx, r, params)
	}
	return x, step, err
}

// begin is one try of Start; lost says that the connection ended without an
// answer.
func (c *Client) begin(ctx context.Context, r Request, params []byte) (x *Exchange, step Step, lost bool, err error) {
	conn, err := c.link.Get(ctx)
	if err != nil {
		return nil, Step{}, false, err
	}
	if !greeting(conn).offers(r.Mech) {
		// A Dovecot before 2.4.3 hangs up on an unknown mechanism, which
		// would fail everybody's requests.
		return nil, Step{}, false, fail.New(fail.Invalid, "authentication mechanism %s is not offered", r.Mech)
	}
	call, err := c.link.Begin(ctx, func(_ *link.Conn, id uint32) []byte {
		return appendAuth(make([]byte, 0, maxHead+len(params)), id, params)
	})
	if err != nil {
		return nil, Step{}, false, err
	}
	x = &Exchange{call: call, pid: c.pid, cookie: greeting(call.Conn()).cookie, binding: r.Binding}
	if step, err = x.await(ctx); err != nil {
		return nil, Step{}, call.Lost(), err
	}
	return x, step, false, nil
}

func greeting(c *link.Conn) *handshake {
	h, _ := c.Greeting.(*handshake)
	return h
}
