package login

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/handover"
)

// pumpBuffer is one TLS record.
const pumpBuffer = 16 << 10

// lastWords is how long a client may take to close after the session ended.
// Closing with its bytes unread would make TCP throw away ours.
const lastWords = 2 * time.Second

// patience is how long a direction of a pump is silent before it is parked.
const patience = time.Second

// pump copies between the client's connection and the session role until both
// have ended, or until the session role gives the client back. Neither
// direction holds a buffer while it waits, nor for long a goroutine.
type pump struct {
	c      *client
	local  *net.UnixConn
	chunks handover.Chunks
	over   func(ahead []byte, back bool) // ahead is what the client has sent behind the session that gave it back

	mu    sync.Mutex
	limit time.Time     // how long the client may still take; zero: for ever
	spots [2]*netx.Spot // of the directions that are parked
	left  int           // directions that have not ended
	back  bool          // the session role gives the client back
	// closed: either connection may be closed at any time, and nobody would
	// wake who is parked then.
	closed bool
}

// direction is one of a pump's two.
type direction int

const (
	fromClient direction = iota
	toClient
)

// pumpTo starts the pump between the client and local. over is called at its
// end, from any goroutine.
func (c *client) pumpTo(local *net.UnixConn, over func(ahead []byte, back bool)) {
	c.role.metrics.sessions.WithLabelValues(c.protocol().String()).Inc()
	p := &pump{c: c, local: local, over: over, left: 2}
	if !c.returnable() {
		c.relay = nil // there is no other login
	}
	_ = c.raw.SetDeadline(time.Time{})
	c.lazy.SetLazy(true)
	c.entry.attach(p)
	go p.run(fromClient)
	p.run(toClient)
}

// Close ends the session's side, wherever the directions wait.
func (p *pump) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.spots {
		if s != nil {
			s.Wake()
		}
	}
	return p.local.Close()
}

// run copies in one direction until it is parked or ends. A panic ends this
// connection only.
func (p *pump) run(d direction) {
	parked, through := false, false
	defer func() {
		if !through {
			_ = p.Close()
			p.hurry(time.Unix(1, 0))
		}
		if !parked {
			p.ended()
		}
	}()
	defer p.c.role.caught()
	if d == fromClient {
		parked = p.fromClient()
	} else {
		parked = p.output()
	}
	through = true
}

// output is toClient and what its end means for the other direction.
func (p *pump) output() (parked bool) {
	parked, err := p.toClient()
	switch {
	case parked:
	case errors.Is(err, errBack): // the connection stays as it is; only the other direction ends
		p.mu.Lock()
		p.back = true
		p.mu.Unlock()
		p.hurry(time.Unix(1, 0))
	case err != nil: // the client is gone or takes nothing
		p.hurry(time.Unix(1, 0))
	default:
		_ = p.c.raw.SetWriteDeadline(time.Now().Add(lastWords))
		p.c.closeWrite()
		p.hurry(time.Now().Add(lastWords))
	}
	return parked
}

// hurry bounds how long the client may still take.
func (p *pump) hurry(limit time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
	_ = p.c.raw.SetReadDeadline(limit)
	if s := p.spots[fromClient]; s != nil {
		s.Wake()
	}
}

// wait returns when there is something to read in a direction, or parks it;
// then run goes on some time. An error is that of the connection.
func (p *pump) wait(d direction) (parked bool, err error) {
	conn := p.c.raw
	if d == toClient {
		conn = p.local
	}
	p.mu.Lock()
	limit := time.Now().Add(p.c.role.patience)
	last := !p.until(d).IsZero()
	if last {
		limit = p.until(d)
	}
	_ = conn.SetReadDeadline(limit)
	p.mu.Unlock()
	err = netx.WaitReadable(conn)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !last || err == nil { // what is there may be read
		_ = conn.SetReadDeadline(p.until(d))
	}
	if last || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false, err
	}
	return p.park(d, conn), nil
}

// until is the read deadline of a direction; mu is held.
func (p *pump) until(d direction) time.Time {
	if d == fromClient {
		return p.limit
	}
	return time.Time{}
}

// park is false when the direction has to go on; mu is held.
func (p *pump) park(d direction, conn net.Conn) bool {
	if p.closed || !p.until(d).IsZero() {
		return false
	}
	s, err := p.c.role.lot.Park(conn, 0, func() {
		p.mu.Lock()
		p.spots[d] = nil
		p.mu.Unlock()
		p.run(d)
	})
	if err != nil {
		return false
	}
	p.spots[d] = s
	return true
}

// ended is the end of a direction; the second one ends the pump.
func (p *pump) ended() {
	p.mu.Lock()
	p.left--
	last, back := p.left == 0, p.back
	p.mu.Unlock()
	if !last {
		return
	}
	p.c.role.metrics.sessions.WithLabelValues(p.c.protocol().String()).Dec()
	if back {
		if ahead, err := p.takeBack(); err == nil {
			p.over(ahead, true)
			return
		}
		_ = p.c.raw.Close()
	}
	_ = p.local.Close()
	p.over(nil, false)
}

// errBack is how toClient ends when the session role gives the client back.
var errBack = errors.New("the client comes back")

// takeBack asks for what the client has sent ahead. The connection is as it was
// before the pump.
func (p *pump) takeBack() ([]byte, error) {
	_ = p.local.SetDeadline(time.Time{})
	ahead, err := handover.TakeBack(p.local)
	_ = p.local.Close()
	p.c.lazy.SetLazy(false)
	return ahead, errors.Join(err, p.c.raw.SetDeadline(time.Time{}))
}

// toClient copies the session's output. nil means that the session ended; an
// error is the client's.
func (p *pump) toClient() (parked bool, err error) {
	c := p.c
	stall := c.cfg.Limits.Stall.Std()
	counter := c.role.metrics.pumped.WithLabelValues("out")
	for {
		parked, err := p.wait(toClient)
		if parked || err != nil {
			return parked, nil // closed by the other direction, or by the drain
		}
		buf := c.role.buffer()
		n, err := p.local.Read(*buf)
		payload, back := (*buf)[:n], false
		if c.returnable() {
			payload, back = p.chunks.Strip(payload)
		}
		var werr error
		if len(payload) > 0 {
			_ = c.raw.SetWriteDeadline(time.Now().Add(stall))
			_, werr = c.conn.Write(payload)
			counter.Add(float64(len(payload)))
		}
		c.role.giveBack(buf)
		switch {
		case werr != nil:
			return false, werr
		case back:
			return false, errBack
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil // the session ended, well or badly
		}
	}
}

// fromClient copies the client's input. After the session has ended it goes
// on reading, to nowhere, until the client closes or lastWords are over.
func (p *pump) fromClient() (parked bool) {
	c := p.c
	counter := c.role.metrics.pumped.WithLabelValues("in")
	var dead bool
	for {
		buf := c.role.buffer()
		n, err := c.conn.Read(*buf)
		if n > 0 && !dead {
			_, werr := p.local.Write((*buf)[:n])
			dead = werr != nil
			counter.Add(float64(n))
		}
		c.role.giveBack(buf)
		if errors.Is(err, netx.ErrWouldBlock) {
			if parked, err = p.wait(fromClient); parked {
				return true
			}
		}
		if err != nil {
			p.clientGone(err)
			return false
		}
	}
}

// clientGone passes the end of the client's input on. A client that only has
// no more to say still gets the answers; one that broke off gets nothing.
func (p *pump) clientGone(err error) {
	p.mu.Lock()
	back := p.back
	p.mu.Unlock()
	switch {
	case back: // we have ended the wait ourselves
	case errors.Is(err, io.EOF):
		_ = p.local.CloseWrite()
	default:
		_ = p.Close()
	}
}

// caught ends a panic: it is deferred.
func (r *role) caught() {
	if v := recover(); v != nil {
		r.log.Error("panic while serving a connection; the connection is closed", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	}
}

func (r *role) buffer() *[]byte {
	r.held.Add(1)
	return r.buffers.Get().(*[]byte)
}

func (r *role) giveBack(b *[]byte) {
	r.buffers.Put(b)
	r.held.Add(-1)
}
