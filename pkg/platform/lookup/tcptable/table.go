package tcptable

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Postfix waits 100 s for an answer, for which no client of ours does.
const (
	timeout  = 10 * time.Second
	maxIdle  = 8
	idleLife = 30 * time.Second
)

// table is one server.
type table struct {
	address string

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

// conn is one connection between two questions.
type conn struct {
	net.Conn
	r    *bufio.Reader
	last time.Time
}

// Open reads "host:port". Postfix does not change the case of keys for these
// tables, and so neither do we. The table is an io.Closer.
func Open(name string, _ lookup.Options) (lookup.Table, error) {
	host, port, err := net.SplitHostPort(name)
	if err != nil || host == "" || port == "" {
		return nil, fail.New(fail.Invalid, "%.80q is not host:port", name)
	}
	return &table{address: name}, nil
}

// Patterned: the server is told the whole key, once.
func (*table) Patterned() bool { return true }

// Close ends idle connections; questions under way go on.
func (t *table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, c := range t.idle {
		_ = c.Close()
	}
	t.idle = nil
	return nil
}

// Lookup is lookup.Table's. A connection that the server closed while it was
// idle is replaced.
func (t *table) Lookup(ctx context.Context, key string) (string, error) {
	line, ok := request(key)
	if !ok {
		return "", fail.New(fail.NotFound, "tcp:%s: a key of %d bytes is longer than any", t.address, len(key))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if c := t.take(); c != nil {
		if reply, err := t.ask(ctx, c, line); err == nil {
			return t.answer(reply)
		}
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "tcp:%s", t.address)
	}
	reply, err := t.ask(ctx, &conn{Conn: nc, r: bufio.NewReaderSize(nc, maxLine)}, line)
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "tcp:%s", t.address)
	}
	return t.answer(reply)
}

func (t *table) answer(reply string) (string, error) {
	value, err := understand(reply)
	return value, fail.Wrap(fail.KindOf(err), err, "tcp:%s", t.address)
}

// Check connects.
func (t *table) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return fail.Wrap(fail.Unavailable, err, "tcp:%s", t.address)
	}
	return c.Close()
}

func (t *table) take() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := len(t.idle); n > 0; n = len(t.idle) {
		c := t.idle[n-1]
		t.idle = t.idle[:n-1]
		if time.Since(c.last) < idleLife {
			return c
		}
		_ = c.Close()
	}
	return nil
}

// ask uses c for one question and keeps it for the next if all went well.
func (t *table) ask(ctx context.Context, c *conn, line string) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	reply, err := exchange(c, line)
	if !stop() || err != nil || c.r.Buffered() > 0 {
		_ = c.Close()
		return reply, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.idle) >= maxIdle {
		_ = c.Close()
		return reply, nil
	}
	c.last = time.Now()
	t.idle = append(t.idle, c)
	return reply, nil
}

// exchange: a reply that is longer than the buffer is an error of ReadSlice.
func exchange(c *conn, line string) (string, error) {
	if _, err := c.Write([]byte(line)); err != nil {
		return "", err
	}
	reply, err := c.r.ReadSlice('\n')
	return strings.TrimSuffix(string(reply), "\n"), err
}
