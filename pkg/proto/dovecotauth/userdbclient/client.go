package userdbclient

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/link"
)

// Config says where authd is. Zero values take the defaults named here.
type Config struct {
	Address          string                                      // Unix socket path, or "inet:host:port"
	Patience         time.Duration                               // how long a request waits for a connection; default 2 s
	HandshakeTimeout time.Duration                               // default 10 s
	RequestTimeout   time.Duration                               // for each reply; default 30 s
	Dial             func(ctx context.Context) (net.Conn, error) // for tests; default dials Address
}

// Client is safe for concurrent use. It connects at its first request.
type Client struct {
	link *link.Link
}

// New makes a client; it does not connect yet, so the server may come later.
func New(cfg Config) *Client {
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = 30 * time.Second
	}
	return &Client{link: link.New(link.Config{
		Address: cfg.Address, Dial: cfg.Dial,
		Hello:    dovecotauth.AppendLine(nil, "VERSION", "1", "1"),
		Greet:    func() link.Handshake { return &handshake{} },
		Patience: cfg.Patience, HandshakeTimeout: cfg.HandshakeTimeout, RequestTimeout: cfg.RequestTimeout,
	})}
}

// Close drops the connection.
func (c *Client) Close() { c.link.Close() }

// Ping connects if need be and reports whether the server can be asked.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.link.Get(ctx)
	return err
}

// User looks name up for service ("lmtp", "smtp", "imap"). Errors:
// fail.NotFound, fail.Denied (this peer may not ask), fail.Unavailable. When
// the server goes away in between, it is asked once more.
func (c *Client) User(ctx context.Context, name, service string) (UserRecord, error) {
	r, lost, err := c.user(ctx, name, service)
	if lost && ctx.Err() == nil {
		r, _, err = c.user(ctx, name, service)
	}
	return r, err
}

func (c *Client) user(ctx context.Context, name, service string) (r UserRecord, lost bool, err error) {
	return c.ask(ctx, "user "+name, fail.Unavailable, "USER", name, "service="+service)
}

// Redeem turns the login that clientPID was granted as requestID into its
// user record, once. sessionPID is the asking process; 0 means os.Getpid().
// Errors: fail.Denied (unknown, used, expired, not ours), fail.Unavailable.
func (c *Client) Redeem(ctx context.Context, clientPID, requestID uint32, cookie string, sessionPID int) (UserRecord, error) {
	if sessionPID == 0 {
		sessionPID = os.Getpid()
	}
	r, _, err := c.ask(ctx, "login "+dovecotauth.FormatID(requestID), fail.Denied, "REQUEST",
		dovecotauth.FormatID(clientPID), dovecotauth.FormatID(requestID), cookie,
		"session_pid="+strconv.Itoa(sessionPID))
	return r, err
}

// ask sends one request and reads its one answer. what names it in errors;
// lost says that the connection ended without an answer;
// bare is what a FAIL without a code means: an internal error for USER, a
// login that cannot be redeemed for REQUEST.
func (c *Client) ask(ctx context.Context, what string, bare fail.Kind, verb string, params ...string) (r UserRecord, lost bool, err error) {
	size := len(verb)
	for _, p := range params {
		size += 1 + 2*len(p)
	}
	if size > dovecotauth.MaxLine-16 {
		return UserRecord{}, false, fail.New(fail.NotFound, "user name of %d bytes is longer than any user's", len(params[0]))
	}
	call, err := c.link.Begin(ctx, func(_ *link.Conn, id uint32) []byte {
		return dovecotauth.AppendLine(nil, verb, append([]string{dovecotauth.FormatID(id)}, params...)...)
	})
	if err != nil {
		return UserRecord{}, false, err
	}
	defer call.End()
	line, err := call.Wait(ctx)
	if err != nil {
		return UserRecord{}, call.Lost(), err
	}
	r, err = answer(what, bare, line)
	return r, false, err
}

func answer(what string, bare fail.Kind, line dovecotauth.Line) (UserRecord, error) {
	switch line.Verb {
	case "USER":
		return parseRecord(line)
	case "NOTFOUND":
		return UserRecord{}, fail.New(fail.NotFound, "%s: no such user", what)
	case "FAIL":
		return UserRecord{}, refusal(what, bare, line.Fields(1))
	}
	return UserRecord{}, fail.New(fail.Unavailable, "auth service sent an unknown reply %.20q", line.Verb)
}

func refusal(what string, kind fail.Kind, fs dovecotauth.Fields) error {
	reason := fs.Get("reason")
	if reason == "" {
		reason = "refused by auth service"
	}
	switch fs.Get("code") {
	case "temp_fail":
		kind = fail.Unavailable
	case "authz_fail", "user_disabled", "pass_expired":
		kind = fail.Denied
	}
	return fail.New(kind, "%s: %s", what, reason)
}

// handshake waits for VERSION and SPID. A MECH line means the wrong socket.
type handshake struct{ version bool }

func (h *handshake) Line(l dovecotauth.Line) (done bool, err error) {
	switch l.Verb {
	case "VERSION":
		if l.Param(0) != "1" {
			return false, fail.New(fail.Invalid, "auth service speaks protocol version %.20q, not 1", l.Param(0))
		}
		h.version = true
	case "MECH":
		return false, fail.New(fail.Invalid, "this is a client socket, not a master or userdb socket")
	case "SPID":
		if !h.version {
			return false, fail.New(fail.Invalid, "auth service sent SPID before VERSION")
		}
		return true, nil
	}
	return false, nil
}
