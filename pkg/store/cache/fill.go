package cache

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// maxQueue is how many messages wait to be read in the background. More come
// only when a folder is filled at once; those are read when they are asked for.
const maxQueue = 1024

// fillStep is how many are read between two looks at whether to go on.
const fillStep = 8

// filler reads new messages in the background, so that whoever asks first
// waits for no file. There is one goroutine while there is something to do.
type filler struct {
	ctx    context.Context //nolint:containedctx // ends with the cache
	cancel context.CancelFunc

	mu      sync.Mutex
	queue   []uint32
	running bool
	stopped bool
	wg      sync.WaitGroup
}

func (f *filler) init() { f.ctx, f.cancel = context.WithCancel(context.Background()) }

func (f *filler) stop() {
	f.mu.Lock()
	f.stopped, f.queue = true, nil
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
}

// take returns the next messages. The last that finds none ends the work.
func (f *filler) take() []uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(f.queue), fillStep)
	some := f.queue[:n:n]
	if f.queue = f.queue[n:]; n == 0 {
		f.queue, f.running = nil, false
	}
	return some
}

// Fill has messages read soon, the newest first in mind: it takes as many as
// there is room for.
func (c *Cache) Fill(uids []uint32) {
	f := &c.filler
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	f.queue = append(f.queue, uids[:min(len(uids), maxQueue-len(f.queue))]...)
	if !f.running && len(f.queue) > 0 {
		f.running = true
		f.wg.Go(c.fill)
	}
}

// Take reads a message whose text is at hand, as Fill would. It is false when
// nothing may be written now.
func (c *Cache) Take(uid uint32, text []byte) bool {
	return c.src.Quiet(func() {
		m := c.maker()
		defer c.memory.makers.Put(m)
		b := batch{data: make([]byte, 0, usualEntry)}
		m.now.Set(text)
		if c.add(m, &b, uid, &m.now, time.Time{}, c.usual()) == nil {
			c.keep(&b, false)
		}
		m.now.Set(nil)
	})
}

// usual is how much is made of new messages.
func (c *Cache) usual() depth {
	if c.wanted.Load() {
		return full
	}
	return bodies
}

// Settle waits until the messages of all calls of Fill so far were read.
func (c *Cache) Settle() { c.filler.wg.Wait() }

func (c *Cache) fill() {
	for {
		some := c.filler.take()
		if len(some) == 0 {
			return
		}
		c.src.Quiet(func() { c.fillSome(some) })
		runtime.Gosched() // whoever waits for an answer goes first
	}
}

func (c *Cache) fillSome(uids []uint32) {
	var missing []uint32
	for _, uid := range uids {
		if c.src.Entry(uid) == 0 {
			missing = append(missing, uid)
		}
	}
	if len(missing) > 0 {
		c.make(c.filler.ctx, missing, c.usual(), false, func(int, Entry, error) {})
	}
}
