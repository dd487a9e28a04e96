package mailbox

import (
	"context"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/cache"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/index/dovecot"
	"github.com/postcote/postcote/pkg/store/index/highwater"
	"github.com/postcote/postcote/pkg/store/mailbox/feed"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// box is the one state of an open folder that all its handles share.
//
// mu is the folder's writer lock: index, format and the fields under it are
// used by its holder only. Readers use now, an immutable Snapshot.
type box struct {
	acct   *Account
	format Format
	dir    string // of the folder; changes with the account's and the box's lock held
	guid   string
	now    atomic.Pointer[Snapshot]

	mu       sync.Mutex
	ix       *index.Index
	known    index.Stamps     // what the folder looked like when ix knew all of it
	identAt  index.FileStamp  // the UID list whose UIDVALIDITY was checked
	doubt    time.Time        // since when known may hide a foreign change; zero for never
	keywords maildir.Keywords // names of the letters
	relabel  bool             // they changed since all files were looked at
	watch    Watch
	dirt     maildir.Dirt     // what watch has told of and nobody has looked at
	blind    bool             // nor at what happened before it began
	noWatch  atomic.Bool      // watching was tried in vain: poll
	graves   map[uint32]grave // expunged, the file still there
	mark     *highwater.Mark  // what outlives the index
	by       any              // who is writing
	cache    *cache.Cache
	flushAt  *time.Timer

	lineMu sync.Mutex
	line   []*admission // who waits to be let in

	learnedMu sync.Mutex
	learned   []cache.Lesson

	handlesMu sync.Mutex
	name      string
	handles   map[*Mailbox]struct{}
	watchers  int
	err       error        // why the box is dead
	lastUse   atomic.Int64 // unix nanoseconds
	evicted   *index.Image // dropped from memory when it was idle

	syncing atomic.Bool // an asynchronous sync is due or running
	hinting atomic.Bool // the same, because of hints
	hintsMu sync.Mutex
	hints   []string // base names of deliveries that were told of
}

// grave is an expunged message whose file is kept for sessions that still see
// it, or because it was not removed yet.
type grave struct {
	ref  Ref
	gen  uint64 // the snapshot in which it is gone
	at   time.Time
	size int64 // that the meter is waiting for; 0 for none
}

// maxGrave is how long a file outlives its message at most.
const maxGrave = time.Minute

// openBox reads the index, or makes it, and brings it up to date.
func (a *Account) openBox(ctx context.Context, name string) (*box, error) {
	folder, err := a.tree.Folder(name)
	if err != nil {
		return nil, err
	}
	if ok, err := folder.Exists(); err != nil {
		return nil, err
	} else if !ok {
		return nil, fail.New(fail.NotFound, "no folder %s", folder.Name())
	}
	format := newMaildirFormat(folder, a.store.watcher, a.cfg.Mode == Exclusive)
	format.spool = a.spool
	b := &box{
		acct: a, format: format, dir: folder.Dir(), name: folder.Name(),
		handles: map[*Mailbox]struct{}{}, graves: map[uint32]grave{},
	}
	b.touch()
	if _, err := folder.CleanTmp(); err != nil && !fail.Is(err, fail.NotFound) {
		a.store.log.Warn("cleaning tmp failed", obs.Err(err))
	}
	ident, err := format.Ident(ctx)
	if err != nil {
		return nil, err
	}
	b.guid, err = a.ownGUID(ctx, format, ident.GUID, b.acct.tree.EntryOf(b.dir))
	if err != nil {
		return nil, err
	}
	ident.GUID = b.guid
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.openIndex(ctx, ident, folder); err != nil {
		if b.ix != nil {
			_ = b.ix.Close()
		}
		return nil, err
	}
	return b, nil
}

// openIndex opens the index of a folder by its GUID; a missing, damaged or
// foreign one is made anew.
func (b *box) openIndex(ctx context.Context, id Ident, folder *maildir.Folder) error {
	s := b.acct.store
	b.openMark(id)
	dir := filepath.Join(b.acct.indexDir, id.GUID)
	ix, err := index.Open(s.fs, dir, b.acct.epoch)
	if err == nil && ix.Image().UIDValidity != id.UIDValidity {
		err = fail.New(fail.Corrupt, "index %s is of UIDVALIDITY %d, the folder of %d", dir, ix.Image().UIDValidity, id.UIDValidity)
		_ = ix.Close()
	}
	switch {
	case err == nil:
		return b.resume(ctx, ix, id)
	case fail.Is(err, fail.NotFound):
	case fail.Is(err, fail.Corrupt):
		s.log.Error("index is rebuilt from the folder", obs.Err(err))
	default:
		return err
	}
	return b.rebuild(ctx, dir, id, folder)
}

// openMark reads the folder's own note of MODSEQs and expunges. One that is
// damaged is made anew; only a lost index would have needed it.
func (b *box) openMark(id Ident) {
	var err error
	b.mark, err = highwater.Open(b.acct.store.fs, func() string { return b.dir }, id.UIDValidity)
	if err != nil {
		b.acct.store.log.Warn("what was noted of MODSEQs cannot be read", obs.Err(err))
	}
}

// cover keeps the folder's note above the MODSEQs that will be given out next.
// In shared mode no client is told of any.
func (b *box) cover(modseq uint64) {
	if b.shared() {
		return
	}
	if err := b.mark.Cover(modseq); err != nil {
		b.acct.store.log.Warn("MODSEQs are not noted in the folder", obs.Err(err))
	}
}

// resume goes on with a good index.
func (b *box) resume(ctx context.Context, ix *index.Index, id Ident) error {
	b.ix = ix
	b.newCache(ix)
	clean := ix.Clean() // not after the first commit
	b.known = ix.Stamps()
	*b.format.Trusted() = b.known.UIDList
	now := b.acct.store.now()
	for uid, base := range ix.Buried() {
		// Where exactly the file is shows at the next complete look.
		b.graves[uid] = grave{ref: Ref{Base: base}, at: now.Add(-maxGrave)}
	}
	batch := ix.Begin()
	if owner := b.acct.tree.EntryOf(b.dir); ix.Owner() != owner {
		batch.Owner(owner)
	}
	// Dovecot may have served the folder meanwhile, and counted on.
	highest, raised := ix.Image().HighestModSeq, false
	if dovecot.Wrote(b.acct.store.fs, b.dir).After(ix.LastWritten()) {
		if n, _, _ := dovecot.ModSeq(b.acct.store.fs, b.dir); n > highest {
			batch.Raise(n)
			highest, raised = n, true
		}
	}
	b.cover(highest)
	if _, err := ix.Commit(batch, raised); err != nil {
		return err
	}
	b.publish()
	keywords := b.known.Keywords
	if err := b.loadKeywords(); err != nil {
		return err
	}
	known := ix.Image().UIDNext
	if !clean {
		var err error
		if id.UIDNext, err = b.listedNext(id, known, true); err != nil {
			return err
		}
	}
	renamed := !sameStamp(keywords, b.known.Keywords)
	if err := b.sync(ctx, renamed || len(b.graves) > 0); err != nil {
		return err
	}
	return b.countOn(known, id.UIDNext, !clean)
}

// listedNext is UIDNEXT after all of the UID list, and after what the index
// knew: for when it cannot be relied on to have seen the messages that came last.
func (b *box) listedNext(id Ident, known uint32, crashed bool) (uint32, error) {
	list, ok := b.format.(uidList)
	if !ok {
		return id.UIDNext, nil
	}
	next, err := list.UIDNext(known, crashed)
	return max(id.UIDNext, next), err
}

// countOn raises UIDNEXT to what the UID list says. This comes after the
// first look at the folder: messages that another server has numbered keep
// their UIDs, and those lie below its next one. Those UIDs from known on that
// no message has belonged to messages that came and went meanwhile, or whose
// record a crash has lost: clients may have seen them. After a crash this is
// on disk before any client sees a UID: the next crash would count on from the
// same one.
func (b *box) countOn(known, next uint32, crashed bool) error {
	batch := b.ix.Begin()
	if next > b.ix.Image().UIDNext {
		batch.UIDNext(next)
	}
	if next = max(next, b.ix.Image().UIDNext); next > known {
		if gone := b.ix.Image().Unused(known, next-1); len(gone) > 0 {
			batch.Expunge(gone, batch.ModSeq())
		}
	}
	if batch.Empty() {
		return nil
	}
	if _, err := b.ix.Commit(batch, crashed); err != nil {
		return err
	}
	b.publish()
	return nil
}

// own runs fn, which changes the folder itself, so that its changes are not
// taken for somebody else's afterwards. A foreign change in the same moment
// shows in the watch; without one it may hide, so that the next look, or where
// watching is impossible a later one, is a complete look.
func (b *box) own(fn func() error) error {
	before, err := b.format.Look(true)
	if err != nil {
		return err
	}
	return b.ownSince(before, fn)
}

// ownSince is own for a caller that has just looked.
func (b *box) ownSince(before index.Stamps, fn func() error) error {
	list := b.format.Trusted()
	checked := sameStamp(b.identAt, *list)
	err := fn()
	if checked && list.Dev == b.identAt.Dev && list.Ino == b.identAt.Ino {
		b.identAt = *list // it has only grown, and its first line says what it did
	}
	after, lerr := b.format.Look(true)
	if lerr != nil {
		return firstErr(err, lerr)
	}
	clean := false
	for _, d := range []struct {
		before, after index.DirStamp
		known         *index.DirStamp
	}{{before.New, after.New, &b.known.New}, {before.Cur, after.Cur, &b.known.Cur}} {
		if d.after.Mtime.Equal(d.known.Mtime) || !d.before.Mtime.Equal(d.known.Mtime) || d.known.At.IsZero() || b.shared() {
			continue // unchanged, or there is something to find in any case
		}
		if *d.known = d.after; b.watch == nil {
			d.known.At = d.after.Mtime // which proves nothing: see above
		}
		clean = true
	}
	if clean && b.watch == nil && b.noWatch.Load() {
		// The rule of one second would have every change of ours followed by a
		// complete look. Trust it for the time being.
		b.known.New.At, b.known.Cur.At = later(b.known.New), later(b.known.Cur)
		if b.doubt.IsZero() {
			b.doubt = b.acct.store.now()
		}
	}
	b.known.UIDList = *b.format.Trusted()
	return err
}

// later is a time at which the stamp would have proved something.
func later(s index.DirStamp) time.Time {
	if at := s.Mtime.Add(2 * time.Second); at.After(s.At) {
		return at
	}
	return s.At
}

// loadKeywords reads what the letters mean. Nothing else sets known.Keywords: a
// foreign change between two looks would be taken for known.
func (b *box) loadKeywords() error {
	t, ok := b.format.(keywordTable)
	if !ok {
		return nil
	}
	k, err := t.Keywords()
	if err == nil {
		b.relabel = b.relabel || !sameStamp(fileStamp(k.Stamp), b.known.Keywords)
		b.keywords, b.known.Keywords = k, fileStamp(k.Stamp)
	}
	return err
}

// keepKeywords is loadKeywords for those who hold the folder's lock: names that
// somebody else has lost come back, before their letters are taken for
// keywords without a name.
func (b *box) keepKeywords(lk Locked) error {
	before := b.keywords
	err := b.loadKeywords()
	k, ok := lk.(keywordKeeper)
	if err != nil || !ok || !b.keywords.Lost(&before) {
		return err
	}
	if err := k.RestoreKeywords(&before); err != nil {
		return err
	}
	return b.loadKeywords()
}

// publish shows the index's present image to everybody.
func (b *box) publish() {
	old := b.now.Load()
	im := b.ix.Image()
	if old != nil && old.im == im {
		return
	}
	s := &Snapshot{im: im, gen: 1}
	if old != nil {
		s.gen = old.gen + 1
	}
	b.now.Store(s)
	if old != nil && b.acct.feed.Followed() {
		b.acct.feed.Emit(feed.Event{What: whatChanged(old, s), Folder: b.folderName(), By: b.by})
	}
	b.signal()
}

func (b *box) signal() {
	b.handlesMu.Lock()
	defer b.handlesMu.Unlock()
	for h := range b.handles {
		h.signal()
	}
}

// whatChanged tells two snapshots apart; it costs little, however long they
// are.
func whatChanged(old, now *Snapshot) (what feed.What) {
	if old.HighestModSeq() == now.HighestModSeq() {
		return 0
	}
	fresh, _ := now.Find(old.UIDNext())
	if fresh < now.Len() {
		what |= feed.Arrived
	}
	if fresh < old.Len() {
		what |= feed.Left
	}
	for range now.ChangedSince(old.HighestModSeq(), 0, fresh) {
		return what | feed.Marked
	}
	return what
}

// commit writes a batch and shows the result.
func (b *box) commit(batch *index.Batch, durable bool) error {
	if batch.Empty() {
		return nil
	}
	b.cover(b.ix.Image().HighestModSeq)
	if _, err := b.ix.Commit(batch, durable); err != nil {
		if p, ok := b.format.(printed); ok {
			p.Forget()
		}
		if fail.Is(err, fail.Corrupt) {
			return b.damaged()
		}
		return err
	}
	b.publish()
	return nil
}

// damaged gives up an index of which a part cannot be read; the next opening
// makes it anew.
func (b *box) damaged() error {
	b.ix.Condemn()
	err := fail.New(fail.Unavailable, "the index of folder %s is damaged; open it again", b.folderName())
	b.acct.store.log.Error("index is damaged", obs.Err(err))
	b.die(err)
	return err
}

// usable is nil, or why the box is dead.
func (b *box) usable() error {
	b.handlesMu.Lock()
	defer b.handlesMu.Unlock()
	return b.err
}

// die ends all use of the box; its handles are told.
func (b *box) die(err error) {
	b.handlesMu.Lock()
	defer b.handlesMu.Unlock()
	if b.err == nil {
		b.err = err
	}
	for h := range b.handles {
		h.signal()
	}
}

func (b *box) folderName() string {
	b.handlesMu.Lock()
	defer b.handlesMu.Unlock()
	return b.name
}

func (b *box) rename(name string) {
	b.handlesMu.Lock()
	defer b.handlesMu.Unlock()
	b.name = name
}

// touch notes that the box is in use.
func (b *box) touch() { b.lastUse.Store(b.acct.store.now().UnixNano()) }

// shared reports whether others write too.
func (b *box) shared() bool { return b.acct.cfg.Mode == Shared }

// write runs fn under the writer lock of a usable box of an account that is
// not frozen.
func (b *box) write(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.acct.freeze.RLock()
	defer b.acct.freeze.RUnlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(); err != nil {
		return err
	}
	b.touch()
	b.by = feed.By(ctx)
	defer func() { b.by = nil }()
	return fn()
}

// close flushes and closes. The box must be out of the account's table, so
// that nobody finds it any more.
func (b *box) close(ctx context.Context, why error) error {
	b.cache.Stop() // it may wait for the lock
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ix == nil {
		return nil
	}
	var err error
	if b.usable() == nil {
		if err = b.flushAll(ctx, true); err == nil {
			b.remember()
		}
	}
	b.die(why)
	if b.flushAt != nil {
		b.flushAt.Stop()
	}
	if b.watch != nil {
		b.watch.Close()
		b.watch = nil
	}
	if c, ok := b.format.(io.Closer); ok {
		_ = c.Close()
	}
	cerr := b.ix.Close()
	if fail.Is(cerr, fail.NotFound) {
		cerr = nil // the folder was deleted, and its index with it
	}
	b.cache.Close()
	for uid := range b.graves { // of a folder that is gone
		b.unbury(uid)
	}
	b.ix = nil
	if err == nil {
		err = cerr
	}
	return err
}

// oldestGen is the oldest snapshot that a handle may still show.
func (b *box) oldestGen() uint64 {
	b.handlesMu.Lock()
	defer b.handlesMu.Unlock()
	oldest := ^uint64(0)
	for h := range b.handles {
		oldest = min(oldest, h.gen.Load())
	}
	return oldest
}

// removeIndex removes a deleted folder's index.
func (a *Account) removeIndex(guid string) {
	if guid == "" {
		return
	}
	if err := disk.RemoveAll(a.store.fs, filepath.Join(a.indexDir, guid)); err != nil {
		a.store.log.Warn("removing the index of a deleted folder failed", obs.Err(err))
	}
}
