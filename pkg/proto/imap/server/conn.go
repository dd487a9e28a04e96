package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// pipe is the connection as the session uses it: every read and write has a
// deadline, and a read first sends what is waiting to be sent, so that the
// two sides never wait for each other.
type pipe struct {
	conn  net.Conn
	stall time.Duration
	flush func() error
	// lot is where the connection waits that has been silent for patience; nil:
	// in its goroutine.
	lot      *netx.Lot
	patience time.Duration
	// With COMPRESS (RFC 4978) these stand between the session and conn.
	inflate *wire.Inflater
	deflate *wire.Deflater
	// ctx ends when the server stops; woken is set by what IDLE, and who
	// reads ahead, waits for; ended when the session is over.
	ctx   context.Context
	woken atomic.Bool
	ended atomic.Bool

	mu   sync.Mutex // guards spot, and orders parking and poking
	spot *netx.Spot // while the session is parked
}

// errShutdown is the error of a read when the server stops, errEnded when the
// session has ended while another goroutine was reading.
var (
	errShutdown = errors.New("server is shutting down")
	errEnded    = errors.New("the session is over")
)

// poke ends a wait in another goroutine, or in the lot: it returns and finds out
// why.
func (p *pipe) poke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spot != nil {
		p.spot.Wake()
		return
	}
	_ = p.conn.SetReadDeadline(time.Unix(1, 0))
}

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

// lull waits for input for a short time, whatever else happens.
func (p *pipe) lull(d time.Duration) (input bool, err error) {
	if err := p.deadline(d); err != nil {
		return false, err
	}
	if err = p.readable(); errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}

// event is why waitEvent returned.
type event uint8

const (
	eventInput event = iota
	eventWake
	eventTimeout
	eventPark // nothing has happened for so long that the session may be parked
)

// waitEvent is wait for IDLE: a wake ends it too.
func (p *pipe) waitEvent(d time.Duration) (event, error) {
	if err := p.deadline(d); err != nil {
		return 0, err
	}
	if p.woken.Swap(false) {
		return eventWake, nil
	}
	err := p.readable()
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

// waitUntil is waitEvent for a session that may be parked while it waits.
func (p *pipe) waitUntil(until time.Time) (event, error) {
	left := time.Until(until)
	if p.lot == nil || left <= p.patience {
		return p.waitEvent(left)
	}
	ev, err := p.waitEvent(p.patience)
	if ev == eventTimeout {
		ev = eventPark
	}
	return ev, err
}

// park leaves the connection in the lot until there is input, until has come,
// or somebody pokes; resume runs then. It is false when the session has to wait
// by itself, or need not wait any more. Its caller must be through with the
// session: resume may be running by the time it returns.
func (p *pipe) park(until time.Time, resume func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.woken.Load() || p.ended.Load() || p.ctx.Err() != nil {
		return false
	}
	left := time.Until(until)
	if left <= 0 {
		return false
	}
	spot, err := p.lot.Park(p.conn, left, func() {
		p.mu.Lock()
		p.spot = nil
		p.mu.Unlock()
		resume()
	})
	if err != nil {
		return false
	}
	p.spot = spot
	return true
}

// readable waits until a Read would return something. Compressed bytes that
// say nothing, such as the mark of a flush alone, do not count.
func (p *pipe) readable() error {
	for p.inflate == nil || !p.inflate.Ready() {
		err := netx.WaitReadable(p.conn)
		if err == nil && p.inflate != nil {
			if err = p.inflate.Fill(p.conn.Read); err == nil {
				continue
			}
		}
		return p.explain(err)
	}
	return nil
}

// compress puts DEFLATE between the session and the connection. early is what
// has been read already, and counts as compressed; spare is of
// wire.Buffers.Inflater.
func (p *pipe) compress(bufs *wire.Buffers, early []byte, spare int64) {
	p.inflate, p.deflate = bufs.Inflater(spare), bufs.Deflater(plain{p})
	p.inflate.Feed(early)
}

// decompress ends the compression in both directions, ours first, and returns
// what the client has sent in the clear behind its own.
func (p *pipe) decompress() ([]byte, error) {
	if err := p.deflate.Close(); err != nil {
		return nil, err
	}
	for {
		rest, more, err := p.inflate.Leave()
		if !more || err != nil {
			return rest, err
		}
		if err := p.deadline(p.stall); err != nil {
			return nil, err
		}
		if err := p.inflate.Fill(p.conn.Read); err != nil {
			return nil, p.explain(err)
		}
	}
}

// plain is the connection below the compression.
type plain struct{ p *pipe }

func (w plain) Write(b []byte) (int, error) { return w.p.write(b) }

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
		if p.inflate != nil {
			if n, err := p.inflate.Read(b); n > 0 || err != nil {
				return n, err
			}
		}
		if err := p.deadline(p.stall); err != nil {
			return 0, err
		}
		n, err := 0, error(nil)
		if p.inflate != nil {
			err = p.inflate.Fill(p.conn.Read)
		} else {
			n, err = p.conn.Read(b)
		}
		switch {
		case n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && p.woken.Swap(false):
			// a late wake, or one while "DONE" is on its way
		case n == 0 && err == nil && p.inflate != nil:
		default:
			return n, p.explain(err)
		}
	}
}

func (p *pipe) Write(b []byte) (int, error) {
	if p.deflate != nil {
		return p.deflate.Write(b)
	}
	return p.write(b)
}

func (p *pipe) write(b []byte) (int, error) {
	if err := p.conn.SetWriteDeadline(time.Now().Add(p.stall)); err != nil {
		return 0, err
	}
	return p.conn.Write(b)
}
