package authserver

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// conn is what connections of both protocols have.
type conn struct {
	s        *Server
	nc       net.Conn
	in       *dovecotauth.Reader
	out      *output
	kind     Kind
	ctx      context.Context // ends with the connection
	cancel   context.CancelFunc
	stopping context.Context // ends when the server is to stop
	unhook   func() bool     // from stopping
}

// newConn makes what connections of both protocols have, on the heap: the
// goroutine that waits for the peer should have a small stack.
func (s *Server) newConn(ctx context.Context, nc net.Conn, kind Kind) *conn {
	c := &conn{
		s: s, nc: nc, kind: kind, stopping: ctx,
		in: s.buffers.NewReader(nc), out: newOutput(nc, s.cfg.WriteTimeout, &s.outputs),
	}
	c.unhook = context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return c
}

func (c *conn) release() {
	c.unhook()
	c.cancel()
}

// wait sends what is to be sent and returns the next line, unparsed. It is
// good until the next call.
func (c *conn) wait() ([]byte, error) {
	if !c.in.Ready() {
		if err := c.out.uncork(); err != nil {
			return nil, err
		}
		// After a deadline was lifted, the one of the stop may be lost.
		if c.stopping.Err() != nil {
			return nil, nil
		}
	}
	raw, err := c.in.Raw()
	if err != nil {
		return nil, err
	}
	c.out.cork()
	return raw, dovecotauth.Check(raw)
}

// finish waits for what still runs. The peer that is gone needs no answers;
// the one that is not gets those which come within the drain time.
func (c *conn) finish(running *sync.WaitGroup) {
	_ = c.out.uncork()
	if c.stopping.Err() == nil {
		c.cancel()
	} else {
		t := time.AfterFunc(c.s.cfg.DrainTimeout, c.cancel)
		defer t.Stop()
	}
	running.Wait()
	_ = c.nc.Close()
}

// inOrder drops the errors that say no more than that the connection is over.
func (c *conn) inOrder(err error) error {
	if c.stopping.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}
