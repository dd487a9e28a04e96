package ldapdb

import (
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/lookup/ldapwire"
)

// firstBackoff doubles with each failure in a row, up to max_backoff.
const firstBackoff = 250 * time.Millisecond

// endpoint is one server and what is known of its health. A server that failed
// is left alone for a while.
type endpoint struct {
	ldapwire.Target
	now    func() time.Time
	max    time.Duration
	notify func(why error)

	mu       sync.Mutex
	age      int64 // counts failures: connections made before the last one are not to be trusted
	inARow   int
	notUntil time.Time
	why      error
}

// down is the last failure while the endpoint is left alone, else nil.
func (e *endpoint) down() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now().Before(e.notUntil) {
		return e.why
	}
	return nil
}

// claim reports whether the caller may connect now. After a failure one may,
// and the others leave the endpoint alone until that one knows more.
func (e *endpoint) claim() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now().Before(e.notUntil) {
		return false
	}
	if e.inARow > 0 {
		e.notUntil = e.now().Add(e.wait())
	}
	return true
}

// wait is how long the endpoint is left alone now.
func (e *endpoint) wait() time.Duration {
	wait := firstBackoff
	for i := 1; i < e.inARow && wait < e.max; i++ {
		wait *= 2
	}
	return min(wait, e.max)
}

// current is the age for a connection that is about to be made.
func (e *endpoint) current() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.age
}

// failed notes a failure, seen by a connection of the given age. What several
// connections see at a time counts once.
func (e *endpoint) failed(age int64, why error) {
	e.mu.Lock()
	first := age == e.age && e.inARow == 0
	if age == e.age {
		e.age++
		e.inARow++
		e.notUntil, e.why = e.now().Add(e.wait()), why
	}
	e.mu.Unlock()
	if first {
		e.notify(why)
	}
}

// worked notes that a request was answered.
func (e *endpoint) worked(age int64) {
	e.mu.Lock()
	back := age == e.age && e.inARow > 0
	if age == e.age {
		e.inARow, e.notUntil, e.why = 0, time.Time{}, nil
	}
	e.mu.Unlock()
	if back {
		e.notify(nil)
	}
}

// status is how the endpoint is.
func (e *endpoint) status() URIStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := URIStatus{URI: e.URI, Up: e.inARow == 0}
	if !s.Up {
		s.Why, s.Next = e.why.Error(), max(0, e.notUntil.Sub(e.now()))
	}
	return s
}
