package server

import (
	"bytes"
	"context"
)

// IDLE: RFC 2177.
func parseIdle(*parser, bool) runner { return idleCmd{} }

type idleCmd struct{}

// run waits for the client's DONE and tells what happens meanwhile. It holds
// no buffer and no goroutine of its own: the mailbox wakes it by moving its
// read deadline.
func (idleCmd) run(ctx context.Context, s *call) reply {
	s.w.Raw("+ idling\r\n")
	if s.notify != nil {
		s.notify.attend(s.view)
	} else if s.view != nil {
		stop := s.view.mb.Watch(s.io.wake)
		defer stop()
		if err := s.view.mb.Sync(ctx); err != nil && s.view.mb.Err() == nil {
			s.logFailure("IDLE", err)
		}
	}
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
			s.w.Raw("* OK Still here\r\n")
		case eventInput:
			return s.idleDone()
		}
	}
}

func (s *session) idleWait() (event, error) {
	if err := s.w.Release(); err != nil {
		return 0, err
	}
	if s.notify != nil {
		if input, err := s.io.lull(lull); input || err != nil {
			return eventInput, err
		}
	}
	return s.io.waitEvent(s.srv.cfg.Keepalive)
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
