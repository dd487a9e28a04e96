package feed

import (
	"context"
	"sync"
	"sync/atomic"
)

const (
	// glances is how many folders one round looks at, which is four stats
	// each, and openings how many of them it opens, because they have changed
	// or are not known yet.
	glances  = 64
	openings = 8
)

// Folder is a folder or a subscription as a Patrol remembers it.
type Folder struct {
	Name               string
	Exists, Subscribed bool
}

// Patrol finds what other programs do to followed folders that nobody has
// selected. Its functions are given once, before it is used.
type Patrol struct {
	Feed *Feed
	// List calls Compare with all folders and subscriptions, when nobody
	// changes them here.
	List func(ctx context.Context)
	// Look looks at a folder, which tells what has changed in it. opened says
	// that it was no glance.
	Look func(ctx context.Context, name string) (opened bool)

	running atomic.Bool
	mu      sync.Mutex
	known   map[string]Folder
	names   []string // that exist and are still to be looked at in this turn
}

// Round looks at some of the folders, and at the list of them before the first;
// after some rounds all had their turn. Where another runs it does nothing.
func (p *Patrol) Round(ctx context.Context) {
	if !p.running.CompareAndSwap(false, true) {
		return
	}
	defer p.running.Store(false)
	listed := false
	for looked, opened := 0, 0; looked < glances && opened < openings && p.Feed.Followed() && ctx.Err() == nil; {
		name, some := p.take()
		if !some && !listed && looked == 0 {
			p.List(ctx)
			listed = true
			continue
		}
		if !some {
			return
		}
		if !p.Feed.Wanted(name) {
			continue
		}
		looked++
		if p.Look(ctx, name) {
			opened++
		}
	}
}

func (p *Patrol) take() (name string, some bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.names) == 0 {
		return "", false
	}
	name, p.names = p.names[0], p.names[1:]
	return name, true
}

// Forget is for when nobody follows any more.
func (p *Patrol) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known, p.names = nil, nil
}

// Known reports whether a folder was there when the list was last looked at.
func (p *Patrol) Known(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[name].Exists
}

// Compare takes note of the folders that there are and tells what is different
// from those that were known, if any were: unless mine says that it is the
// change of which somebody has just been told.
func (p *Patrol) Compare(list []Folder, mine func(name string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.known
	p.known = make(map[string]Folder, len(list))
	refill := len(p.names) == 0
	tell := func(before, now Folder, name string) {
		if old != nil && !mine(name) {
			p.Feed.Emit(Event{What: difference(before, now), Folder: name})
		}
	}
	for _, f := range list {
		p.known[f.Name] = f
		if f.Exists && refill {
			p.names = append(p.names, f.Name)
		}
		tell(old[f.Name], f, f.Name)
	}
	for name, f := range old {
		if _, there := p.known[name]; !there {
			tell(f, Folder{}, name)
		}
	}
}

func difference(old, now Folder) (what What) {
	if old.Exists != now.Exists {
		what |= map[bool]What{true: Created, false: Deleted}[now.Exists]
	}
	if old.Subscribed != now.Subscribed {
		what |= map[bool]What{true: Subscribed, false: Unsubscribed}[now.Subscribed]
	}
	return what
}
