package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// session is one connection after login. Its own goroutine reads, runs
// commands and answers; while one takes long there may be more (see ahead),
// and mu guards all that more than one of them uses.
type session struct {
	srv   *Server
	start Start
	io    *pipe
	r     *wire.Reader // of the goroutine that reads
	p     *parser
	ctx   context.Context // of the server: ends when it stops
	// What commands run with: patient never ends, alive ends with ctx, and
	// when nobody is there any more to hear the answer, which drop says.
	patient, alive context.Context
	drop           context.CancelFunc

	over func(Summary) // is told at the end
	stop func() bool   // ends the watch of ctx

	greeted bool
	until   time.Time // how long the present wait may last; zero: it has not begun
	parking bool      // the session's goroutine is to leave it in the lot
	idling  *idling   // the IDLE during which it is parked

	back       []byte  // what goes back with the connection; nil when it does not
	identified int     // how many IDs were logged
	enabled    feature // by ENABLE; changed only by a command that is alone

	mu    sync.Mutex
	aware bool // of CONDSTORE: see becomeAware
	// notify is what NOTIFY has asked for; nil before the first one. It is
	// replaced only by a command that is alone, or when nothing runs.
	notify *notify
	news   news
	w      *wire.Writer
	view   *view // selected mailbox, nil in the authenticated state
	bad    int
	ahead  *ahead // nil while idle
	done   bool
	sum    Summary
}

func newSession(srv *Server, conn net.Conn, start Start) *session {
	if start.Delim == 0 {
		start.Delim = '.'
	}
	s := &session{srv: srv, start: start}
	s.io = &pipe{conn: conn, stall: srv.cfg.Stall, ctx: context.Background(), lot: srv.cfg.Lot, patience: srv.parkAfter}
	s.w = srv.bufs.Writer(s.io)
	s.io.flush = s.flush
	lim := wire.DefaultLimits()
	lim.Line = srv.cfg.MaxLine
	if srv.cfg.LiteralMinus {
		lim.NonSync = wire.LiteralMinus
	}
	s.r = srv.bufs.Reader(s.io, lim, s.carryOn)
	s.r.Preload(start.Buffered)
	offersUTF8 := s.announced("UTF8=ACCEPT") != nil
	s.p = &parser{Reader: s.r, delim: start.Delim, max: srv.cfg.MaxMessage, offersUTF8: offersUTF8}
	return s
}

// carryOn lets the client send a literal.
func (s *session) carryOn() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w.Raw("+ OK\r\n")
	return s.w.Flush()
}

// flush sends what waits to be sent. Whoever is just writing does so itself
// when it is done: reading does not wait for it.
func (s *session) flush() error {
	if !s.mu.TryLock() {
		return nil
	}
	defer s.mu.Unlock()
	return s.w.Flush()
}

// begin says how long the session may last.
func (s *session) begin(ctx context.Context) {
	s.ctx, s.io.ctx = ctx, ctx
	s.patient = context.WithoutCancel(ctx)
	s.revive()
}

// revive makes the context of what reads only. One that is parked has none.
func (s *session) revive() { s.alive, s.drop = context.WithCancel(s.ctx) }

// turn runs the session until it ends, or until it has been silent for so long
// that it is parked; then another goroutine takes its turn.
func (s *session) turn() {
	if s.alive == nil {
		s.revive()
	}
	for s.run() {
		s.drop()
		s.alive = nil
		if s.io.park(s.until, s.turn) {
			return
		}
		s.revive()
	}
	s.finish()
}

// run is the loop of the session. It is true when the session may be parked. A
// panic ends the session.
func (s *session) run() (park bool) {
	defer func() {
		if v := recover(); v != nil {
			s.fault(v, debug.Stack())
			park = false
		}
	}()
	if !s.greeted {
		s.greeted = true
		s.greet()
	}
	for !s.done {
		var c *call
		if s.idling != nil {
			c = s.idling.again(s)
		} else {
			c = s.next()
		}
		if c != nil {
			s.perform(c)
		}
		if s.parking {
			s.parking = false
			s.leave()
			return true
		}
	}
	_ = s.w.Flush()
	return false
}

// finish gives back what the session holds and tells of its end.
func (s *session) finish() {
	defer func() {
		if v := recover(); v != nil {
			s.sum.Reason, s.sum.Err = "Internal error", &Fault{v, debug.Stack()}
		}
		s.over(s.sum)
	}()
	s.stop()
	s.close()
	if s.back != nil {
		s.start.Back(s.back)
	}
}

// greet answers the login.
func (s *session) greet() {
	caps := "CAPABILITY " + s.capabilities()
	if s.start.Tag == "" {
		s.w.Status("*", "PREAUTH", caps, "Logged in")
		return
	}
	s.w.Status(s.start.Tag, "OK", caps, "Logged in")
}

// next returns the command to run next, nil when there is none or the session
// has ended. A session that waits holds no buffers.
func (s *session) next() *call {
	c, err := s.leftover()
	if c == nil && err == nil && len(s.r.Buffered()) == 0 {
		s.leave()
		s.r.Release()
		ev := eventInput
		if err = s.w.Release(); err == nil {
			ev, err = s.await()
		}
		if s.parking = ev == eventPark; s.done || s.parking {
			return nil
		}
		s.until = time.Time{}
	}
	if c == nil && err == nil {
		c = &s.company().own
		var some bool
		if some, err = s.read(c); !some {
			c = nil
		}
	}
	if err != nil {
		s.lost(err)
		return nil
	}
	return c
}

// works reports whether a workaround is on.
func (s *session) works(w Workaround) bool { return s.srv.cfg.Workarounds&w != 0 }

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
		s.drop()
		s.io.end()
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
	case errors.Is(err, wire.ErrCompressed), errors.Is(err, wire.ErrExpands):
		s.bye("", "Compressed input cannot be used, disconnecting.", "Bad compressed input", err)
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
	s.drop()
	s.notify.end()
	s.unselect()
	_ = s.w.Release()
	s.sum.In += s.r.Total() + int64(len(s.start.Buffered))
	s.sum.Out += s.w.Total()
	s.r.Drop()
}

// unselect closes the selected mailbox without expunging anything.
func (s *session) unselect() {
	if s.view != nil {
		s.notify.leave()
		_ = s.view.mb.Close()
		s.view = nil
	}
}
