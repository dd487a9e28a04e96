package server

import "context"

type fakeActor struct{}

// as takes mu for what the session of ctx does.
func (a *fakeAccount) as(ctx context.Context) (unlock func()) {
	a.mu.Lock()
	a.by = ctx.Value(fakeActor{})
	return func() {
		a.by = nil
		a.mu.Unlock()
	}
}

func (a *fakeAccount) Follow(ctx context.Context, _ func(string) bool, tell func(Event)) (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.followers == nil {
		a.followers = map[int]func(Event){}
	}
	me, n := ctx.Value(fakeActor{}), len(a.followers)
	for a.followers[n] != nil {
		n++
	}
	a.followers[n] = func(e Event) {
		e.Own = me != nil && me == a.by
		tell(e)
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.followers, n)
	}
}

// emit tells the followers; mu is held.
func (a *fakeAccount) emit(what Changes, name, old string) {
	for _, tell := range a.followers {
		tell(Event{What: what, Mailbox: name, Old: old})
	}
}

// emit tells the followers what is different from an older state.
func (b *fakeBox) emit(old *fakeSnapshot) {
	var what Changes
	d := b.cur.Changes(old)
	if len(d.Gone) > 0 {
		what |= MessagesGone
	}
	if len(d.Changed) > 0 {
		what |= FlagsChanged
	}
	if b.cur.info.UIDNext > old.info.UIDNext {
		what |= MessagesNew
	}
	for name, box := range b.account.boxes {
		if box == b && what != 0 {
			b.account.emit(what, name, "")
		}
	}
}
