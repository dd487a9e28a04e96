package slots

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/identity/waits"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Nice is the priority of a slot's thread. Normal work gets about three times
// its share of a contended core. Much lower would backfire: the garbage
// collector waits for every running thread to pause, and one that the kernel
// hardly schedules would hold up all others.
const Nice = 5

// Pool is safe for concurrent use.
type Pool struct {
	jobs    chan *job
	running sync.WaitGroup
	busy    atomic.Int32
	unniced atomic.Bool

	mu     sync.Mutex
	closed bool
}

type job struct {
	hash     scheme.Hash
	password string
	state    atomic.Int32 // waiting, then begun or dropped
	done     chan bool
}

const (
	waiting int32 = iota
	begun
	dropped
)

// Default is how many slots a machine of so many cores gets: all but one, so
// that a core stays free, and at least one.
func Default(cores int) int { return max(cores-1, 1) }

// Processors is the GOMAXPROCS under which a running slot never takes the
// place of a cheap goroutine: the kernel, which knows about priorities, shares
// out the cores.
func Processors(cores, slots int) int { return cores + slots }

// New starts the slots and returns when their threads stand. queue is how many
// requests may wait for one.
func New(slots, queue int) *Pool {
	p := &Pool{jobs: make(chan *job, max(queue, 1))}
	var started sync.WaitGroup
	for range max(slots, 1) {
		p.running.Add(1)
		started.Add(1)
		go p.slot(&started)
	}
	started.Wait()
	return p
}

// Close ends the slots after the hashes that run; waiting ones are answered
// with fail.Unavailable.
func (p *Pool) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.jobs)
	}
	p.mu.Unlock()
	p.running.Wait()
}

// Busy is how many slots hash at this moment, Waiting how many requests wait.
func (p *Pool) Busy() int { return int(p.busy.Load()) }

// Waiting is the length of the queue.
func (p *Pool) Waiting() int { return len(p.jobs) }

// Niced reports whether the slots have their low priority; a sandbox may
// forbid it.
func (p *Pool) Niced() bool { return !p.unniced.Load() }

// Verify compares password with h, in a slot unless it takes no time. It
// returns early when ctx ends: a hash that has not begun is dropped, one that
// has goes on without a listener. The error is fail.Unavailable.
func (p *Pool) Verify(ctx context.Context, h scheme.Hash, password string) (bool, error) {
	if scheme.Cheap(h) {
		return h.Verify(nil, password), nil
	}
	waits.Notice(ctx)
	j := &job{hash: h, password: password, done: make(chan bool, 1)}
	if err := p.enqueue(j); err != nil {
		return false, err
	}
	select {
	case ok, answered := <-j.done:
		if !answered {
			return false, fail.New(fail.Unavailable, "password check was dropped: shutting down")
		}
		return ok, nil
	case <-ctx.Done():
		j.state.CompareAndSwap(waiting, dropped)
		return false, fail.Wrap(fail.Unavailable, ctx.Err(), "waiting for a password check")
	}
}

func (p *Pool) enqueue(j *job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fail.New(fail.Unavailable, "password checks have stopped")
	}
	select {
	case p.jobs <- j:
		return nil
	default:
		return fail.New(fail.Unavailable, "%d password checks are waiting already", cap(p.jobs))
	}
}

// slot is one worker. Its goroutine keeps the thread for good: the thread ends
// with it and the low priority never leaks to other goroutines.
func (p *Pool) slot(started *sync.WaitGroup) {
	defer p.running.Done()
	runtime.LockOSThread()
	// On Linux a "process" of setpriority(2) is a thread; 0 is this one.
	if unix.Setpriority(unix.PRIO_PROCESS, 0, Nice) != nil {
		p.unniced.Store(true)
	}
	started.Done()
	var w scheme.Workspace
	for j := range p.jobs {
		if !j.state.CompareAndSwap(waiting, begun) {
			continue
		}
		p.run(&w, j)
		if len(p.jobs) == 0 {
			w.Wipe()
		}
	}
}

func (p *Pool) run(w *scheme.Workspace, j *job) {
	p.busy.Add(1)
	defer p.busy.Add(-1)
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		close(j.done)
		return
	}
	defer func() {
		if recover() != nil { // a hash must not end the daemon; no answer is no match
			j.done <- false
		}
	}()
	j.done <- j.hash.Verify(w, j.password)
}
