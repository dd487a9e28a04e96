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
	out      *output
	kind     Kind
	ctx      context.Context // ends with the connection
	stopping context.Context // ends when the server is to stop
}

// lines hands every line to handle until reading fails, handle does, or the
// server stops.
func (c *conn) lines(handle func(dovecotauth.Line) error) error {
	r := dovecotauth.NewReader(c.nc)
	for {
		// After a deadline was lifted, the one of the stop may be lost.
		if c.stopping.Err() != nil {
			return nil
		}
		line, err := r.Next()
		if err != nil {
			return err
		}
		if err := handle(line); err != nil {
			return err
		}
	}
}

// finish waits for what still runs. The peer that is gone needs no answers;
// the one that is not gets those which come within the drain time.
func (c *conn) finish(running *sync.WaitGroup, cancel context.CancelFunc) {
	if c.stopping.Err() == nil {
		cancel()
	} else {
		t := time.AfterFunc(c.s.cfg.DrainTimeout, cancel)
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

// output serialises replies. A peer that does not read loses its connection,
// it does not hold up requests.
type output struct {
	nc      net.Conn
	timeout time.Duration
	mu      sync.Mutex
}

func (o *output) send(lines []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.nc.SetWriteDeadline(time.Now().Add(o.timeout))
	_, err := o.nc.Write(lines)
	if err != nil {
		_ = o.nc.Close()
	}
	return err
}
