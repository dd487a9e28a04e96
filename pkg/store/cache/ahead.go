package cache

import (
	"context"
	"runtime"
	"sync"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// How far a Window reads ahead.
const (
	stepSize  = 32      // messages that one worker reads at a time
	maxSteps  = 8       // steps that are ready or being read
	maxReady  = 4 << 20 // bytes that wait to be taken
	fewAhead  = 4       // for fewer messages no goroutine is started
	maxWorker = 4
)

// Window reads entries of messages before they are asked for, in the order in
// which they will be, with a few workers. It belongs to one command.
type Window struct {
	c      *Cache
	uids   []uint32
	ctx    context.Context //nolint:containedctx // of the command
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond
	at      int // the step that entries are taken from
	next    int // the first that nobody reads yet
	ready   int // bytes
	steps   map[int]*step
}

// step is some messages that are read together.
type step struct {
	done    bool
	entries []Entry
	errs    []error
	size    int
}

// Ahead begins to read the entries of messages, whose UIDs ascend. Stop it.
func (c *Cache) Ahead(ctx context.Context, uids []uint32) *Window {
	w := &Window{c: c, uids: uids, steps: map[int]*step{}}
	w.changed.L = &w.mu
	w.ctx, w.cancel = context.WithCancel(ctx)
	if len(uids) < fewAhead {
		return w
	}
	steps := (len(uids) + stepSize - 1) / stepSize
	for range min(steps, runtime.GOMAXPROCS(0), maxWorker) {
		w.wg.Go(w.work)
	}
	return w
}

// Stop ends the reading ahead and waits for it.
func (w *Window) Stop() {
	w.mu.Lock()
	w.cancel()
	w.changed.Broadcast()
	w.mu.Unlock()
	w.wg.Wait()
}

func (w *Window) work() {
	for {
		w.mu.Lock()
		for w.ctx.Err() == nil && w.next*stepSize < len(w.uids) && (w.next-w.at >= maxSteps || w.ready > maxReady) {
			w.changed.Wait()
		}
		if w.ctx.Err() != nil || w.next*stepSize >= len(w.uids) {
			w.mu.Unlock()
			return
		}
		n, s := w.begin()
		w.mu.Unlock()
		w.read(n, s)
	}
}

// begin takes the next step, w.mu held.
func (w *Window) begin() (int, *step) {
	n, s := w.next, &step{}
	w.steps[n] = s
	w.next++
	return n, s
}

// read fills a step.
func (w *Window) read(n int, s *step) {
	uids := w.uids[n*stepSize : min((n+1)*stepSize, len(w.uids))]
	entries, errs := make([]Entry, len(uids)), make([]error, len(uids))
	size := 0
	var missing []uint32
	var at []int
	w.c.kept(uids, func(i int, e Entry, ok bool) {
		entries[i] = e
		size += e.size()
		if !ok {
			missing, at = append(missing, uids[i]), append(at, i)
		}
	})
	if len(missing) > 0 {
		w.c.make(w.ctx, missing, false, false, func(i int, e Entry, err error) {
			entries[at[i]], errs[at[i]] = e, err
			size += e.size()
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.entries, s.errs, s.size, s.done = entries, errs, size, true
	w.ready += size
	w.changed.Broadcast()
}

func (e *Entry) size() int {
	n := 0
	for _, s := range e.sections() {
		n += len(*s)
	}
	return n
}

// Entry is Cache.Entry. It is quick for messages in the order of the window.
func (w *Window) Entry(ctx context.Context, uid uint32) (Entry, error) {
	i := find(w.uids, uid)
	if i < 0 || w.ctx.Err() != nil {
		return w.c.Entry(ctx, uid)
	}
	n := i / stepSize
	w.mu.Lock()
	w.leave(n)
	s := w.steps[n]
	if s == nil && n == w.next {
		n, s = w.begin()
		w.mu.Unlock()
		w.read(n, s)
		w.mu.Lock()
	}
	for s != nil && !s.done && w.ctx.Err() == nil {
		w.changed.Wait()
	}
	w.mu.Unlock()
	if s == nil || !s.done {
		return w.c.Entry(ctx, uid)
	}
	if err := s.errs[i%stepSize]; err != nil {
		if fail.Is(err, fail.NotFound) {
			return Entry{}, err
		}
		return w.c.Entry(ctx, uid) // it may have been the end of the window that failed
	}
	return s.entries[i%stepSize], nil
}

// leave forgets the steps before n, w.mu held.
func (w *Window) leave(n int) {
	if n <= w.at {
		return
	}
	for k := w.at; k < n; k++ {
		if s := w.steps[k]; s != nil {
			w.ready -= s.size
			delete(w.steps, k)
		}
	}
	w.at = n
	w.next = max(w.next, n)
	w.changed.Broadcast()
}

func find(uids []uint32, uid uint32) int {
	lo, hi := 0, len(uids)
	for lo < hi {
		if mid := (lo + hi) / 2; uids[mid] < uid {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(uids) && uids[lo] == uid {
		return lo
	}
	return -1
}
