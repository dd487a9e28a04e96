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
	if s.view != nil {
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
		if s.view != nil {
			s.view.sync(ctx, s, true, nil)
		}
		ev := eventInput
		if len(s.r.Buffered()) == 0 {
			s.r.Release()
			err := s.w.Release()
			if err == nil {
				ev, err = s.io.waitEvent(s.srv.cfg.Keepalive)
			}
			if err != nil {
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
