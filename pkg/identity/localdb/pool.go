package localdb

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// pool keeps connections to the file at path as it is now. When the file has
// changed they are closed, all of them, before new ones are opened: SQLite
// tells its connections of changes that SQLite makes, but not that a backup
// was copied over the file, and the memory that connections share is cleared
// only when there is none. Changes are rare, and opening takes a millisecond.
type pool struct {
	path   string
	steps  []string
	now    func() time.Time
	tokens chan struct{} // one for each reader at work
	writer chan struct{} // held by the one writer of this process

	turn sync.RWMutex // held for reading while a connection is in use

	mu     sync.Mutex
	at     stamp
	idle   []*conn
	create bool // make the file if it is missing; off once there was one
	closed bool
}

// stamp tells one state of the file from another.
type stamp struct {
	id    disk.ID
	size  int64
	mtime time.Time
}

func newPool(path string, readers int, create bool, now func() time.Time) *pool {
	return &pool{
		path: path, steps: steps(), now: now, create: create,
		tokens: make(chan struct{}, readers), writer: make(chan struct{}, 1),
	}
}

// stat describes the file, which it makes the first time if that is wanted.
func (p *pool) stat() (stamp, error) {
	info, err := os.Stat(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = p.make()
	}
	switch {
	case err != nil:
		return stamp{}, fail.Wrap(fail.Unavailable, err, "it cannot be used")
	case !info.Mode().IsRegular():
		return stamp{}, fail.New(fail.Unavailable, "it is not a regular file")
	}
	return stamp{disk.IDOf(info), info.Size(), info.ModTime()}, nil
}

// make is called when the file is missing. One that vanishes while we run is
// not made again: it was not we who emptied the store.
func (p *pool) make() (fs.FileInfo, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.create {
		return nil, fail.New(fail.Unavailable, "there is no such file: add a user (authd user add) or restore a backup (authd store restore)")
	}
	if err := create(p.path, p.steps, p.now().Unix()); err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "it cannot be made")
	}
	return os.Stat(p.path)
}

// maxTurns is how often a call begins again because the file has changed.
const maxTurns = 10

// read runs f in a read transaction, on a connection that it shares with
// nobody.
func (p *pool) read(ctx context.Context, f func(*conn) error) error {
	select {
	case p.tokens <- struct{}{}:
		defer func() { <-p.tokens }()
	case <-ctx.Done():
		return fail.Wrap(fail.Unavailable, ctx.Err(), "waiting for a connection")
	}
	for range maxTurns {
		again, err := p.readOnce(ctx, f)
		if !again {
			return err
		}
		p.turnOver()
	}
	return fail.New(fail.Unavailable, "it does not stop changing")
}

// readOnce is read, unless the connections are of an older state of the file.
func (p *pool) readOnce(ctx context.Context, f func(*conn) error) (again bool, err error) {
	p.turn.RLock()
	defer p.turn.RUnlock()
	now, err := p.stat()
	if err != nil {
		return false, err
	}
	c, err := p.take(ctx, now)
	if err != nil {
		return errors.Is(err, errTurn), err
	}
	defer p.give(c)
	return false, c.use(ctx, func() error { return c.snapshot(func() error { return f(c) }) })
}

var errTurn = errors.New("the file has changed")

// take is a connection to the file in state now.
func (p *pool) take(ctx context.Context, now stamp) (*conn, error) {
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return nil, fail.New(fail.Unavailable, "it is closed")
	case p.at != now:
		p.mu.Unlock()
		return nil, errTurn
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	c, err := openConn(ctx, p.path, p.steps, p.now().Unix())
	if err == nil {
		p.mu.Lock()
		p.create = false
		p.mu.Unlock()
	}
	return c, err
}

func (p *pool) give(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.broken || p.closed {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
}

// turnOver closes the connections to what the file was, and opens none. It
// waits for those in use, which are quick.
func (p *pool) turnOver() {
	p.turn.Lock()
	defer p.turn.Unlock()
	now, err := p.stat()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || p.at == now {
		return
	}
	p.drop()
	p.at = now
}

func (p *pool) drop() {
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}

// write runs f in a transaction that is durable when write returns nil, on a
// connection of its own. One runs at a time.
func (p *pool) write(ctx context.Context, f func(*conn) error) error {
	select {
	case p.writer <- struct{}{}:
		defer func() { <-p.writer }()
	case <-ctx.Done():
		return fail.Wrap(fail.Unavailable, ctx.Err(), "waiting for a change to end")
	}
	for range maxTurns {
		if err := p.writeOnce(ctx, f); !errors.Is(err, errTurn) {
			return err
		}
	}
	return fail.New(fail.Unavailable, "it does not stop being replaced")
}

// writeOnce is write, unless the file was replaced before the change began:
// what would be written to the old one would be lost.
func (p *pool) writeOnce(ctx context.Context, f func(*conn) error) error {
	before, err := p.stat()
	if err != nil {
		return err
	}
	c, err := openConn(ctx, p.path, p.steps, p.now().Unix())
	if err != nil {
		return err
	}
	defer c.close()
	err = c.use(ctx, func() error {
		return c.immediate(func() error {
			// Whoever replaces the file by our commands holds the write lock.
			if now, err := p.stat(); err != nil || now.id != before.id {
				return errTurn
			}
			return f(c)
		})
	})
	if err == nil {
		err = c.use(context.Background(), func() error { c.checkpoint(); return nil })
	}
	return err
}

// close ends all connections; those in use end when they come back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.drop()
}
