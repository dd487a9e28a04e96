package authserver

import (
	"errors"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Our version of the client protocol. With minor 3 the server may ask for
// channel bindings, so it announces mechanisms that need them.
const (
	clientMajor  = "1"
	legacyMinor  = 2
	bindingMinor = 3
)

// clientConn is one connection of the client protocol. One goroutine at a time
// reads it.
type clientConn struct {
	*conn
	cookie string
	cuid   uint32

	// Of the reading goroutine:
	versionSeen bool
	minor       int       // the peer's
	binds       bool      // mechanisms with channel binding are announced
	pid         uint32    // CPID; 0 until the peer's handshake is complete
	armed       time.Time // when the deadline of a peer's silence was set last

	over    chan error // why reading ended, once
	running sync.WaitGroup

	mu     sync.Mutex
	active map[uint32]*exchange // nil until there is one
	ended  error                // why an exchange closed the connection
}

func (s *Server) serveClient(base *conn) error {
	c := &clientConn{conn: base, cookie: newCookie(), cuid: s.cuid.Add(1), over: make(chan error, 1)}
	c.greet()
	for {
		if err := c.silence(); err != nil {
			return c.end(err)
		}
		go c.read()
		if err := <-c.over; !errors.Is(err, errSilent) { // another goroutine may have read on
			return c.end(err)
		}
	}
}

// errSilent ends the reading when the peer has nothing to say for the moment.
var errSilent = errors.New("the peer is silent")

// silence waits for a peer that has nothing to say. Those that serve many users
// hold thousands of connections and are silent on most, and a goroutine that has
// run a login keeps a stack four times as large as this one's until the next
// garbage collection. So requests are read by another goroutine, which goes
// when the peer is silent again.
func (c *clientConn) silence() error {
	if err := c.out.uncork(); err != nil {
		return err
	}
	if c.pid != 0 {
		c.armed = time.Time{}
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	if err := c.stopping.Err(); err != nil { // its deadline may be the one that was lifted
		return err
	}
	return c.in.Await()
}

// silenceAfter is how long a peer has to say nothing. Whoever asks more often
// pays nothing for the change of goroutines, and a crowd that connects at once
// has few of them.
const silenceAfter = 25 * time.Millisecond

// arm sets the deadline after which the peer counts as silent. It is moved only
// when a good part of it has passed.
func (c *clientConn) arm() {
	if c.pid == 0 || c.in.Ready() {
		return
	}
	if now := time.Now(); now.Sub(c.armed) > c.s.silenceAfter/2 {
		c.armed = now
		_ = c.nc.SetReadDeadline(now.Add(c.s.silenceAfter))
	}
}

// end clears up when reading has ended by err.
func (c *clientConn) end(err error) error {
	c.stopTimers()
	c.finish(&c.running)
	if c.pid != 0 && c.kind == Login {
		c.s.logins.leave(c.pid)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	return c.inOrder(err)
}

// greet sends the greeting. If that fails, so will the first read.
func (c *clientConn) greet() {
	if c.stopping.Err() == nil {
		_ = c.nc.SetReadDeadline(time.Now().Add(c.s.cfg.HandshakeTimeout))
	}
	_ = c.out.send(c.greeting())
}

// read handles lines until the peer goes away, breaks a rule or is silent, or
// until a step that runs on this goroutine begins to wait; then another goroutine
// reads on already when read returns.
func (c *clientConn) read() {
	defer func() {
		if p := recover(); p != nil {
			c.over <- fail.New(fail.Temporary, "fault in a connection: %v\n%s", p, debug.Stack())
		}
	}()
	for {
		c.arm()
		raw, err := c.wait()
		if c.pid != 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.stopping.Err() == nil {
			err = errSilent
		}
		if raw == nil || err != nil {
			c.over <- err
			return
		}
		detached, err := c.line(raw)
		if detached {
			return
		}
		if err != nil {
			c.over <- err
			return
		}
	}
}

// detach lets another goroutine read on. x is known to it.
func (c *clientConn) detach(x *exchange) {
	c.register(x)
	c.running.Add(1)
	go c.read()
}

// greeting is what is sent at accept: everything at once in the order of old,
// MECH before SPID. Postfix and Exim take a SPID without MECH for a master
// socket, and Exim sends nothing before it has seen DONE. Dovecot 2.4 waits
// for the client's VERSION, which says what it may be offered; so do we where
// only those connect that say it at once.
func (c *clientConn) greeting() []byte {
	if c.kind.waits() {
		return dovecotauth.AppendLine(nil, "VERSION", clientMajor, strconv.Itoa(bindingMinor))
	}
	return c.offer(dovecotauth.AppendLine(nil, "VERSION", clientMajor, strconv.Itoa(legacyMinor)))
}

// offer appends all of the greeting but VERSION.
func (c *clientConn) offer(b []byte) []byte {
	for _, m := range c.s.cfg.Auth.Mechanisms() {
		if !m.ChannelBinding || c.binds {
			b = m.AppendTo(b)
		}
	}
	b = dovecotauth.AppendLine(b, "SPID", strconv.Itoa(c.s.cfg.PID))
	b = dovecotauth.AppendLine(b, "CUID", dovecotauth.FormatID(c.cuid))
	b = dovecotauth.AppendLine(b, "COOKIE", c.cookie)
	return dovecotauth.AppendLine(b, "DONE")
}

// line handles one line. detached: this goroutine reads no longer.
func (c *clientConn) line(raw []byte) (detached bool, err error) {
	verb, rest, _ := dovecotauth.Cut(raw)
	switch {
	case c.pid == 0:
		return false, c.handshake(string(verb), rest)
	case string(verb) == "AUTH":
		return c.auth(rest)
	case string(verb) == "CONT":
		return c.cont(rest)
	case string(verb) == "CANCEL":
		return false, c.cancel(rest)
	}
	return false, fail.New(fail.Invalid, "client sent unknown command %.20q", verb)
}

func (c *clientConn) handshake(verb string, rest []byte) error {
	switch {
	case verb == "VERSION" && !c.versionSeen:
		major, rest, _ := dovecotauth.Cut(rest)
		minor, _, _ := dovecotauth.Cut(rest)
		if string(major) != clientMajor {
			return fail.New(fail.Invalid, "client speaks protocol version %.20q, not 1", major)
		}
		c.minor, _ = strconv.Atoi(string(minor)) // nonsense counts as 0, the least able
		c.versionSeen = true
		if !c.kind.waits() {
			return nil
		}
		c.binds = c.minor >= bindingMinor
		return c.out.send(c.offer(nil))
	case verb == "CPID" && c.versionSeen:
		return c.identify(rest)
	}
	return fail.New(fail.Invalid, "client sent %.20q before its handshake was complete", verb)
}

// identify takes the CPID, which ends the handshake. Only where logins are
// redeemed by pid must it be unique; one that has just left may not be gone yet.
func (c *clientConn) identify(rest []byte) error {
	raw, _, _ := dovecotauth.Cut(rest)
	pid, ok := dovecotauth.ParseID(string(raw))
	if !ok {
		return fail.New(fail.Invalid, "client sent CPID %.20q", raw)
	}
	if c.kind == Login && !c.s.logins.join(c.ctx, pid, c.cookie, leaveWait) {
		return fail.New(fail.Exists, "a login client with pid %d is connected already", pid)
	}
	c.pid = pid
	return c.nc.SetReadDeadline(time.Time{})
}

// leaveWait is how long a client that connects again is held up for its last
// connection to be cleared away.
const leaveWait = 500 * time.Millisecond

func (c *clientConn) auth(rest []byte) (detached bool, err error) {
	req, err := parseRequest(rest)
	if err != nil {
		return false, err
	}
	// Exim (minor 0) writes "resp=" also when its client sent no initial
	// response, and Dovecot takes it so from clients before minor 2.
	if c.minor < legacyMinor && len(req.Initial) == 0 {
		req.Initial = nil
	}
	c.mu.Lock()
	busy, count := c.active[req.ID] != nil, len(c.active)
	c.mu.Unlock()
	if busy || (c.kind == Login && c.s.logins.waiting(c.pid, req.ID)) {
		return false, fail.New(fail.Invalid, "client used id %d again while it is active", req.ID)
	}
	if count >= c.s.cfg.MaxRequests {
		return false, c.outage(req.ID, "", fail.New(fail.Unavailable, "client with pid %d has %d requests running", c.pid, count))
	}
	if req.badInitial {
		return false, c.refuse(req.ID, Refusal{Code: "invalid_base64", Reason: "Invalid base64 data in initial response"})
	}
	req.Binds, req.CUID = c.binds, c.cuid
	ex, err := c.start(&req)
	switch {
	case fail.Is(err, fail.NotFound):
		return false, c.refuse(req.ID, Refusal{Reason: "Unsupported authentication mechanism"})
	case err != nil:
		return false, c.outage(req.ID, "", err)
	}
	return c.run(&req, ex)
}

// start asks for an exchange. What was not announced is not there.
func (c *clientConn) start(req *Request) (Exchange, error) {
	if !c.binds && strings.HasSuffix(req.Mech, "-PLUS") {
		return nil, fail.New(fail.NotFound, "mechanism %s needs channel binding", req.Mech)
	}
	return c.s.cfg.Auth.Begin(*req)
}

func (c *clientConn) cancel(rest []byte) error {
	id, _, err := cutID("CANCEL", rest)
	if err != nil {
		return err
	}
	c.mu.Lock()
	x := c.active[id]
	c.mu.Unlock()
	if x != nil {
		c.remove(x)
	}
	return nil
}

// cutID takes the request id off the parameters of verb.
func cutID(verb string, raw []byte) (id uint32, rest []byte, err error) {
	param, rest, _ := dovecotauth.Cut(raw)
	id, ok := dovecotauth.ParseID(string(param))
	if !ok {
		return 0, nil, fail.New(fail.Invalid, "%s with id %.20q", verb, param)
	}
	return id, rest, nil
}

// refuse sends FAIL.
func (c *clientConn) refuse(id uint32, r Refusal) error {
	b := appendVerb(c.out.open(), "FAIL", id)
	for _, f := range [...]dovecotauth.Field{
		{Key: "user", Value: r.User},
		{Key: "code", Value: r.Code},
		{Key: "reason", Value: r.Reason},
	} {
		if f.Value != "" {
			b = dovecotauth.AppendField(b, f.Key, f.Value)
		}
	}
	return c.out.close(append(r.Fields.AppendTo(b), '\n'))
}

func appendVerb(b []byte, verb string, id uint32) []byte {
	b = append(append(b, verb...), '\t')
	return strconv.AppendUint(b, uint64(id), 10)
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
