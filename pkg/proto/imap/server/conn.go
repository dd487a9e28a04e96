package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
)

// pipe is the connection as the session uses it: every read and write has a
// deadline, and a read first sends what is waiting to be sent, so that the
// two sides never wait for each other.
type pipe struct {
	conn  net.Conn
	stall time.Duration
	flush func() error
	// ctx ends when the server stops; woken is set by what IDLE, and who
	// reads ahead, waits for; ended when the session is over.
	ctx   context.Context
	woken atomic.Bool
	ended atomic.Bool
}

// errShutdown is the error of a read when the server stops, errEnded when the
// session has ended while another goroutine was reading.
var (
	errShutdown = errors.New("server is shutting down")
	errEnded    = errors.New("the session is over")
)

// poke ends a wait in another goroutine: it returns and finds out why.
func (p *pipe) poke() { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) }

// end ends all reading for good.
func (p *pipe) end() {
	p.ended.Store(true)
	p.poke()
}

// wake is poke for IDLE. The flag is set first: whoever sets a new deadline
// over ours looks at the flag after that.
func (p *pipe) wake() {
	p.woken.Store(true)
	p.poke()
}

// deadline sets the read deadline to d from now, unless the session or the
// server stops.
func (p *pipe) deadline(d time.Duration) error {
	if err := p.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	switch {
	case p.ended.Load():
		return errEnded
	case p.ctx.Err() != nil:
		return errShutdown
	}
	return nil
}

// wait returns when bytes can be read, or when d has passed
// (os.ErrDeadlineExceeded), or when the server stops.
func (p *pipe) wait(d time.Duration) error {
	for {
		ev, err := p.waitEvent(d)
		switch {
		case err != nil:
			return err
		case ev == eventInput:
			return nil
		case ev == eventTimeout:
			return os.ErrDeadlineExceeded
		}
		// A wake that came too late for its IDLE means nothing here.
	}
}

// event is why waitEvent returned.
type event uint8

const (
	eventInput event = iota
	eventWake
	eventTimeout
)

// waitEvent is wait for IDLE: a wake ends it too.
func (p *pipe) waitEvent(d time.Duration) (event, error) {
	if err := p.deadline(d); err != nil {
		return 0, err
	}
	if p.woken.Swap(false) {
		return eventWake, nil
	}
	err := p.explain(netx.WaitReadable(p.conn))
	switch {
	case err == nil:
		return eventInput, nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return 0, err
	case p.woken.Swap(false):
		return eventWake, nil
	}
	return eventTimeout, nil
}

// explain tells our own poke from a deadline that has passed.
func (p *pipe) explain(err error) error {
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
	case p.ended.Load():
		return errEnded
	case p.ctx.Err() != nil:
		return errShutdown
	}
	return err
}

func (p *pipe) Read(b []byte) (int, error) {
	if err := p.flush(); err != nil {
		return 0, err
	}
	for {
		if err := p.deadline(p.stall); err != nil {
			return 0, err
		}
		n, err := p.conn.Read(b)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && p.woken.Swap(false) {
			continue // a late wake, or one while "DONE" is on its way
		}
		return n, p.explain(err)
	}
}

func (p *pipe) Write(b []byte) (int, error) {
	if err := p.conn.SetWriteDeadline(time.Now().Add(p.stall)); err != nil {
		return 0, err
	}
	return p.conn.Write(b)
}
