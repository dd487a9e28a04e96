package link

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// maxGreeting bounds the lines before the greeting ends; Dovecot sends a few dozen.
const maxGreeting = 1000

// Conn is one connection whose greeting is complete.
type Conn struct {
	Greeting Handshake

	nc   net.Conn
	cfg  *Config
	dead chan struct{}

	lastRead atomic.Int64 // Unix nanoseconds of the last line received

	writeMu sync.Mutex
	unsent  []byte // while somebody writes
	writing bool

	mu      sync.Mutex
	err     error // why dead is closed
	nextID  uint32
	pending map[uint32]*Call
}

// open dials, shakes hands and starts the reader.
func (l *Link) open(ctx context.Context) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.HandshakeTimeout)
	defer cancel()
	nc, err := l.cfg.Dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	c := &Conn{
		nc: nc, cfg: &l.cfg, Greeting: l.cfg.Greet(),
		dead: make(chan struct{}), pending: make(map[uint32]*Call),
	}
	r := dovecotauth.NewReader(nc)
	err = c.greet(r)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	if l.cfg.Ready != nil {
		l.cfg.Ready(c.Greeting)
	}
	go c.read(r)
	return c, nil
}

func (c *Conn) greet(r *dovecotauth.Reader) error {
	if _, err := c.nc.Write(c.cfg.Hello); err != nil {
		return err
	}
	for range maxGreeting {
		line, err := r.Next()
		if err != nil {
			return err
		}
		if done, err := c.Greeting.Line(line); err != nil || done {
			return err
		}
	}
	return fail.New(fail.Invalid, "auth service sent more than %d greeting lines", maxGreeting)
}

// read hands each reply to its request until the connection ends.
func (c *Conn) read(r *dovecotauth.Reader) {
	for {
		line, err := r.Next()
		if err != nil {
			c.kill(fail.Wrap(fail.Unavailable, err, "connection lost to auth service"))
			return
		}
		c.lastRead.Store(time.Now().UnixNano())
		id, ok := dovecotauth.ParseID(line.Param(0))
		if !ok {
			continue // a later handshake line, or an extension nobody asked for
		}
		if !c.deliver(id, line) {
			c.kill(fail.New(fail.Unavailable, "auth service answered request %d twice", id))
			return
		}
	}
}

// deliver reports false when the request still has an unread reply.
func (c *Conn) deliver(id uint32, line dovecotauth.Line) bool {
	c.mu.Lock()
	call := c.pending[id]
	c.mu.Unlock()
	if call == nil {
		return true // answered too late, or never asked: skipped as Postfix does
	}
	select {
	case call.replies <- line:
		return true
	default:
		return false
	}
}

func (c *Conn) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// kill closes the connection once; the first reason stays.
func (c *Conn) kill(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = err
		close(c.dead)
	}
	c.mu.Unlock()
	if first {
		_ = c.nc.Close()
	}
}

func (c *Conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Send writes whole lines. Those that come while somebody writes go out with
// the next write, so that many requests at a time cost few. A failed or stuck
// write ends the connection, which whoever waits for an answer hears.
func (c *Conn) Send(lines []byte) error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if c.writing {
		c.unsent = append(c.unsent, lines...)
		return nil
	}
	c.writing = true
	defer func() { c.writing = false }()
	for next := lines; len(next) > 0; next, c.unsent = c.unsent, nil {
		c.writeMu.Unlock()
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.cfg.WriteTimeout))
		_, err := c.nc.Write(next)
		c.writeMu.Lock()
		if err != nil {
			c.unsent = nil
			err = fail.Wrap(fail.Unavailable, err, "writing to auth service")
			c.kill(err)
			return err
		}
	}
	return nil
}
