package feed

import (
	"context"
	"sync"
	"sync/atomic"
)

// What is a set of changes.
type What uint8

// The changes that there are.
const (
	Arrived      What = 1 << iota // a folder has messages that it had not
	Left                          // messages of a folder are gone
	Marked                        // flags of messages have changed
	Created                       // a folder was made
	Deleted                       // a folder is gone
	Renamed                       // a folder has another name, and those below it
	Subscribed                    // a name is subscribed
	Unsubscribed                  // it no longer is

	// Contents are the changes of messages.
	Contents = Arrived | Left | Marked
)

// Event is a change of a folder.
type Event struct {
	What   What
	Folder string
	Old    string // its name before it was Renamed
	By     any    // who did it, if anybody has said so: see As
}

// Follower is somebody who is told of events.
type Follower struct {
	// Tell is called for each event, from any goroutine and with locks held:
	// it neither blocks nor calls back.
	Tell func(Event)
	// Wants says in which folders changes by other programs are looked for.
	// It is called as Tell is.
	Wants func(folder string) bool
}

// Feed is where an account's changes are told. Safe for concurrent use.
type Feed struct {
	any  atomic.Bool
	mu   sync.RWMutex
	list map[*Follower]struct{}
}

// Follow begins to tell f, until stop is called; after that nothing is told.
func (f *Feed) Follow(who Follower) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.list == nil {
		f.list = map[*Follower]struct{}{}
	}
	f.list[&who] = struct{}{}
	f.any.Store(true)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.list, &who)
		f.any.Store(len(f.list) > 0)
	}
}

// Followed reports whether anybody follows.
func (f *Feed) Followed() bool { return f.any.Load() }

// Emit tells everybody of an event.
func (f *Feed) Emit(e Event) {
	if !f.Followed() || e.What == 0 {
		return
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	for who := range f.list {
		who.Tell(e)
	}
}

// Wanted reports whether anybody wants changes by others in a folder looked for.
func (f *Feed) Wanted(folder string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for who := range f.list {
		if who.Wants(folder) {
			return true
		}
	}
	return false
}

type actor struct{}

// As returns a context of which what is done with it has the given By in its
// events.
func As(ctx context.Context, who any) context.Context {
	return context.WithValue(ctx, actor{}, who)
}

// By is who acts with a context; nil when nobody has said so.
func By(ctx context.Context) any { return ctx.Value(actor{}) }
