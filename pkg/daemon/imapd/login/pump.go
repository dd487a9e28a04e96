package login

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
)

// pumpBuffer is one TLS record.
const pumpBuffer = 16 << 10

// lastWords is how long a client may take to close after the session ended.
// Closing with its bytes unread would make TCP throw away ours.
const lastWords = 2 * time.Second

// pump copies between the client's TLS connection and the session role until
// both have ended. Neither direction holds a buffer while it waits.
func (c *client) pump(local *net.UnixConn) {
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
	if err := c.toClient(local); err != nil {
		_ = c.raw.Close() // the client is gone or takes nothing: end the other direction too
	} else {
		_ = c.raw.SetDeadline(time.Now().Add(lastWords))
		_ = c.tls.CloseWrite()
		_ = netx.CloseWrite(c.raw)
	}
	<-done
	_ = local.Close()
}

// toClient copies the session's output. nil means that the session ended; an
// error is the client's.
func (c *client) toClient(local *net.UnixConn) error {
	stall := c.cfg.Limits.Stall.Std()
	counter := c.role.metrics.pumped.WithLabelValues("out")
	for {
		if err := netx.WaitReadable(local); err != nil {
			return nil // closed by the other direction, or by the drain
		}
		buf := c.role.buffer()
		n, err := local.Read(*buf)
		var werr error
		if n > 0 {
			_ = c.raw.SetWriteDeadline(time.Now().Add(stall))
			_, werr = c.tls.Write((*buf)[:n])
			counter.Add(float64(n))
		}
		c.role.giveBack(buf)
		if werr != nil {
			return werr
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
		n, err := c.tls.Read(*buf)
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
