package authserver

import (
	"strconv"
	"sync"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Our version of the master protocol.
const (
	masterMajor = "1"
	masterMinor = "1"
)

// maxLookups bounds what one master connection may have running; reading
// stops while it is reached.
const maxLookups = 64

// masterConn is one connection of the master and userdb protocol.
type masterConn struct {
	*conn
	peer Peer

	versionSeen bool
	running     sync.WaitGroup
	crew        netx.Crew // runs lookups
	slots       chan struct{}
	listing     chan struct{} // one LIST at a time, as Dovecot
	sealed      string        // name of the peer's key; empty: none
}

// masterVerb is a row of the table of commands.
type masterVerb struct {
	kinds  []Kind
	answer func(c *masterConn, id string, l dovecotauth.Line) error
}

func masterVerbs() map[string]masterVerb {
	return map[string]masterVerb{
		"USER":        {[]Kind{Userdb, Master, Exists}, (*masterConn).user},
		"PASS":        {[]Kind{Userdb, Master}, (*masterConn).pass},
		"LIST":        {[]Kind{Userdb, Master}, (*masterConn).list},
		"REQUEST":     {[]Kind{Master}, (*masterConn).request},
		"CACHE-FLUSH": {[]Kind{Master}, (*masterConn).cacheFlush},
		"SEAL":        {[]Kind{Master}, (*masterConn).seal},
	}
}

func (v masterVerb) allowed(k Kind) bool {
	for _, kind := range v.kinds {
		if kind == k {
			return true
		}
	}
	return false
}

func (s *Server) serveMaster(base *conn, peer Peer) error {
	c := &masterConn{
		conn: base, peer: peer, crew: netx.Crew{Rest: 4},
		slots: make(chan struct{}, maxLookups), listing: make(chan struct{}, 1),
	}
	err := c.loop()
	c.finish(&c.running)
	c.crew.Wait()
	return c.inOrder(err)
}

func (c *masterConn) loop() error {
	defer func() { c.s.seals.remove(c.sealed) }()
	version := []string{masterMajor, masterMinor}
	if c.kind == Master { // others do not look behind the minor version
		version = append(version, dovecotauth.Seals)
	}
	hello := dovecotauth.AppendLine(nil, "VERSION", version...)
	hello = dovecotauth.AppendLine(hello, "SPID", strconv.Itoa(c.s.cfg.PID))
	if err := c.out.send(hello); err != nil {
		return err
	}
	verbs := masterVerbs()
	for {
		raw, err := c.wait()
		if raw == nil || err != nil {
			return err
		}
		l, err := dovecotauth.Parse(raw)
		if err == nil {
			err = c.command(verbs, l)
		}
		if err != nil {
			return err
		}
	}
}

func (c *masterConn) command(verbs map[string]masterVerb, l dovecotauth.Line) error {
	if !c.versionSeen {
		if l.Verb != "VERSION" || l.Param(0) != masterMajor {
			return fail.New(fail.Invalid, "master client began with %.20q %.20q, not with version 1", l.Verb, l.Param(0))
		}
		c.versionSeen = true
		return nil
	}
	verb, known := verbs[l.Verb]
	if !known { // CPID too: a login client at the wrong socket
		return fail.New(fail.Invalid, "master client sent unknown command %.20q", l.Verb)
	}
	id := l.Param(0)
	if _, ok := dovecotauth.ParseID(id); !ok {
		return fail.New(fail.Invalid, "master client sent %s with id %.20q", l.Verb, id)
	}
	if !verb.allowed(c.kind) {
		c.s.cfg.Report(fail.New(fail.Denied, "%s is not allowed on a socket of type %s (peer uid %d)", l.Verb, c.kind, c.peer.UID))
		return c.reply("FAIL", id)
	}
	return verb.answer(c, id, l)
}

func (c *masterConn) reply(verb string, params ...string) error {
	return c.out.send(dovecotauth.AppendLine(nil, verb, params...))
}

// spawn runs a lookup beside the reading loop. A reply that cannot be sent has
// closed the connection already.
func (c *masterConn) spawn(id string, lookup func() error) error {
	select {
	case c.slots <- struct{}{}:
	default: // what is ready must not wait with us
		if err := c.out.uncork(); err != nil {
			return err
		}
		select {
		case c.slots <- struct{}{}:
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
	c.running.Add(1)
	c.crew.Go(func() {
		defer c.running.Done()
		defer func() { <-c.slots }()
		defer func() {
			if p := recover(); p != nil {
				c.s.cfg.Report(fail.New(fail.Temporary, "fault in a lookup: %v", p))
				_ = c.reply("FAIL", id, "code=temp_fail")
			}
		}()
		_ = lookup()
	})
	return nil
}
