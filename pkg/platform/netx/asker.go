package netx

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	maxIdle  = 8
	idleLife = 30 * time.Second // a server, or a proxy before it, may hang up after a while
)

// Asker asks a server one question at a time on each connection, and keeps
// connections for the next ones. It is safe for concurrent use.
type Asker struct {
	Network, Address string
	Buffer           int // bytes of a reader

	mu     sync.Mutex
	idle   []*asked
	closed bool
}

// asked is a connection between two questions.
type asked struct {
	net.Conn
	r    *bufio.Reader
	last time.Time
}

// Exchange asks one question. An error of kind fail.Invalid says that the
// answer makes no sense, which asking again would not change.
type Exchange func(w io.Writer, r *bufio.Reader) (string, error)

// Ask asks, within the time of ctx. A connection that the server closed while
// it was idle is replaced. Errors are those of the network and of do.
func (a *Asker) Ask(ctx context.Context, do Exchange) (string, error) {
	if c := a.take(); c != nil {
		reply, err := a.use(ctx, c, do)
		if err == nil || ctx.Err() != nil || fail.Is(err, fail.Invalid) {
			return reply, err
		}
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, a.Network, a.Address)
	if err != nil {
		return "", err
	}
	return a.use(ctx, &asked{Conn: c, r: bufio.NewReaderSize(c, a.Buffer)}, do)
}

// Close ends idle connections; questions under way go on.
func (a *Asker) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, c := range a.idle {
		_ = c.Close()
	}
	a.idle = nil
}

// Idle returns how many connections wait for the next question.
func (a *Asker) Idle() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.idle)
}

func (a *Asker) take() *asked {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := len(a.idle); n > 0; n = len(a.idle) {
		c := a.idle[n-1]
		a.idle = a.idle[:n-1]
		if time.Since(c.last) < idleLife {
			return c
		}
		_ = c.Close()
	}
	return nil
}

// use asks on c and keeps it if all went well.
func (a *Asker) use(ctx context.Context, c *asked, do Exchange) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	reply, err := do(c, c.r)
	if !stop() || err != nil || c.r.Buffered() > 0 {
		_ = c.Close()
		return reply, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.idle) >= maxIdle {
		_ = c.Close()
		return reply, nil
	}
	c.last = time.Now()
	a.idle = append(a.idle, c)
	return reply, nil
}
