package authserver

import (
	"context"
	"encoding/base64"
	"strconv"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Our version of the client protocol. Minor 3 would promise channel bindings.
const (
	clientMajor = "1"
	clientMinor = "2"
)

// clientConn is one connection of the client protocol.
type clientConn struct {
	conn
	cookie string

	versionSeen bool
	minor       int    // the peer's
	pid         uint32 // CPID; 0 until the peer's handshake is complete

	running sync.WaitGroup

	mu     sync.Mutex
	active map[uint32]*exchange
	ended  error // why an exchange closed the connection
}

func (s *Server) serveClient(base conn, cancel context.CancelFunc) error {
	c := &clientConn{conn: base, cookie: newCookie(), active: make(map[uint32]*exchange)}
	err := c.loop()
	c.stopTimers()
	c.finish(&c.running, cancel)
	if c.pid != 0 && c.kind == Login {
		s.logins.leave(c.pid)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	return c.inOrder(err)
}

// loop reads requests until the peer goes away or breaks a rule.
func (c *clientConn) loop() error {
	if err := c.out.send(c.greeting()); err != nil {
		return err
	}
	if c.stopping.Err() == nil {
		_ = c.nc.SetReadDeadline(time.Now().Add(c.s.cfg.HandshakeTimeout))
	}
	return c.lines(func(l dovecotauth.Line) error {
		if c.pid == 0 {
			return c.handshake(l)
		}
		return c.command(l)
	})
}

// greeting is the whole handshake at once, MECH before SPID: Postfix and Exim
// take a SPID without MECH for a master socket, and Exim sends nothing before
// it has seen DONE.
func (c *clientConn) greeting() []byte {
	b := dovecotauth.AppendLine(nil, "VERSION", clientMajor, clientMinor)
	for _, m := range c.s.cfg.Auth.Mechanisms() {
		b = m.AppendTo(b)
	}
	b = dovecotauth.AppendLine(b, "SPID", strconv.Itoa(c.s.cfg.PID))
	b = dovecotauth.AppendLine(b, "CUID", dovecotauth.FormatID(c.s.cuid.Add(1)))
	b = dovecotauth.AppendLine(b, "COOKIE", c.cookie)
	return dovecotauth.AppendLine(b, "DONE")
}

func (c *clientConn) handshake(l dovecotauth.Line) error {
	switch {
	case l.Verb == "VERSION" && !c.versionSeen:
		if l.Param(0) != clientMajor {
			return fail.New(fail.Invalid, "client speaks protocol version %.20q, not 1", l.Param(0))
		}
		c.minor, _ = strconv.Atoi(l.Param(1)) // nonsense counts as 0, the least able
		c.versionSeen = true
		return nil
	case l.Verb == "CPID" && c.versionSeen:
		pid, ok := dovecotauth.ParseID(l.Param(0))
		if !ok {
			return fail.New(fail.Invalid, "client sent CPID %.20q", l.Param(0))
		}
		// Only where logins are redeemed by pid must it be unique.
		if c.kind == Login && !c.s.logins.join(pid, c.cookie) {
			return fail.New(fail.Exists, "a login client with pid %d is connected already", pid)
		}
		c.pid = pid
		return c.nc.SetReadDeadline(time.Time{})
	}
	return fail.New(fail.Invalid, "client sent %.20q before its handshake was complete", l.Verb)
}

func (c *clientConn) command(l dovecotauth.Line) error {
	switch l.Verb {
	case "AUTH":
		return c.auth(l)
	case "CONT":
		return c.cont(l)
	case "CANCEL":
		return c.cancel(l)
	}
	return fail.New(fail.Invalid, "client sent unknown command %.20q", l.Verb)
}

func (c *clientConn) auth(l dovecotauth.Line) error {
	req, err := parseRequest(l)
	if err != nil {
		return err
	}
	// Exim (minor 0) writes "resp=" also when its client sent no initial
	// response, and Dovecot takes it so from clients before minor 2.
	if c.minor < 2 && len(req.Initial) == 0 {
		req.Initial = nil
	}
	c.mu.Lock()
	busy, count := c.active[req.ID] != nil, len(c.active)
	c.mu.Unlock()
	if busy || (c.kind == Login && c.s.logins.waiting(c.pid, req.ID)) {
		return fail.New(fail.Invalid, "client used id %d again while it is active", req.ID)
	}
	if count >= c.s.cfg.MaxRequests {
		return c.outage(req.ID, "", fail.New(fail.Unavailable, "client with pid %d has %d requests running", c.pid, count))
	}
	if req.badInitial {
		return c.refuse(req.ID, Refusal{Code: "invalid_base64", Reason: "Invalid base64 data in initial response"})
	}
	ex, err := c.s.cfg.Auth.Begin(req)
	switch {
	case fail.Is(err, fail.NotFound):
		return c.refuse(req.ID, Refusal{Reason: "Unsupported authentication mechanism"})
	case err != nil:
		return c.outage(req.ID, "", err)
	}
	c.start(req, ex)
	return nil
}

func (c *clientConn) cont(l dovecotauth.Line) error {
	id, ok := dovecotauth.ParseID(l.Param(0))
	if !ok {
		return fail.New(fail.Invalid, "CONT with id %.20q", l.Param(0))
	}
	x, ready := c.claim(id)
	switch {
	case x == nil:
		return c.refuse(id, Refusal{Reason: "Authentication request timed out"})
	case !ready:
		c.remove(x)
		return c.refuse(id, Refusal{Reason: "Unexpected continuation"})
	}
	response, err := base64.StdEncoding.DecodeString(l.Param(1))
	if err != nil {
		c.remove(x)
		return c.refuse(id, Refusal{Code: "invalid_base64", Reason: "Invalid base64 data in continued response"})
	}
	x.resume(append([]byte{}, response...))
	return nil
}

func (c *clientConn) cancel(l dovecotauth.Line) error {
	id, ok := dovecotauth.ParseID(l.Param(0))
	if !ok {
		return fail.New(fail.Invalid, "CANCEL with id %.20q", l.Param(0))
	}
	c.mu.Lock()
	x := c.active[id]
	c.mu.Unlock()
	if x != nil {
		c.remove(x)
	}
	return nil
}

// refuse sends FAIL.
func (c *clientConn) refuse(id uint32, r Refusal) error {
	params := []string{dovecotauth.FormatID(id)}
	for _, f := range []dovecotauth.Field{{Key: "user", Value: r.User}, {Key: "code", Value: r.Code}, {Key: "reason", Value: r.Reason}} {
		if f.Value != "" {
			params = append(params, f.Key+"="+f.Value)
		}
	}
	return c.out.send(dovecotauth.AppendLine(nil, "FAIL", params...))
}

// outage tells the peer that we cannot decide. Postfix and Exim (minor 0) take
// any FAIL for wrong credentials, but a closed connection for 454.
func (c *clientConn) outage(id uint32, user string, cause error) error {
	c.s.cfg.Report(cause)
	if c.minor == 0 {
		return ErrOutage
	}
	return c.refuse(id, Refusal{User: user, Code: "temp_fail"})
}

// abort closes the connection from within an exchange.
func (c *clientConn) abort(err error) {
	c.mu.Lock()
	if c.ended == nil {
		c.ended = err
	}
	c.mu.Unlock()
	_ = c.nc.Close()
}
