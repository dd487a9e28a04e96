package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// session is one connection after login. Everything in it belongs to one
// goroutine, except io.wake and io.poke.
type session struct {
	srv   *Server
	start Start
	io    *pipe
	r     *wire.Reader
	w     *wire.Writer
	p     *parser
	ctx   context.Context // of the server: ends when it stops

	view *view // selected mailbox, nil in the authenticated state
	bad  int
	tag  string // of the command that runs

	done    bool
	sum     Summary
	scratch []byte  // reused for envelopes and structures
	content Content // the message being read
}

func newSession(srv *Server, conn net.Conn, start Start) *session {
	if start.Delim == 0 {
		start.Delim = '.'
	}
	s := &session{srv: srv, start: start}
	s.io = &pipe{conn: conn, stall: srv.cfg.Stall, ctx: context.Background()}
	s.w = srv.bufs.Writer(s.io)
	s.io.flush = s.w.Flush
	lim := wire.DefaultLimits()
	lim.Line = srv.cfg.MaxLine
	s.r = srv.bufs.Reader(s.io, lim, s.carryOn)
	s.r.Preload(start.Buffered)
	s.p = &parser{Reader: s.r, delim: start.Delim, max: srv.cfg.MaxMessage}
	return s
}

// carryOn lets the client send a literal.
func (s *session) carryOn() error {
	s.w.Raw("+ OK\r\n")
	return s.w.Flush()
}

// run is the loop of the session.
func (s *session) run(ctx context.Context) {
	s.ctx, s.io.ctx = ctx, ctx
	s.greet()
	for !s.done {
		if s.next() {
			s.command()
		}
	}
	_ = s.w.Flush()
}

// greet answers the login.
func (s *session) greet() {
	caps := "CAPABILITY " + capabilities()
	if s.start.Tag == "" {
		s.w.Status("*", "PREAUTH", caps, "Logged in")
		return
	}
	s.w.Status(s.start.Tag, "OK", caps, "Logged in")
}

// next waits for a command. A session that waits holds no buffers.
func (s *session) next() bool {
	if len(s.r.Buffered()) == 0 {
		s.r.Release()
		err := s.w.Release()
		if err == nil {
			err = s.io.wait(s.srv.cfg.IdleTimeout)
		}
		if err != nil {
			s.lost(err)
			return false
		}
	}
	s.r.Start()
	if err := s.r.Fill(); err != nil {
		s.lost(err)
		return false
	}
	if c := s.r.Peek(); c == '\r' || c == '\n' {
		// An empty line between commands: clients send one after a literal.
		s.r.End()
		return false
	}
	return true
}

// command reads one command, runs it and answers.
func (s *session) command() {
	began := s.srv.cfg.Now()
	s.sum.Commands++
	tag := s.r.Tag()
	s.tag = tag
	s.r.SP()
	verb := s.r.Word()
	c, uid := s.lookUp(&verb)
	var r reply
	switch {
	case !s.r.Ok():
	case c == nil:
		s.r.Fail("Unknown command")
	default:
		r = s.execute(c, uid, verb)
	}
	if err := s.r.Err(); err != nil && !s.done {
		r = s.recoverSyntax(verb, err)
	}
	if s.done && r.typ == "" {
		return
	}
	if tag == "" {
		tag = "*"
	}
	s.w.Status(tag, r.typ, r.code, r.text)
	if c == nil {
		verb = "unknown"
	}
	s.srv.cfg.Command(verb, r.result(), s.srv.cfg.Now().Sub(began))
	switch r.typ {
	case "BAD":
		s.countBad()
	case "OK":
		s.bad = 0
	}
}

// lookUp finds the command, with the second word of "UID FETCH". verb becomes
// the name as it is shown.
func (s *session) lookUp(verb *string) (c *spec, uid bool) {
	name := *verb
	if name == "UID" {
		s.r.SP()
		name, uid = s.r.Word(), true
		*verb = "UID " + name
	}
	row, found := s.srv.table[name]
	if !found || uid && row.rules&uidForm == 0 {
		return nil, uid
	}
	return &row, uid
}

// execute parses the arguments and runs the command, if the state allows it.
func (s *session) execute(c *spec, uid bool, verb string) reply {
	run := c.parse(s.p, uid)
	if _, streams := run.(*appendCmd); !streams { // it reads on to the end itself
		s.r.End()
	}
	if !s.r.Ok() {
		return none()
	}
	if s.view == nil && c.rules&authed == 0 {
		return bad("No mailbox selected.")
	}
	if s.lostMailbox() {
		return none()
	}
	ctx := context.WithoutCancel(s.ctx) // a command that has begun is finished
	r := run.run(ctx, s)
	if s.done || !s.r.Ok() {
		return r
	}
	s.after(ctx, c, uid, verb)
	return r
}

// after tells the client what has changed in the mailbox, where that is
// allowed: never an EXPUNGE in the answer to a command that counts messages.
func (s *session) after(ctx context.Context, c *spec, uid bool, verb string) {
	if s.view == nil {
		return
	}
	if c.rules&look != 0 {
		if err := s.view.mb.Sync(ctx); err != nil && s.view.mb.Err() == nil {
			s.logFailure(verb, err)
		}
	}
	if c.rules&useSeq != 0 && !uid {
		return
	}
	s.view.sync(ctx, s, true, nil)
}

// lostMailbox ends the session when the selected mailbox has gone for good:
// there is no way in IMAP to unselect it for the client.
func (s *session) lostMailbox() bool {
	if s.view == nil {
		return false
	}
	err := s.view.mb.Err()
	if err == nil {
		return false
	}
	if fail.Is(err, fail.NotFound) {
		s.bye("", textDeleted, "Selected mailbox was deleted", nil)
	} else {
		s.bye(string(imap.ResponseCodeUnavailable), "Mailbox is not available at the moment.", "Selected mailbox was given up", err)
	}
	return true
}

// recoverSyntax makes the connection ready for the next command after a parse
// error.
func (s *session) recoverSyntax(verb string, err error) reply {
	var e *wire.SyntaxError
	if !errors.As(err, &e) {
		s.lost(err)
		return none()
	}
	if err := s.r.Recover(); err != nil {
		s.lost(err)
		return none()
	}
	return syntax(verb, e)
}

// countBad ends a session that makes too many mistakes: a broken client in a
// loop, or one that speaks another protocol.
func (s *session) countBad() {
	s.sum.BadCommands++
	if s.bad++; s.bad >= s.srv.cfg.MaxBad {
		s.bye("", "Too many invalid IMAP commands.", "Too many invalid IMAP commands.", nil)
	}
}

// bye ends the session from our side.
func (s *session) bye(code, text, reason string, err error) {
	if !s.done {
		s.w.Status("*", "BYE", code, text)
	}
	s.end(reason, err)
}

func (s *session) end(reason string, err error) {
	if !s.done {
		s.done, s.sum.Reason, s.sum.Err = true, reason, err
	}
}

// lost ends the session because nothing can be read or written any more.
func (s *session) lost(err error) {
	switch {
	case errors.Is(err, errShutdown):
		text := "Server shutting down."
		if cause := context.Cause(s.ctx); !errors.Is(cause, netx.ErrShutdown) && !errors.Is(cause, context.Canceled) {
			text = cause.Error() // this session is sent away, for a reason
		}
		s.bye("", text, text, nil)
	case errors.Is(err, wire.ErrTooLong):
		s.bye("", "Too long command line, disconnecting.", "Too long command line", err)
	case s.w.Err() != nil && errors.Is(s.w.Err(), os.ErrDeadlineExceeded):
		s.end("Disconnected for inactivity in reading our output", s.w.Err())
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.bye("", "Disconnected for inactivity.", "Inactivity - no input for "+minutes(s.srv.cfg.IdleTimeout), nil)
	case errors.Is(err, io.EOF):
		s.end("Connection closed", nil)
	case errors.As(err, new(*wire.SourceError)):
		s.end("FETCH failed", err)
	default:
		s.end("Connection closed", err)
	}
}

func minutes(d time.Duration) string { return d.Round(time.Second).String() }

// close gives back what the session holds.
func (s *session) close() {
	s.closeContent()
	s.unselect()
	_ = s.w.Release()
	s.sum.In += s.r.Total() + int64(len(s.start.Buffered))
	s.sum.Out += s.w.Total()
	s.r.Drop()
}

func (s *session) summary() Summary { return s.sum }

// unselect closes the selected mailbox without expunging anything.
func (s *session) unselect() {
	if s.view != nil {
		_ = s.view.mb.Close()
		s.view = nil
	}
}
