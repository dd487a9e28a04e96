package mailbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/index/dovecot"
	"github.com/postcote/postcote/pkg/store/mailbox/feed"
	"github.com/postcote/postcote/pkg/store/mailbox/roster"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/pkg/store/quota"
)

// Account is one user's mail.
type Account struct {
	store    *Store
	cfg      AccountConfig
	tree     *maildir.Tree
	meter    *quota.Meter
	indexDir string
	lock     claim
	epoch    uint64

	// freeze is held for reading by everything that writes.
	freeze sync.RWMutex
	// names is held while folders are made, renamed and deleted.
	names sync.Mutex

	uses     atomic.Pointer[roster.Uses] // replaced with names held
	statuses *roster.Statuses

	feed   feed.Feed
	patrol feed.Patrol

	mu       sync.Mutex
	boxes    map[string]*boxSlot // by canonical name
	err      error               // why the account is closed
	released bool                // closed for another server to take over
}

// boxSlot is a folder that is open or being opened.
type boxSlot struct {
	ready chan struct{} // closed when box or err is set
	box   *box
	err   error
	refs  int
	idle  time.Time     // since when refs is 0
	gone  chan struct{} // closed when the box is closed; nil before that begins
}

func pid() int { return os.Getpid() }

// openAccount takes the lock and makes what every account has.
func (s *Store) openAccount(ctx context.Context, cfg AccountConfig) (*Account, error) {
	if !filepath.IsAbs(cfg.Maildir) || cfg.User == "" {
		return nil, fail.New(fail.Invalid, "account %q needs a name and an absolute path, got %q", cfg.User, cfg.Maildir)
	}
	if err := maildir.CheckNode(s.fs, cfg.Maildir, cfg.Pinned); err != nil {
		return nil, err
	}
	tree := maildir.NewTree(s.fs, cfg.Maildir, maildir.Options{Layout: cfg.Layout, Separator: cfg.Separator, Namer: s.namer, Buffers: &s.texts, Now: s.now})
	cfg.Separator = tree.Separator()
	a := &Account{
		store: s, cfg: cfg, tree: tree, boxes: map[string]*boxSlot{}, indexDir: filepath.Join(s.cfg.IndexRoot, userDir(cfg.User)),
	}
	a.patrol = feed.Patrol{Feed: &a.feed, List: a.relist, Look: a.glance}
	a.meter = quota.New(quota.Options{
		FS: s.fs, Tree: a.tree, Rules: cfg.Quota, MaxMail: cfg.MaxMail, Now: s.now,
		Warnings: cfg.Warnings, Warner: s.cfg.Warner, User: cfg.User,
	})
	if err := disk.MkdirAll(s.fs, a.indexDir, os.ModeSetgid|0o770); err != nil {
		return nil, fail.Wrap(kindOf(err), err, "making the index folder of account %s", cfg.User)
	}
	if err := a.takeLock(); err != nil {
		return nil, err
	}
	a.loadRoster()
	if err := a.prepare(ctx); err != nil {
		return nil, errors.Join(err, a.lock.release())
	}
	return a, nil
}

// kindOf classifies an error of the file system.
func kindOf(err error) fail.Kind {
	switch {
	case disk.IsFull(err):
		return fail.Full
	case errors.Is(err, os.ErrPermission):
		return fail.Denied
	case errors.Is(err, os.ErrNotExist):
		return fail.NotFound
	}
	return fail.KindOf(err)
}

// userDir is the folder of a user's indexes: the name with all but harmless
// bytes as %XX.
func userDir(user string) string {
	var out []byte
	for i := 0; i < len(user); i++ {
		c := user[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '@' || c == '+' || c == '.' && i > 0 {
			out = append(out, c)
			continue
		}
		out = fmt.Appendf(out, "%%%02X", c)
	}
	return string(out)
}

// spool makes a file that has no name any more.
func (a *Account) spool() (disk.File, error) {
	name := filepath.Join(a.indexDir, "expanded."+a.store.namer.Next())
	f, err := a.store.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		if err = a.store.fs.Remove(name); err != nil {
			_ = f.Close()
		}
	}
	if err != nil {
		return nil, fail.Wrap(kindOf(err), err, "expanding a message")
	}
	return f, nil
}

// takeLock makes this process the account's one writer. The epoch in the lock
// file grows with every owner; it is in all that an owner writes.
func (a *Account) takeLock() error {
	c, err := a.store.claims.take(a.store.fs, a.cfg.User)
	locked := errors.Is(err, disk.ErrLocked)
	if err != nil && !locked {
		return fail.Wrap(kindOf(err), err, "locking account %s", a.cfg.User)
	}
	owner, cerr := a.sign(!locked)
	switch {
	case locked:
		return fail.Wrap(fail.Exists, err, "account %s is open in another process (pid %d); only one may write its indexes", a.cfg.User, owner)
	case cerr != nil:
		return errors.Join(fail.Wrap(kindOf(cerr), cerr, "locking account %s", a.cfg.User), c.release())
	}
	a.lock = c
	return nil
}

// sign reads who the last owner was, and writes that it is this process now.
func (a *Account) sign(ours bool) (last int, err error) {
	f, err := a.store.fs.OpenFile(filepath.Join(a.indexDir, "lock"), os.O_RDWR|os.O_CREATE, 0o660)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var text [64]byte
	n, _ := f.ReadAt(text[:], 0)
	_, _ = fmt.Sscanf(string(text[:n]), "epoch %d pid %d", &a.epoch, &last)
	if !ours {
		return last, nil
	}
	a.epoch++
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "epoch %d pid %d\n", a.epoch, pid()), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	return last, err
}

// loadRoster reads what is known of the folders. An account whose files are
// damaged is served without them.
func (a *Account) loadRoster() {
	uses, err := roster.LoadUses(a.store.fs, filepath.Join(a.cfg.Maildir, roster.UsesName))
	if err != nil {
		a.store.log.Error("special uses cannot be read", obs.Err(err))
		uses = &roster.Uses{}
	}
	a.uses.Store(uses)
	a.statuses, err = roster.LoadStatuses(a.store.fs, filepath.Join(a.indexDir, roster.StatusName), a.epoch-1)
	if err != nil {
		a.store.log.Warn("statuses are worked out anew", obs.Err(err))
	}
}

// prepare makes INBOX and the automatic folders.
func (a *Account) prepare(ctx context.Context) error {
	if err := a.tree.Ensure(ctx, maildir.Inbox); err != nil {
		return err
	}
	if err := a.tree.EmptyTrash(); err != nil {
		a.store.log.Warn("removing a deleted folder failed", obs.Err(err))
	}
	missing, subscribe, err := a.automatic(ctx)
	if err != nil {
		return err
	}
	if len(subscribe) > 0 {
		if err := a.tree.Subscribe(ctx, true, subscribe...); err != nil {
			return err
		}
	}
	return a.tree.Ensure(ctx, missing...)
}

// automatic lists the automatic folders that are missing, and what is to be
// subscribed: those of them that shall be, and INBOX for a user who has no
// subscriptions yet, because clients that show subscribed folders only would
// miss it among them.
func (a *Account) automatic(ctx context.Context) (missing, subscribe []string, err error) {
	if slices.ContainsFunc(a.cfg.Folders, func(f FolderConfig) bool { return f.Auto == AutoSubscribe }) {
		old, err := a.tree.HasSubscriptions()
		if err != nil {
			return nil, nil, err
		}
		if !old {
			subscribe = append(subscribe, maildir.Inbox)
		}
	}
	for _, f := range a.cfg.Folders {
		if f.Auto == AutoNo {
			continue
		}
		ok, err := a.tree.Exists(ctx, f.Name)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			continue
		}
		missing = append(missing, f.Name)
		if f.Auto == AutoSubscribe {
			subscribe = append(subscribe, f.Name)
		}
	}
	return missing, subscribe, nil
}

// Close gives up this reference. After the last one the account lingers, then
// everything is flushed and the lock is given back.
func (a *Account) Close() error {
	s := a.store
	s.mu.Lock()
	slot := s.accounts[a.cfg.User]
	s.mu.Unlock()
	if slot != nil && slot.acct == a {
		s.leave(a.cfg.User, slot)
	}
	return nil
}

// User is the name the account was opened under.
func (a *Account) User() string { return a.cfg.User }

// Separator is the hierarchy separator.
func (a *Account) Separator() byte { return a.cfg.Separator }

// Shared reports whether other programs may write at the same time: then
// CONDSTORE and QRESYNC must not be announced.
func (a *Account) Shared() bool { return a.cfg.Mode == Shared }

// canonical returns a folder's name as it is the key of boxes.
func (a *Account) canonical(name string) (string, error) {
	f, err := a.tree.Folder(name)
	if err != nil {
		return "", err
	}
	return f.Name(), nil
}

// acquire opens a folder, or joins those who have it open; release it.
func (a *Account) acquire(ctx context.Context, name string) (*box, error) {
	name, err := a.canonical(name)
	if err != nil {
		return nil, err
	}
	for {
		a.mu.Lock()
		if a.err != nil {
			a.mu.Unlock()
			return nil, a.err
		}
		slot := a.boxes[name]
		if slot == nil {
			slot = &boxSlot{ready: make(chan struct{}), refs: 1}
			a.boxes[name] = slot
			a.mu.Unlock()
			return a.fill(ctx, name, slot)
		}
		if slot.gone == nil {
			slot.refs++
		}
		wait := slot.gone
		a.mu.Unlock()
		if wait == nil {
			wait = slot.ready
		}
		select {
		case <-wait:
		case <-ctx.Done():
			err := fail.Wrap(fail.Unavailable, ctx.Err(), "opening folder %s", name)
			if wait == slot.ready {
				a.leave(slot)
			}
			return nil, err
		}
		if wait != slot.ready {
			continue // it was being closed
		}
		if slot.err == nil && slot.box.usable() == nil {
			return slot.box, nil
		}
		a.leave(slot)
		if slot.err != nil {
			return nil, slot.err
		}
		// Dead: make another. What it died of is known already.
		_ = a.closeSlot(ctx, name, slot, slot.box.usable())
	}
}

// closeSlot closes a box and takes it out of the table. Until that is done
// nobody else can open the folder: an index has one writer.
func (a *Account) closeSlot(ctx context.Context, name string, slot *boxSlot, why error) error {
	a.mu.Lock()
	if gone := slot.gone; gone != nil {
		a.mu.Unlock()
		<-gone
		return nil
	}
	slot.gone = make(chan struct{})
	a.mu.Unlock()
	err := slot.box.close(ctx, why)
	a.mu.Lock()
	if a.boxes[name] == slot {
		delete(a.boxes, name)
	}
	a.mu.Unlock()
	close(slot.gone)
	return err
}

// fill opens the box of a new slot.
func (a *Account) fill(ctx context.Context, name string, slot *boxSlot) (*box, error) {
	a.freeze.RLock()
	a.statuses.Drop(name)
	b, err := a.openBox(ctx, name)
	a.freeze.RUnlock()
	a.mu.Lock()
	slot.box, slot.err = b, err
	if err != nil && a.boxes[name] == slot {
		delete(a.boxes, name)
	}
	a.mu.Unlock()
	close(slot.ready)
	return b, err
}

func (a *Account) leave(slot *boxSlot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	slot.refs--
	slot.idle = a.store.now()
}

// release gives back what acquire returned.
func (a *Account) release(b *box) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, slot := range a.boxes {
		if slot.box == b {
			slot.refs--
			slot.idle = a.store.now()
			return
		}
	}
}

// openBox is a box that is open, and its place.
type openBox struct {
	name string
	slot *boxSlot
}

// someBoxes is room for those of most accounts: thousands are looked at every
// few seconds, which should leave no garbage.
type someBoxes [4]openBox

// appendBoxes appends the boxes that are open to dst.
func (a *Account) appendBoxes(dst []openBox) []openBox {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, slot := range a.boxes {
		select {
		case <-slot.ready:
			if slot.box != nil && slot.gone == nil {
				dst = append(dst, openBox{name, slot})
			}
		default:
		}
	}
	return dst
}

// openBoxes returns the boxes that are open, by name.
func (a *Account) openBoxes() map[string]*boxSlot {
	out := map[string]*boxSlot{}
	for _, o := range a.appendBoxes(nil) {
		out[o.name] = o.slot
	}
	return out
}

// boxLinger is how long a folder that nobody has selected stays open, and how
// long one that nobody asks anything of stays in memory.
const boxLinger = 10 * time.Second

// tidy closes or evicts boxes that have been idle for a while, and returns how
// many bytes of memory nobody needs any more.
func (a *Account) tidy(ctx context.Context, now time.Time) (dropped int) {
	if !a.freeze.TryRLock() {
		return 0
	}
	defer a.freeze.RUnlock()
	var room someBoxes
	for _, o := range a.appendBoxes(room[:0]) {
		name, slot, b := o.name, o.slot, o.slot.box
		a.mu.Lock()
		idle := slot.refs == 0 && now.Sub(slot.idle) >= boxLinger && slot.gone == nil
		if idle {
			slot.gone = make(chan struct{})
		}
		a.mu.Unlock()
		switch {
		case idle:
			dropped += b.now.Load().im.Resident()
			if err := b.close(ctx, fail.New(fail.Unavailable, "folder %s is closed", name)); err != nil {
				a.store.log.Error("closing a folder failed", obs.Err(err))
			}
			a.mu.Lock()
			delete(a.boxes, name)
			a.mu.Unlock()
			close(slot.gone)
		case now.UnixNano()-b.lastUse.Load() >= int64(boxLinger):
			dropped += b.rest()
		}
	}
	return dropped
}

// poll looks at selected folders that cannot be watched, and at others that
// somebody follows.
func (a *Account) poll() {
	if a.feed.Followed() {
		a.store.spawn(a.patrol.Round)
	}
	var room someBoxes
	for _, o := range a.appendBoxes(room[:0]) {
		b := o.slot.box
		b.handlesMu.Lock()
		due := b.watchers > 0 && b.noWatch.Load()
		b.handlesMu.Unlock()
		if due {
			b.syncSoon()
		}
	}
}

func (a *Account) hint(h Hint) {
	name, err := a.canonical(h.Folder)
	if err != nil {
		return
	}
	if b := a.opened(name); b != nil {
		b.hinted(h.File)
	} else if a.feed.Followed() && a.feed.Wanted(name) {
		a.store.spawn(func(ctx context.Context) {
			if !a.patrol.Known(name) { // deliveries make folders
				a.relist(ctx)
			}
			a.look(ctx, name)
		})
	}
}

// opened returns the box of a folder that is open.
func (a *Account) opened(name string) *box {
	a.mu.Lock()
	defer a.mu.Unlock()
	slot := a.boxes[name]
	if slot == nil || slot.gone != nil {
		return nil
	}
	select {
	case <-slot.ready:
		return slot.box
	default:
		return nil
	}
}

// Follow has f told of all changes in the account's folders, until stop is
// called. Who follows is told of changes by other programs in the folders that
// he wants, open or not, though not at once.
func (a *Account) Follow(ctx context.Context, f feed.Follower) (stop func()) {
	end := a.feed.Follow(f)
	a.relist(ctx)
	return func() {
		if end(); !a.feed.Followed() {
			a.patrol.Forget()
		}
	}
}

// relist looks at which folders there are.
func (a *Account) relist(ctx context.Context) {
	a.names.Lock()
	defer a.names.Unlock()
	a.compare(ctx, func(string) bool { return false })
}

// compare is relist with names held.
func (a *Account) compare(ctx context.Context, mine func(string) bool) {
	if !a.feed.Followed() {
		return
	}
	list, err := a.List(ctx)
	if err != nil {
		return // the next round looks again
	}
	folders := make([]feed.Folder, len(list))
	for i, f := range list {
		folders[i] = feed.Folder{Name: f.Name, Exists: f.Exists, Subscribed: f.Subscribed}
	}
	a.patrol.Compare(folders, mine)
}

// tell tells of a change of the folders, names held.
func (a *Account) tell(ctx context.Context, e feed.Event) {
	sep := string(a.cfg.Separator)
	below := func(name, top string) bool { return top != "" && strings.HasPrefix(name, top+sep) }
	e.By = feed.By(ctx)
	a.feed.Emit(e)
	a.compare(ctx, func(name string) bool {
		return name == e.Folder || name == e.Old || e.What&feed.Renamed != 0 && (below(name, e.Folder) || below(name, e.Old))
	})
}

// glance looks whether a folder that nobody watches has changed; only then, or
// when that cannot be seen, it is opened.
func (a *Account) glance(ctx context.Context, name string) (opened bool) {
	if b := a.opened(name); b != nil {
		b.syncSoon()
		return false
	}
	if _, known := a.cached(name, false); known {
		return false
	}
	a.look(ctx, name)
	return true
}

// look opens a folder, which tells what has changed in it.
func (a *Account) look(ctx context.Context, name string) {
	if !a.freeze.TryRLock() {
		return // what happens now is seen later
	}
	a.freeze.RUnlock()
	m, err := a.Open(ctx, name)
	if err == nil {
		err = firstErr(m.Sync(ctx), m.Close())
	}
	if err != nil && !fail.Is(err, fail.NotFound) && ctx.Err() == nil && a.usable() == nil {
		a.store.log.Warn("looking at a folder failed", obs.Err(err))
	}
}

// shut closes all boxes and gives the lock back. It does not wait for a thaw:
// in a frozen account everything is flushed.
func (a *Account) shut(ctx context.Context, why error) error {
	a.mu.Lock()
	a.err = why
	slots := map[string]*boxSlot{}
	for name, slot := range a.boxes {
		slots[name] = slot
	}
	a.mu.Unlock()
	var errs []error
	for name, slot := range slots {
		<-slot.ready
		if slot.box != nil {
			errs = append(errs, a.closeSlot(ctx, name, slot, why))
		}
	}
	if err := a.statuses.Save(a.store.fs, filepath.Join(a.indexDir, roster.StatusName), a.epoch); err != nil {
		a.store.log.Warn("statuses are not kept", obs.Err(err))
	}
	if a.released {
		errs = append(errs, a.handBack(ctx))
	}
	return errors.Join(append(errs, a.lock.release())...)
}

// handBack tells Dovecot in each folder how far the MODSEQs have got. In shared
// mode no client was told of any. All boxes are closed, the lock is held.
func (a *Account) handBack(ctx context.Context) error {
	if a.Shared() {
		return nil
	}
	names, err := a.tree.List(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		f, err := a.tree.Folder(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		h, err := f.UIDListHeader()
		if err != nil || h.GUID == "" {
			continue // never opened here
		}
		told := index.Salvage(a.store.fs, filepath.Join(a.indexDir, h.GUID), nil).ModSeq
		if told == 0 {
			continue
		}
		if err := dovecot.Raise(ctx, a.store.fs, f.Dir(), told, a.store.now()); err != nil {
			errs = append(errs, fail.Wrap(fail.KindOf(err), err, "folder %s", name))
		}
	}
	return errors.Join(errs...)
}

// freezeAll stops all writers, with everything flushed.
func (a *Account) freezeAll(ctx context.Context) error {
	a.freeze.Lock()
	var room someBoxes
	for _, o := range a.appendBoxes(room[:0]) {
		b := o.slot.box
		b.mu.Lock()
		var err error
		if b.usable() == nil && b.ix != nil {
			err = b.flushAll(ctx, true)
		}
		b.mu.Unlock()
		if err != nil {
			a.freeze.Unlock()
			return err
		}
	}
	return nil
}

// thaw lets writers go on and looks at what happened meanwhile.
func (a *Account) thaw() {
	a.freeze.Unlock()
	var room someBoxes
	for _, o := range a.appendBoxes(room[:0]) {
		b := o.slot.box
		b.mu.Lock()
		if b.usable() == nil && b.ix != nil && (b.ix.Image().Dirty() > 0 || len(b.graves) > 0) {
			b.flushSoon()
		}
		b.mu.Unlock()
		b.syncSoon()
	}
}
