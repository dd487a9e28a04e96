package mailbox

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// Mailbox is one session's handle of an open folder. After Close, after the
// folder was deleted, or after the account was released its methods return
// NotFound or Unavailable; snapshots stay usable.
type Mailbox struct {
	acct    *Account
	box     *box
	changes chan struct{}
	wake    atomic.Pointer[func()]
	gen     atomic.Uint64 // of the newest snapshot taken
	seen    atomic.Pointer[Snapshot]
	closed  atomic.Bool
}

// Open opens a folder for one session. All handles of a folder share one
// state. NotFound, Invalid; Corrupt never: a damaged index is rebuilt.
func (a *Account) Open(ctx context.Context, name string) (*Mailbox, error) {
	b, err := a.acquire(ctx, name)
	if err != nil {
		return nil, err
	}
	m := &Mailbox{acct: a, box: b, changes: make(chan struct{}, 1)}
	b.handlesMu.Lock()
	b.handles[m] = struct{}{}
	b.handlesMu.Unlock()
	m.Snapshot()
	return m, nil
}

// Name is the folder's current name.
func (m *Mailbox) Name() string { return m.box.folderName() }

// Close gives the handle up. The last one has everything flushed.
func (m *Mailbox) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	b := m.box
	b.handlesMu.Lock()
	delete(b.handles, m)
	last := len(b.handles) == 0
	b.handlesMu.Unlock()
	defer m.acct.release(b)
	if !last {
		return nil
	}
	return b.flushNow(context.Background())
}

// GUID is the folder's own name, which it keeps when it is renamed.
func (m *Mailbox) GUID() string { return m.box.guid }

// Snapshot returns the newest view and pins it for this handle: messages that
// are expunged from now on stay readable while the handle has not taken a
// newer one (for a limited time).
func (m *Mailbox) Snapshot() *Snapshot {
	for {
		s := m.box.now.Load()
		m.gen.Store(s.gen)
		if s == m.box.now.Load() { // else its messages may have been buried unseen
			m.seen.Store(s)
			return s
		}
	}
}

// Changes is signalled (never closed, capacity 1, level-triggered) when there
// is a newer snapshot than the handle has taken, or when the handle is dead.
func (m *Mailbox) Changes() <-chan struct{} { return m.changes }

// OnChange has wake called whenever Changes is signalled, from any goroutine
// and with locks held: it must neither block nor call back. It is for a session
// that waits elsewhere and would need a goroutine to wait here too. nil ends it;
// a call that has begun may still arrive.
func (m *Mailbox) OnChange(wake func()) {
	if wake == nil {
		m.wake.Store(nil)
		return
	}
	m.wake.Store(&wake)
}

func (m *Mailbox) signal() {
	select {
	case m.changes <- struct{}{}:
	default:
	}
	if wake := m.wake.Load(); wake != nil {
		(*wake)()
	}
}

// Err is nil while the mailbox can be used: NotFound after it was deleted,
// Unavailable after Release.
func (m *Mailbox) Err() error { return m.box.usable() }

// Watch asks to be told of foreign changes without calling Sync (IDLE, or a
// selected mailbox): inotify where it works, else polling. It counts; the
// returned function ends it.
func (m *Mailbox) Watch() (stop func()) {
	b := m.box
	b.handlesMu.Lock()
	b.watchers++
	b.handlesMu.Unlock()
	b.startWatch()
	var once atomic.Bool
	return func() {
		if once.Swap(true) {
			return
		}
		b.handlesMu.Lock()
		b.watchers--
		b.handlesMu.Unlock()
	}
}

// startWatch begins to watch. What happened before it began is looked for.
func (b *box) startWatch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watch != nil || b.noWatch.Load() || b.ix == nil {
		return
	}
	if !b.beginWatch() {
		b.noWatch.Store(true) // it is polled, see Store.Run
		return
	}
	b.syncSoon()
}

// watchOwn begins to watch before n changes of our own, b.mu held: the next look
// would have to be a complete one else. With many changes that is cheaper than
// what the kernel tells of each, and where others write too it comes in any case.
func (b *box) watchOwn(n int) {
	const many = 64
	if n < many && b.watch == nil && !b.noWatch.Load() && !b.shared() {
		b.beginWatch()
	}
}

func (b *box) beginWatch() bool {
	w, err := b.format.Watch(b.syncSoon)
	if err != nil {
		return false
	}
	b.watch, b.blind = w, true
	b.known.New.At, b.known.Cur.At = zeroUnlessTrusted(b.known.New), zeroUnlessTrusted(b.known.Cur)
	return true
}

// zeroUnlessTrusted forgets a look that was too early to prove anything.
func zeroUnlessTrusted(s index.DirStamp) time.Time {
	if maildir.DirStamp(s).Trusted() {
		return s.At
	}
	return time.Time{}
}

// Flush writes what is due to file names now, and removes the files of
// expunged messages.
func (m *Mailbox) Flush(ctx context.Context) error { return m.box.flushNow(ctx) }

// Sync looks for changes by others now. It costs four stats when there are
// none. While the account is frozen it does nothing.
func (m *Mailbox) Sync(ctx context.Context) error {
	b := m.box
	if err := b.usable(); err != nil {
		return err
	}
	if !b.acct.freeze.TryRLock() {
		return nil
	}
	defer b.acct.freeze.RUnlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(); err != nil {
		return err
	}
	b.touch()
	return b.sync(ctx, false)
}

// Notes returns what the folder keeps of its messages for POP3, by UID; most
// folders have nothing.
func (m *Mailbox) Notes() (map[uint32]maildir.Note, error) {
	if err := m.box.usable(); err != nil {
		return nil, err
	}
	if k, ok := m.box.format.(noteReader); ok {
		return k.Notes()
	}
	return nil, nil
}

// SaveUIDLs keeps unique ids of POP3 for good, where the format can.
func (m *Mailbox) SaveUIDLs(ctx context.Context, ids map[uint32]string) error {
	b := m.box
	if len(ids) == 0 {
		return nil
	}
	for _, id := range ids {
		if err := maildir.CheckUIDL(id); err != nil {
			return err
		}
	}
	return b.write(ctx, func() error {
		lk, err := b.format.Lock(ctx)
		if err != nil {
			return err
		}
		if w, ok := lk.(noteWriter); ok {
			err = w.SetUIDLs(ids)
		}
		return firstErr(err, lk.Unlock())
	})
}

// ClaimRecent makes all messages that no session has claimed \Recent for this
// caller: those of the handle's current snapshot with UIDs >= the result. Call
// it for SELECT (not EXAMINE) and whenever messages were appended; files move
// from new/ to cur/.
func (m *Mailbox) ClaimRecent(ctx context.Context) (first uint32, err error) {
	b, seen := m.box, m.seen.Load()
	if im := seen.im; b.now.Load().im.FirstRecent >= im.UIDNext {
		return im.UIDNext, nil
	}
	err = b.write(ctx, func() error {
		im := b.ix.Image()
		first = im.FirstRecent
		if first >= seen.im.UIDNext {
			first = seen.im.UIDNext
			return nil
		}
		batch := b.ix.Begin()
		batch.FirstRecent(seen.im.UIDNext)
		var move Set
		for r := range im.In(index.InNew, 0) {
			if r.UID < seen.im.UIDNext {
				move = move.add(r.UID)
			}
		}
		batch.Dirty(move)
		if err := b.commit(batch, false); err != nil {
			return err
		}
		if b.shared() {
			return b.flushShared(ctx)
		}
		if len(move) > 0 {
			b.flushSoon()
		}
		return nil
	})
	return first, err
}
