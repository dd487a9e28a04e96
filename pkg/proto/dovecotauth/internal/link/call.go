package link

import (
	"context"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Call is one request on one connection. It must be ended with End.
type Call struct {
	ID      uint32
	conn    *Conn
	replies chan dovecotauth.Line // one slot: the peer waits for us in turn

	timedOut bool
}

// Begin takes a free id on a live connection and sends what build makes of it.
// A connection that turns out dead at the write is replaced once.
func (l *Link) Begin(ctx context.Context, build func(c *Conn, id uint32) []byte) (*Call, error) {
	for attempt := 0; ; attempt++ {
		c, err := l.Get(ctx)
		if err != nil {
			return nil, err
		}
		call, err := c.register()
		if err != nil {
			return nil, err
		}
		err = c.Send(build(c, call.ID))
		if err == nil {
			return call, nil
		}
		call.End()
		if attempt > 0 {
			return nil, err
		}
	}
}

func (c *Conn) register() (*Call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) >= c.cfg.MaxPending {
		return nil, fail.New(fail.Unavailable, "%d requests wait for the auth service", len(c.pending))
	}
	for {
		c.nextID++
		if _, busy := c.pending[c.nextID]; c.nextID != 0 && !busy {
			break
		}
	}
	call := &Call{ID: c.nextID, conn: c, replies: make(chan dovecotauth.Line, 1)}
	c.pending[call.ID] = call
	return call, nil
}

// Conn is the connection the call runs on.
func (x *Call) Conn() *Conn { return x.conn }

// Wait returns the next reply. Unavailable when the connection is lost or the
// request timeout passes; ctx's error, as Unavailable, when ctx ends first.
func (x *Call) Wait(ctx context.Context) (dovecotauth.Line, error) {
	asked := time.Now()
	t := time.NewTimer(x.conn.cfg.RequestTimeout)
	defer t.Stop()
	select {
	case line := <-x.replies:
		return line, nil
	case <-x.conn.dead:
		select { // the reply may have come just before the end
		case line := <-x.replies:
			return line, nil
		default:
			return dovecotauth.Line{}, x.conn.reason()
		}
	case <-ctx.Done():
		return dovecotauth.Line{}, fail.Wrap(fail.Unavailable, ctx.Err(), "waiting for auth service")
	case <-t.C:
		x.timedOut = true
		err := fail.New(fail.Unavailable, "auth service did not answer within %s", x.conn.cfg.RequestTimeout)
		if x.conn.lastRead.Load() < asked.UnixNano() {
			x.conn.kill(err) // silent towards everybody: it hangs, start afresh
		}
		return dovecotauth.Line{}, err
	}
}

// Lost reports whether the connection was lost before an answer came. A server
// that hangs is not lost: asking it again would only take as long again.
func (x *Call) Lost() bool { return x.conn.isDead() && !x.timedOut }

// Send writes a further line of this request.
func (x *Call) Send(lines []byte) error { return x.conn.Send(lines) }

// End frees the id and reports whether it was still taken.
func (x *Call) End() bool {
	x.conn.mu.Lock()
	defer x.conn.mu.Unlock()
	if x.conn.pending[x.ID] != x {
		return false
	}
	delete(x.conn.pending, x.ID)
	return true
}
