package spool

import (
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// idSource gives ids that only grow.
type idSource struct{ v atomic.Uint64 }

func (i *idSource) next(now time.Time) item.ID {
	for {
		last := i.v.Load()
		id := max(last+1, uint64(item.IDAt(now)))
		if i.v.CompareAndSwap(last, id) {
			return item.ID(id)
		}
	}
}

func (i *idSource) last() item.ID      { return item.ID(i.v.Load()) }
func (i *idSource) atLeast(id item.ID) { i.v.Store(max(i.v.Load(), uint64(id))) }

// buffers are the memory of messages being received, in a few sizes.
type buffers struct {
	budget int64
	used   atomic.Int64
	pools  [3]sync.Pool
	sizes  [3]int
}

const (
	smallBuffer  = 16 << 10
	streamBuffer = 64 << 10 // also what a message that goes to its own file holds in memory
)

func (b *buffers) init(budget, large int64) {
	b.budget = budget
	b.sizes = [3]int{smallBuffer, streamBuffer, int(max(large, streamBuffer))}
}

// get returns an empty buffer of at least n bytes. Beyond the budget it
// returns nil for those above 64 KiB.
func (b *buffers) get(n int) []byte {
	for i, size := range b.sizes {
		if n > size {
			continue
		}
		if size > streamBuffer && b.used.Load()+int64(size) > b.budget {
			return nil
		}
		b.used.Add(int64(size))
		switch p := b.pools[i].Get().(type) {
		case *[smallBuffer]byte:
			return p[:0]
		case *[streamBuffer]byte:
			return p[:0]
		case *[]byte:
			return (*p)[:0]
		}
		return make([]byte, 0, size)
	}
	return nil
}

func (b *buffers) put(p []byte) {
	for i, size := range b.sizes {
		if cap(p) == size {
			b.used.Add(-int64(size))
			switch size { // a pointer to an array is kept without an allocation of its own
			case smallBuffer:
				b.pools[i].Put((*[smallBuffer]byte)(p[:smallBuffer]))
			case streamBuffer:
				b.pools[i].Put((*[streamBuffer]byte)(p[:streamBuffer]))
			default:
				b.keep(i, p)
			}
			return
		}
	}
}

func (b *buffers) keep(i int, p []byte) { b.pools[i].Put(&p) }

// Writer takes one message. One goroutine uses it.
type Writer struct {
	s    *Spool
	id   item.ID
	buf  []byte // the whole body while file is nil, else what is not written yet
	size int64
	sum  uint32
	file disk.File
	err  error
	done bool
}

// Begin starts a message of about size bytes (0: unknown). It fails as Room
// does.
func (s *Spool) Begin(size int64) (*Writer, error) {
	if s.closed.Load() {
		return nil, fail.New(fail.Unavailable, "the queue is closed")
	}
	if err := s.Room(size); err != nil {
		return nil, err
	}
	return &Writer{s: s, id: s.ids.next(s.cfg.Now())}, nil
}

// SetMinFree changes Config.MinFree.
func (s *Spool) SetMinFree(n int64) {
	s.minFree.Store(n)
	s.roomAt.Store(0)
}

// Room fails with kind Full when a message of about size bytes (0: unknown)
// would leave less space than MinFree. For small messages the disk is asked once
// a second at most.
func (s *Spool) Room(size int64) error {
	now := s.cfg.Now().UnixNano()
	if size <= s.cfg.Large && now-s.roomAt.Load() < int64(time.Second) && now >= s.roomAt.Load() {
		return nil
	}
	space, err := disk.Statfs(s.cfg.FS, s.cfg.Dir)
	if err != nil {
		return diskErr(err, "free space of the queue")
	}
	if need := uint64(s.minFree.Load() + size); space.Free < need {
		return fail.New(fail.Full, "queue: %d bytes free, %d needed", space.Free, need)
	}
	if space.FreeInodes < 100 {
		return fail.New(fail.Full, "queue: %d inodes free", space.FreeInodes)
	}
	s.roomAt.Store(now)
	return nil
}

// ID is the message's id.
func (w *Writer) ID() item.ID { return w.id }

// Size is the number of bytes written.
func (w *Writer) Size() int64 { return w.size }

// Write appends to the body. After an error only Abort works.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil || w.done {
		return 0, errorOr(w.err, io.ErrClosedPipe)
	}
	w.sum = format.Sum(w.sum, p)
	w.size += int64(len(p))
	if w.err = w.store(p); w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

func errorOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (w *Writer) store(p []byte) error {
	if w.file == nil {
		if w.size <= w.s.cfg.Large && w.grow(len(w.buf)+len(p)) {
			w.buf = append(w.buf, p...)
			return nil
		}
		if err := w.spill(); err != nil {
			return err
		}
	}
	for len(p) > 0 {
		n := min(len(p), cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		if len(w.buf) == cap(w.buf) {
			if err := w.drain(); err != nil {
				return err
			}
		}
	}
	return nil
}

// grow makes room for n bytes in memory.
func (w *Writer) grow(n int) bool {
	if n <= cap(w.buf) {
		return true
	}
	bigger := w.s.buffers.get(n)
	if bigger == nil {
		return false
	}
	bigger = append(bigger, w.buf...)
	w.s.buffers.put(w.buf)
	w.buf = bigger
	return true
}

// spill moves the body to a file of its own.
func (w *Writer) spill() error {
	f, err := w.s.cfg.FS.OpenFile(w.s.cfg.largeFile(w.id), os.O_RDWR|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return diskErr(err, "large message %s", w.id)
	}
	w.file = disk.Guard(f, w.s.cfg.largeFile(w.id))
	if err := w.drain(); err != nil {
		return err
	}
	if cap(w.buf) != streamBuffer {
		w.s.buffers.put(w.buf)
		w.buf = w.s.buffers.get(streamBuffer)
	}
	return nil
}

func (w *Writer) drain() error {
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.file.Write(w.buf); err != nil {
		return diskErr(err, "large message %s", w.id)
	}
	w.buf = w.buf[:0]
	return nil
}

// Abort forgets the message; after Commit it does nothing.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.release()
	if w.file != nil {
		_ = w.file.Close()
		_ = w.s.cfg.FS.Remove(w.s.cfg.largeFile(w.id)) // an orphan is removed at the next start
	}
}

func (w *Writer) release() {
	w.s.buffers.put(w.buf)
	w.buf = nil
}

// Commit makes the message durable and enters it into the index, hot. The
// envelope's Arrival (if zero) and Size are set.
func (w *Writer) Commit(ctx context.Context, env *item.Envelope, headers []byte, skip int64) (*Entry, error) {
	if w.err == nil && ctx.Err() != nil {
		w.err = fail.Wrap(fail.Temporary, ctx.Err(), "message %s", w.id)
	}
	if w.err == nil && !w.done {
		w.err = w.check(env, headers, skip)
	}
	if w.err == nil && w.file != nil {
		w.err = w.syncFile()
	}
	if w.err != nil || w.done {
		w.Abort()
		return nil, errorOr(w.err, io.ErrClosedPipe)
	}
	p := w.pending(env, headers, skip)
	err := w.s.submit(p)
	e := p.entry
	w.s.commit.done(p)
	if err != nil {
		w.Abort()
		return nil, err
	}
	w.done = true
	w.release()
	if w.file != nil {
		_ = w.file.Close()
	}
	return e, nil
}

func (w *Writer) check(env *item.Envelope, headers []byte, skip int64) error {
	switch {
	case len(env.Recipients) == 0:
		return fail.New(fail.Invalid, "message %s: no recipient", w.id)
	case len(headers) > format.MaxHeaders:
		return fail.New(fail.Invalid, "message %s: %d bytes of added headers", w.id, len(headers))
	case skip < 0 || skip > w.size:
		return fail.New(fail.Invalid, "message %s: cannot skip %d of %d bytes", w.id, skip, w.size)
	}
	for i := range env.Recipients {
		if env.Recipients[i].Addr.Null() {
			return fail.New(fail.Invalid, "message %s: null recipient", w.id)
		}
	}
	return nil
}

func (w *Writer) syncFile() error {
	if err := w.drain(); err != nil {
		return err
	}
	disk.Point(w.s.cfg.FS, "queue.body.written")
	disk.Point(w.s.cfg.FS, "queue.body.before_sync")
	w.s.commit.syncs.Add(1)
	if err := w.file.Sync(); err != nil {
		return diskErr(err, "large message %s", w.id)
	}
	disk.Point(w.s.cfg.FS, "queue.body.after_sync")
	return nil
}

func (w *Writer) pending(env *item.Envelope, headers []byte, skip int64) *pending {
	if env.Arrival.IsZero() {
		env.Arrival = w.s.cfg.Now()
	}
	env.Arrival = time.Unix(0, env.Arrival.UnixNano()) // as it will be read back
	env.Size = int64(len(headers)) + w.size - skip
	e := &Entry{ID: w.id, Pos: -1, size: env.Size, arrival: env.Arrival.UnixNano()}
	e.hot = newHot(env)
	if env.Hold {
		e.flags |= format.MsgHeld
	}
	p := w.s.commit.begin()
	p.entry, p.headers = e, headers
	p.env = item.AppendEnvelope(p.env, env)
	p.rec = format.Record{
		ID: w.id, Envelope: uint32(len(p.env)), Headers: uint32(len(headers)), Body: uint64(w.size), Skip: uint64(skip),
		MetaSum: format.Sum(format.Sum(0, p.env), headers), BodySum: w.sum,
	}
	if w.file != nil {
		p.rec.Flags |= format.External
		e.flags |= format.MsgExternal
	} else {
		p.body = w.buf
	}
	p.summary = item.AppendOpen(p.summary, env, e.hot.states, env.Arrival)
	return p
}
