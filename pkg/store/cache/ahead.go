package cache

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
)

// How far a Window reads ahead.
const (
	stepSize  = 32      // messages that one worker reads at a time
	maxSteps  = 8       // steps that are ready or being read
	maxReady  = 4 << 20 // bytes that wait to be taken
	fewAhead  = 4       // for fewer messages no goroutine is started,
	fewSteps  = 4       // nor for entries of so few steps that are there: to wake one costs as much
	maxWorker = 4
)

// Window reads entries of messages before they are asked for, in the order in
// which they will be, with a few workers. It belongs to one command, of which
// one goroutine at a time asks: what it is given is valid until it asks for
// another message.
type Window struct {
	c      *Cache
	uids   []uint32
	fields []string        // the header fields that are picked, too; nil for none
	depth  depth           // how much of an entry is wanted
	ctx    context.Context //nolint:containedctx // of the command
	cancel context.CancelFunc
	wg     sync.WaitGroup

	cur  *step // that was asked last
	last int   // the message that was asked for last

	mu      sync.Mutex
	changed sync.Cond
	at      int // the step that entries are taken from
	next    int // the first that nobody reads yet
	ready   int // bytes
	steps   map[int]*step
	free    []*step // whose memory is used again
}

// step is some messages that are read together.
type step struct {
	n       int
	done    bool
	entries []Entry
	errs    []error
	size    int
	room    room   // of entries that were kept
	picked  []byte // the fields, message by message
	ends    []int  // of each one's in picked; one that ends where it begins has none
}

// Ahead begins to read the entries of messages, whose UIDs ascend, and picks
// these header fields for Fields. With brief entries need not be Whole. Stop it.
func (c *Cache) Ahead(ctx context.Context, uids []uint32, fields []string, brief bool) *Window {
	w := &Window{c: c, uids: uids, fields: fields, depth: bodies, last: -1, steps: map[int]*step{}}
	if brief {
		w.depth = heads
	}
	w.changed.L = &w.mu
	w.ctx, w.cancel = context.WithCancel(ctx)
	steps := (len(uids) + stepSize - 1) / stepSize
	if len(uids) < fewAhead || steps <= fewSteps && c.knows(uids) {
		return w
	}
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
	for _, s := range w.steps {
		w.free = append(w.free, s)
	}
	for _, s := range w.free {
		s.trim()
		w.c.memory.steps.Put(s)
	}
	w.cur, w.steps, w.free = nil, nil, nil
}

// knows reports whether the index has an entry of each message.
func (c *Cache) knows(uids []uint32) bool {
	return !slices.ContainsFunc(uids, func(uid uint32) bool { return c.src.Entry(uid) == 0 })
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
		s := w.begin()
		w.mu.Unlock()
		w.read(s)
	}
}

// begin takes the next step, w.mu held.
func (w *Window) begin() *step {
	var s *step
	if k := len(w.free); k > 0 {
		s, w.free = w.free[k-1], w.free[:k-1]
	} else if s, _ = w.c.memory.steps.Get().(*step); s == nil {
		s = &step{}
	}
	s.n, s.done = w.next, false
	w.steps[s.n] = s
	w.next++
	return s
}

// read fills a step.
func (w *Window) read(s *step) {
	uids := w.uids[s.n*stepSize : min((s.n+1)*stepSize, len(w.uids))]
	s.entries, s.errs = slices.Grow(s.entries[:0], len(uids))[:len(uids)], slices.Grow(s.errs[:0], len(uids))[:len(uids)]
	clear(s.errs)
	s.room.reset()
	size := 0
	var missing [2][]uint32 // with nothing, or too little, known of them
	var at [2][]int
	w.c.kept(uids, &s.room, func(i int, e Entry, ok bool) {
		s.entries[i] = e
		size += e.size()
		if !ok || e.depth() < w.depth {
			k := 0
			if ok {
				k = 1
			}
			missing[k], at[k] = append(missing[k], uids[i]), append(at[k], i)
		}
	})
	for k, some := range missing {
		if len(some) > 0 {
			w.c.make(w.ctx, some, w.depth, k == 1, func(i int, e Entry, err error) {
				s.entries[at[k][i]], s.errs[at[k][i]] = e, err
				size += e.size()
			})
		}
	}
	if w.fields != nil {
		s.pick(w.fields)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.size, s.done = size, true
	if w.steps[s.n] == s {
		w.ready += size
	}
	w.changed.Broadcast()
}

// trim lets go of what the step holds of messages, and of much memory.
func (s *step) trim() {
	clear(s.entries)
	s.room.reset()
	if s.picked, s.ends = s.picked[:0], s.ends[:0]; cap(s.picked) > maxRoom {
		s.picked = nil
	}
}

// pick takes the fields with these names from all entries.
func (s *step) pick(names []string) {
	s.picked, s.ends = s.picked[:0], s.ends[:0]
	for i := range s.entries {
		if raw, ok := s.entries[i].Fields(names...); ok && s.errs[i] == nil {
			s.picked = message.AppendFields(s.picked, raw, names)
		}
		s.ends = append(s.ends, len(s.picked))
	}
}

func (e *Entry) size() int {
	n := 0
	for _, s := range e.sections() {
		n += len(*s)
	}
	return n
}

// Entry is Cache.Entry, but brief if the window is. It is quick for messages in the order of the window.
func (w *Window) Entry(ctx context.Context, uid uint32) (*Entry, error) {
	if s, i := w.find(uid); s != nil {
		if s.errs[i] == nil {
			return &s.entries[i], nil
		}
		if err := s.errs[i]; fail.Is(err, fail.NotFound) {
			return nil, err
		} // else it may have been the end of the window that failed
	}
	e, err := w.c.entry(ctx, uid, w.depth)
	return &e, err
}

// Fields is, of the message, what message.AppendFields makes of fields. nil:
// it is not known, or the window was made for others.
func (w *Window) Fields(uid uint32, fields []string) []byte {
	if !slices.Equal(fields, w.fields) {
		return nil
	}
	s, i := w.find(uid)
	if s == nil {
		return nil
	}
	return s.fieldsOf(i)
}

// Ready reports whether Entry, and Fields if the window was made for some,
// would give what they have at once.
func (w *Window) Ready(uid uint32) bool {
	i := w.index(uid)
	if i < 0 || w.cur == nil || i/stepSize != w.cur.n {
		return false
	}
	s, k := w.cur, i%stepSize
	return s.errs[k] == nil && (w.fields == nil || s.fieldsOf(k) != nil)
}

func (s *step) fieldsOf(i int) []byte {
	if len(s.ends) == 0 {
		return nil
	}
	from := 0
	if i > 0 {
		from = s.ends[i-1]
	}
	if from == s.ends[i] {
		return nil
	}
	return s.picked[from:s.ends[i]]
}

// index is which of the window's messages one is, -1 for none of them.
func (w *Window) index(uid uint32) int {
	for i := max(w.last, 0); i < min(w.last+2, len(w.uids)); i++ {
		if w.uids[i] == uid {
			return i
		}
	}
	if i, ok := slices.BinarySearch(w.uids, uid); ok {
		return i
	}
	return -1
}

// find waits for a message's step and returns it with the message's place
// there, nil when it is none of the window's, or has been taken before.
func (w *Window) find(uid uint32) (*step, int) {
	i := w.index(uid)
	if i < 0 {
		return nil, 0
	}
	w.last = i
	n := i / stepSize
	if w.cur != nil && w.cur.n == n {
		return w.cur, i % stepSize
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leave(n)
	s := w.steps[n]
	if s == nil && n == w.next && w.ctx.Err() == nil {
		s = w.begin()
		w.mu.Unlock()
		w.read(s)
		w.mu.Lock()
	}
	for s != nil && !s.done && w.ctx.Err() == nil {
		w.changed.Wait()
	}
	if s == nil || !s.done || w.ctx.Err() != nil {
		return nil, 0
	}
	w.cur = s
	return s, i % stepSize
}

// leave forgets the steps before n, w.mu held.
func (w *Window) leave(n int) {
	if n <= w.at {
		return
	}
	w.cur = nil
	for k := w.at; k < n; k++ {
		if s := w.steps[k]; s != nil && s.done {
			w.ready -= s.size
			w.free = append(w.free, s)
		}
		delete(w.steps, k)
	}
	w.at = n
	w.next = max(w.next, n)
	w.changed.Broadcast()
}
