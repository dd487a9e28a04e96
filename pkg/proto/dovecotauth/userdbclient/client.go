package userdbclient

import (
	"context"
	"net"
	"net/netip"
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
	seal sealing
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

// Query is whom to look up, and on behalf of which connection. All but User and
// Service may be zero.
type Query struct {
	User       string
	Service    string // "lmtp", "smtp", "imap"
	Session    string // our session id, for the log
	LocalAddr  netip.AddrPort
	RemoteAddr netip.AddrPort
	LocalName  string             // TLS server name the peer asked for
	Forward    dovecotauth.Fields // what a proxy in front of us passed on
}

func (q Query) params() []string {
	fs := dovecotauth.Fields{}.Add("service", q.Service)
	add := func(key, value string) {
		if value != "" {
			fs = fs.Add(key, value)
		}
	}
	add("session", q.Session)
	for _, e := range []struct {
		side string
		at   netip.AddrPort
	}{{"l", q.LocalAddr}, {"r", q.RemoteAddr}} {
		if e.at.Addr().IsValid() {
			add(e.side+"ip", e.at.Addr().Unmap().WithZone("").String())
			if e.at.Port() != 0 {
				add(e.side+"port", strconv.Itoa(int(e.at.Port())))
			}
		}
	}
	add("local_name", q.LocalName)
	add("forward_fields", dovecotauth.PackFields(q.Forward))
	return append([]string{q.User}, fs.Params()...)
}

// User is Lookup with nothing known but the name and the service.
func (c *Client) User(ctx context.Context, name, service string) (UserRecord, error) {
	return c.Lookup(ctx, Query{User: name, Service: service})
}

// Lookup looks a user up. Errors: fail.NotFound, fail.Denied (this peer may not
// ask), fail.Unavailable. When the server goes away in between, it is asked once
// more.
func (c *Client) Lookup(ctx context.Context, q Query) (UserRecord, error) {
	return c.twice(ctx, "USER", q)
}

// Pass asks for what the password database has about a user beside the
// password. Only User and Fields are filled. Errors: as Lookup.
func (c *Client) Pass(ctx context.Context, q Query) (UserRecord, error) {
	return c.twice(ctx, "PASS", q)
}

// maxRequest is the longest line that Dovecot takes on this protocol; it hangs
// up on a longer one, which would fail everybody's requests.
const maxRequest = 1024

// sizeOf is the most that the line can come to, whose end is what stands behind
// the id.
func sizeOf(verb string, end []byte) int { return len(verb) + len("\t4294967295") + len(end) }

// endOf is what stands behind the id of a line.
func endOf(params []string) []byte {
	return dovecotauth.AppendLine(make([]byte, 0, 128), "", params...)
}

// twice asks a second time when the connection was lost before the answer.
func (c *Client) twice(ctx context.Context, verb string, q Query) (UserRecord, error) {
	params := q.params()
	if sizeOf(verb, endOf(params)) > maxRequest { // what can be done without is
		params = Query{User: q.User, Service: q.Service}.params()
	}
	r, lost, err := c.ask(ctx, "user "+q.User, fail.Unavailable, verb, params...)
	if lost && ctx.Err() == nil {
		r, _, err = c.ask(ctx, "user "+q.User, fail.Unavailable, verb, params...)
	}
	return r, err
}

// Flush makes the server forget its cached results, of all users when none are
// named, and returns how many there were.
func (c *Client) Flush(ctx context.Context, users ...string) (int, error) {
	line, _, err := c.exchange(ctx, "CACHE-FLUSH", users)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(line.Param(1))
	if line.Verb != "OK" || err != nil {
		return 0, fail.New(fail.Denied, "auth service did not flush its cache: %.20q", line.Verb)
	}
	return n, nil
}

// Redeem turns the login that clientPID was granted as requestID into its
// user record, once. sessionPID is the asking process; 0 means os.Getpid().
// Errors: fail.Denied (unknown, used, expired, not ours), fail.Unavailable.
func (c *Client) Redeem(ctx context.Context, clientPID, requestID uint32, cookie string, sessionPID int) (UserRecord, error) {
	if sessionPID == 0 {
		sessionPID = os.Getpid()
	}
	if c.seal.due(c.link.Live()) {
		c.offerKey(ctx)
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
	line, lost, err := c.exchange(ctx, verb, params)
	if err != nil {
		return UserRecord{}, lost, err
	}
	r, err = answer(what, bare, line)
	return r, false, err
}

// exchange sends one line and waits for the one that answers it.
func (c *Client) exchange(ctx context.Context, verb string, params []string) (line dovecotauth.Line, lost bool, err error) {
	end := endOf(params)
	if size := sizeOf(verb, end); size > maxRequest {
		return dovecotauth.Line{}, false, fail.New(fail.NotFound, "a request of %d bytes is about no user: no name is as long", size)
	}
	call, err := c.link.Begin(ctx, func(_ *link.Conn, id uint32) []byte {
		line := append(make([]byte, 0, sizeOf(verb, end)), verb...)
		line = strconv.AppendUint(append(line, '\t'), uint64(id), 10)
		return append(line, end...)
	})
	if err != nil {
		return dovecotauth.Line{}, false, err
	}
	defer call.End()
	line, err = call.Wait(ctx)
	return line, err != nil && call.Lost(), err
}

func answer(what string, bare fail.Kind, line dovecotauth.Line) (UserRecord, error) {
	switch line.Verb {
	case "USER":
		return parseRecord(line)
	case "PASS":
		return passRecord(line)
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
type handshake struct{ version, seals bool }

func (h *handshake) Line(l dovecotauth.Line) (done bool, err error) {
	switch l.Verb {
	case "VERSION":
		if l.Param(0) != "1" {
			return false, fail.New(fail.Invalid, "auth service speaks protocol version %.20q, not 1", l.Param(0))
		}
		h.version, h.seals = true, l.Param(2) == dovecotauth.Seals
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
