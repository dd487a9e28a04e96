package server

import (
	"bytes"
	"context"
	"time"
)

// IDLE: RFC 2177.
func parseIdle(*parser, bool) runner { return idleCmd{} }

type idleCmd struct{}

// run waits for the client's DONE and tells what happens meanwhile. It holds
// no buffer and no goroutine of its own: the mailbox wakes it by moving its
// read deadline, or out of the lot.
func (idleCmd) run(ctx context.Context, s *call) reply {
	s.w.Raw("+ idling\r\n")
	i := &idling{tag: s.tag, began: s.began}
	s.until = time.Time{}
	if s.notify != nil {
		s.notify.attend(s.view)
	} else if s.view != nil {
		i.stop = s.view.mb.Watch(s.io.wake)
		if err := s.view.mb.Sync(ctx); err != nil && s.view.mb.Err() == nil {
			s.logFailure("IDLE", err)
		}
	}
	return i.run(ctx, s)
}

// idling is an IDLE that has begun: it is all that is left of the command while
// the session is parked, and goes on as a command of its own.
type idling struct {
	tag   string
	began time.Time
	stop  func() // ends the watch; nil: there is none
}

// again is the command that goes on.
func (i *idling) again(s *session) *call {
	c := &s.company().own
	*c = call{session: s, tag: i.tag, verb: "IDLE", name: "IDLE", began: i.began, cmd: i, spec: s.srv.table["IDLE"]}
	s.idling = nil
	return c
}

func (i *idling) run(ctx context.Context, s *call) (r reply) {
	defer func() {
		if s.idling == nil && i.stop != nil {
			i.stop()
		}
	}()
	for {
		if s.lostMailbox() {
			return none()
		}
		if s.notify != nil {
			s.announce(ctx, true)
			if s.done {
				return none()
			}
		} else if s.view != nil {
			s.view.sync(ctx, s, true, nil)
		}
		ev := eventInput
		if len(s.r.Buffered()) == 0 {
			s.r.Release()
			var err error
			if ev, err = s.idleWait(); err != nil {
				s.lost(err)
				return none()
			}
		}
		switch ev {
		case eventTimeout:
			s.until = time.Time{}
			s.w.Raw("* OK Still here\r\n")
		case eventInput:
			s.until = time.Time{}
			return s.idleDone()
		case eventPark:
			s.idling, s.parking = i, true
			return none()
		}
	}
}

// idleWait waits, for as long as nothing has to be said.
func (s *session) idleWait() (event, error) {
	said := s.w.Total()
	if err := s.w.Release(); err != nil {
		return 0, err
	}
	if s.until.IsZero() || s.w.Total() != said {
		s.until = time.Now().Add(s.srv.cfg.Keepalive)
	}
	if s.notify != nil {
		if input, err := s.io.lull(lull); input || err != nil {
			return eventInput, err
		}
	}
	return s.io.waitUntil(s.until)
}

// idleDone reads what ends IDLE. RFC 2177 writes DONE in upper case, clients
// do not always.
func (s *session) idleDone() reply {
	s.r.Start()
	line := s.r.Line()
	switch {
	case !s.r.Ok():
		return none()
	case !bytes.EqualFold(bytes.TrimSpace(line), []byte("DONE")):
		return bad("Expected DONE.")
	}
	return ok("Idle completed.")
}
