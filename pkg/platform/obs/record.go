package obs

import (
	"context"
	"log/slog"
	"sync"
)

// Recorder keeps the events of a Logger made by Capture, for tests.
type Recorder struct {
	mu     sync.Mutex
	events []Event
	grown  chan struct{} // closed and replaced whenever an event arrives
}

// Capture is a Logger whose events a test can look at.
func Capture() (*Logger, *Recorder) {
	r := &Recorder{grown: make(chan struct{})}
	l := &Logger{rec: r}
	l.level.Set(slog.LevelDebug)
	return l, r
}

func (r *Recorder) keep(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.grown)
	r.grown = make(chan struct{})
}

// Events returns all events so far, oldest first.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// Named returns the events with the given phrase.
func (r *Recorder) Named(phrase string) []Event {
	var named []Event
	for _, e := range r.Events() {
		if e.Event() == phrase {
			named = append(named, e)
		}
	}
	return named
}

// Classic returns the classic rendering "tag: text" of every event that has one.
func (r *Recorder) Classic() []string {
	var lines []string
	for _, e := range r.Events() {
		if tag, text := e.Classic(); tag != "" {
			lines = append(lines, tag+": "+text)
		}
	}
	return lines
}

// Wait blocks until an event with the given phrase was logged and returns the
// first one, or the context's error.
func (r *Recorder) Wait(ctx context.Context, phrase string) (Event, error) {
	for {
		r.mu.Lock()
		grown := r.grown
		for _, e := range r.events {
			if e.Event() == phrase {
				r.mu.Unlock()
				return e, nil
			}
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-grown:
		}
	}
}
