package localdb

import (
	"context"
	"sync"
	"time"
)

const (
	// usePause is how long after one write of last uses the next one comes.
	usePause = time.Minute
	// useTimeout bounds one write.
	useTimeout = 30 * time.Second
	// maxPending caps the app passwords whose use waits to be noted; more are
	// not noted.
	maxPending = 100_000
)

// use is what is kept of the last login with an app password.
type use struct {
	stored  string // tells the app password from one of another file
	at      int64
	service string
	address string
}

// lastUse notes when app passwords were used: beside the logins, at most once
// a minute each.
type lastUse struct {
	s    *Store
	wake chan struct{}
	done chan struct{} // closed by close
	end  chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	pending map[int64]use
	started bool
	closed  bool
}

func newLastUse(s *Store) *lastUse {
	return &lastUse{
		s: s, pending: map[int64]use{},
		wake: make(chan struct{}, 1), done: make(chan struct{}), end: make(chan struct{}),
	}
}

// note takes down a use of the app password id. It returns at once.
func (l *lastUse) note(id int64, u use) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if _, there := l.pending[id]; !there && len(l.pending) >= maxPending {
		return
	}
	l.pending[id] = u
	if !l.started {
		l.started = true
		go l.run()
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run writes what is pending, then rests for usePause.
func (l *lastUse) run() {
	defer close(l.end)
	for {
		select {
		case <-l.wake:
		case <-l.done:
			l.write()
			return
		}
		l.write()
		rest := time.NewTimer(usePause)
		select {
		case <-rest.C:
		case <-l.done:
			rest.Stop()
			l.write()
			return
		}
	}
}

// write notes what is pending in one transaction. What fails is told and
// forgotten: the next use says more.
func (l *lastUse) write() {
	l.mu.Lock()
	batch := l.pending
	l.pending = map[int64]use{}
	l.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), useTimeout)
	defer cancel()
	err := l.s.write(ctx, func(c *conn) error {
		for id, u := range batch {
			if err := c.run("UPDATE app_passwords SET last_used = ?2, last_service = ?3, last_address = nullif(?4, '') WHERE id = ?1 AND stored = ?5",
				id, u.at, u.service, u.address, u.stored); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.s.opt.Report(err)
	}
}

// close writes what is pending and ends the writer.
func (l *lastUse) close() {
	l.mu.Lock()
	closed, started := l.closed, l.started
	l.closed = true
	l.mu.Unlock()
	if closed {
		return
	}
	close(l.done)
	if started {
		<-l.end
	}
}
