package server

import (
	"errors"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

const (
	// patience is how long a command runs, at least, and twice that at most,
	// before the session reads on beside it: most are done by then and cost no
	// second goroutine.
	patience = 2 * time.Millisecond
	// maxAhead is how many commands of a session are known at a time, and
	// maxAheadBytes what those that wait may have come in: the client waits
	// in its turn then. maxBeside is how many run at a time.
	maxAhead      = 16
	maxAheadBytes = 64 << 10
	maxBeside     = 4
	// askAfter is how often a client that has closed its side is sent a line
	// while a command runs: whether it still listens cannot be seen otherwise.
	askAfter = time.Second
)

// ahead is a session that reads on while a command runs. It begins when one
// takes longer than patience: a second goroutine then has the reader, and
// starts what may run beside what is running, each in a goroutine of its own.
// It ends when nothing runs any more; what was read by then and could not
// begin is left to the session's own goroutine, which waits meanwhile.
//
// session.mu guards it.
type ahead struct {
	s       *session
	changed sync.Cond // any of the fields below

	known   []*call // have not ended, in the order given
	running int
	waiting int   // bytes that calls which have not begun came in
	err     error // nothing more can be read

	due     bool // the second goroutine will run, or does
	reading bool // it does
	begun   bool // it has
	over    bool // nothing runs any more
	scratch []byte
	own     call // that the session's own goroutine has read

	// The watch's: where it stands, and whether it did at the last tick.
	place int
	old   bool
}

// watch begins the ahead of sessions whose command takes long. All sessions
// of a server share its one timer, which runs while there are commands: a
// timer that is set for each command interrupts the wait for the network each
// time, which costs more than the command.
type watch struct {
	patience time.Duration
	mu       sync.Mutex
	timer    *time.Timer
	ticking  bool
	used     bool // since the last tick
	busy     []*ahead
}

// add puts a session under watch.
func (w *watch) add(a *ahead) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.place, a.old, w.used = len(w.busy), false, true
	w.busy = append(w.busy, a)
	switch {
	case w.ticking:
	case w.timer == nil:
		w.timer = time.AfterFunc(w.patience, w.tick)
	default:
		w.timer.Reset(w.patience)
	}
	w.ticking = true
}

// remove ends the watch. It is false when the session reads ahead by now.
func (w *watch) remove(a *ahead) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.place < 0 {
		return false
	}
	w.take(a)
	return true
}

func (w *watch) take(a *ahead) {
	last := len(w.busy) - 1
	w.busy[a.place] = w.busy[last]
	w.busy[a.place].place = a.place
	w.busy[last] = nil
	w.busy = w.busy[:last]
	a.place = -1
}

func (w *watch) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.busy) - 1; i >= 0; i-- {
		if a := w.busy[i]; a.old {
			w.take(a)
			go a.s.readOn(a)
		} else {
			a.old = true
		}
	}
	if w.ticking = w.used || len(w.busy) > 0; w.ticking {
		w.timer.Reset(w.patience)
	}
	w.used = false
}

// company is what the session needs beside a command, from a pool: an idle
// session has none.
func (s *session) company() *ahead {
	if s.ahead != nil {
		return s.ahead
	}
	a, _ := s.srv.aheads.Get().(*ahead)
	if a == nil {
		a = new(ahead)
	}
	a.s, s.ahead = s, a
	a.changed.L = &s.mu
	return a
}

// leave gives company back, when it holds nothing.
func (s *session) leave() {
	a := s.ahead
	if a == nil || len(a.known) > 0 || a.err != nil {
		return
	}
	s.ahead, a.s = nil, nil
	s.srv.aheads.Put(a)
}

// leftover is the next command that was read ahead and could not begin, or
// the error that reading ahead ended with.
func (s *session) leftover() (*call, error) {
	a := s.ahead
	switch {
	case a == nil:
		return nil, nil
	case len(a.known) == 0:
		return nil, a.err
	}
	c := a.known[0]
	a.known = slices.Delete(a.known, 0, 1)
	a.waiting -= c.cost
	return c, nil
}

// perform runs one command on the session's own goroutine, and what the
// client sends meanwhile beside it where that is allowed. It returns when
// nothing runs any more.
func (s *session) perform(c *call) {
	if c.settle(); c.touches&alone != 0 {
		c.perform()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.company()
	a.known = slices.Insert(a.known, 0, c)
	a.begun, a.over, a.due = false, false, true
	a.running, c.started = 1, true
	c.scratch, a.scratch = a.scratch, nil
	s.srv.watch.add(a)
	a.run(c)
	if s.srv.watch.remove(a) {
		a.due = false
	}
	for a.due || a.running > 0 {
		a.changed.Wait()
	}
}

// run runs a call that has been counted.
func (a *ahead) run(c *call) {
	c.perform()
	s := a.s
	a.scratch, c.scratch = c.scratch, nil
	a.known = slices.DeleteFunc(a.known, func(k *call) bool { return k == c })
	a.running--
	if !a.begun {
		return
	}
	a.start()
	if err := s.w.Flush(); err != nil {
		s.drop()
	}
	a.changed.Broadcast()
}

// start begins every command that may, and sees whether it is over.
func (a *ahead) start() {
	for i := 0; i < len(a.known) && !a.over && !a.s.done; i++ {
		c := a.known[i]
		barrier := c.touches&alone != 0 // left to the session's own goroutine
		if barrier || c.started || a.running == maxBeside || slices.ContainsFunc(a.known[:i], c.waitsFor) {
			continue
		}
		c.started = true
		a.running++
		a.waiting -= c.cost
		go func() {
			a.s.mu.Lock()
			defer a.s.mu.Unlock()
			a.run(c)
		}()
	}
	if a.over = a.running == 0; a.over && a.reading {
		a.s.io.wake()
	}
}

// readOn is the second goroutine.
func (s *session) readOn(a *ahead) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			s.fault(v, debug.Stack())
			s.w.Stop()
		}
		a.due, a.reading = false, false
		a.changed.Broadcast()
	}()
	a.begun, a.reading = true, true
	a.start()
	_ = s.w.Flush() // the client has waited for what was said so far
	for a.room() {
		c, err := s.readNext()
		switch {
		case err != nil:
			a.err = err
			a.broken()
		case c != nil:
			c.settle()
			a.known = append(a.known, c)
			a.waiting += c.cost
			a.start()
		}
	}
}

// room waits until one more command may be read. It is false when nothing
// more is to be read.
func (a *ahead) room() bool {
	for {
		n := len(a.known)
		switch {
		case a.over, a.s.done, a.err != nil, n > 0 && a.known[n-1].touches&alone != 0:
			return false
		case n < maxAhead && a.waiting < maxAheadBytes:
			return true
		}
		a.changed.Wait()
	}
}

// readNext waits for a command and reads it, with the session open for those
// that run. It returns nothing when there may be no more to wait for.
func (s *session) readNext() (*call, error) {
	s.mu.Unlock()
	defer s.mu.Lock()
	if len(s.r.Buffered()) == 0 {
		s.r.Release()
		ev, err := s.io.waitEvent(s.srv.cfg.IdleTimeout)
		if err != nil || ev != eventInput { // a session that works is not idle
			return nil, err
		}
	}
	c := new(call)
	if some, err := s.read(c); !some || err != nil {
		return nil, err
	}
	return c, nil
}

// broken looks at why nothing more can be read. A client that has only
// finished sending gets its answers; one that is gone is not worked for.
func (a *ahead) broken() {
	s := a.s
	switch {
	case errors.Is(a.err, io.EOF), errors.Is(a.err, io.ErrUnexpectedEOF):
	case errors.Is(a.err, os.ErrDeadlineExceeded), errors.Is(a.err, errShutdown), errors.Is(a.err, wire.ErrTooLong):
		return
	default:
		s.drop()
		return
	}
	for due := time.Now().Add(s.srv.askAfter); a.running > 0 && !s.done; {
		if left := time.Until(due); left > 0 {
			t := time.AfterFunc(left, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				a.changed.Broadcast()
			})
			a.changed.Wait()
			t.Stop()
			continue
		}
		due = time.Now().Add(s.srv.askAfter)
		s.w.Raw("* OK Still here\r\n")
		if s.w.Flush() != nil {
			s.drop()
			return
		}
	}
}

// counting reports whether a command other than c that has not ended counts
// messages: no EXPUNGE may be sent then.
func (s *session) counting(c *call) bool {
	return s.ahead != nil && slices.ContainsFunc(s.ahead.known, func(k *call) bool {
		return k != c && k.touches&countsMessages != 0
	})
}
