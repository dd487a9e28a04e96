package login

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/handover"
)

// pumpBuffer is one TLS record.
const pumpBuffer = 16 << 10

// lastWords is how long a client may take to close after the session ended.
// Closing with its bytes unread would make TCP throw away ours.
const lastWords = 2 * time.Second

// pump copies between the client's connection and the session role until
// both have ended, or until the session role gives the client back: then it
// returns what the client has sent ahead. Neither direction holds a buffer
// while it waits.
func (c *client) pump(local *net.UnixConn) (ahead []byte, back bool) {
	sessions := c.role.metrics.sessions.WithLabelValues(c.protocol().String())
	sessions.Inc()
	defer sessions.Dec()
	c.entry.attach(local)
	_ = c.raw.SetDeadline(time.Time{})
	c.lazy.SetLazy(true)

	done := make(chan struct{})
	go func() {
		defer close(done)
		c.fromClient(local)
	}()
	switch err := c.toClient(local); {
	case errors.Is(err, errBack):
		if ahead, err = c.takeBack(local, done); err == nil {
			return ahead, true
		}
		_ = c.raw.Close()
	case err != nil:
		_ = c.raw.Close() // the client is gone or takes nothing: end the other direction too
	default:
		_ = c.raw.SetDeadline(time.Now().Add(lastWords))
		c.closeWrite()
	}
	<-done
	_ = local.Close()
	return nil, false
}

// errBack is how toClient ends when the session role gives the client back.
var errBack = errors.New("the client comes back")

// takeBack stops the other direction, done tells when, and asks for what the
// client has sent ahead. The connection is as it was before the pump.
func (c *client) takeBack(local *net.UnixConn, done <-chan struct{}) ([]byte, error) {
	c.returning.Store(true)
	_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	<-done
	ahead, err := handover.TakeBack(local)
	_ = local.Close()
	c.returning.Store(false)
	c.lazy.SetLazy(false)
	return ahead, errors.Join(err, c.raw.SetDeadline(time.Time{}))
}

// toClient copies the session's output. nil means that the session ended; an
// error is the client's.
func (c *client) toClient(local *net.UnixConn) error {
	stall := c.cfg.Limits.Stall.Std()
	counter := c.role.metrics.pumped.WithLabelValues("out")
	var chunks handover.Chunks
	for {
		if err := netx.WaitReadable(local); err != nil {
			return nil // closed by the other direction, or by the drain
		}
		buf := c.role.buffer()
		n, err := local.Read(*buf)
		payload, back := (*buf)[:n], false
		if c.returnable() {
			payload, back = chunks.Strip(payload)
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
			return werr
		case back:
			return errBack
		}
		if err != nil {
			return nil // the session ended, well or badly
		}
	}
}

// fromClient copies the client's input. After the session has ended it goes
// on reading, to nowhere, until the client closes or lastWords are over.
func (c *client) fromClient(local *net.UnixConn) {
	counter := c.role.metrics.pumped.WithLabelValues("in")
	var dead bool
	for {
		buf := c.role.buffer()
		n, err := c.conn.Read(*buf)
		if n > 0 && !dead {
			_, werr := local.Write((*buf)[:n])
			dead = werr != nil
			counter.Add(float64(n))
		}
		c.role.giveBack(buf)
		switch {
		case err == nil:
		case errors.Is(err, netx.ErrWouldBlock):
			if err := c.lazy.Wait(); err != nil {
				c.clientGone(local, err)
				return
			}
		default:
			c.clientGone(local, err)
			return
		}
	}
}

// clientGone passes the end of the client's input on. A client that only has
// no more to say still gets the answers; one that broke off gets nothing.
func (c *client) clientGone(local *net.UnixConn, err error) {
	if c.returning.Load() { // we have ended the wait ourselves
		return
	}
	if errors.Is(err, io.EOF) {
		_ = local.CloseWrite()
		return
	}
	_ = local.Close()
}

func (r *role) buffer() *[]byte {
	r.held.Add(1)
	return r.buffers.Get().(*[]byte)
}

func (r *role) giveBack(b *[]byte) {
	r.buffers.Put(b)
	r.held.Add(-1)
}
