package mailbox

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/mailbox/feed"
	"github.com/postcote/postcote/pkg/store/mailbox/roster"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// Folder is one line of List.
type Folder struct {
	Name        string // UTF-8; "INBOX" in upper case
	Exists      bool   // can be selected; false for a mere parent (\NoSelect) and for a subscription of nothing (\NonExistent)
	Parent      bool   // has folders below it that exist (\HasChildren)
	Subscribed  bool
	SpecialUses []string // "\\Sent" …
	NonExistent bool     // known only from the subscriptions
}

// List returns all folders that exist, their missing parents, and all
// subscribed names, sorted with INBOX first. Patterns are the caller's work.
func (a *Account) List(ctx context.Context) ([]Folder, error) {
	if err := a.usable(); err != nil {
		return nil, err
	}
	names, err := a.tree.List(ctx)
	if err != nil {
		return nil, err
	}
	subscribed, err := a.tree.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]*Folder{}
	get := func(n string) *Folder {
		if all[n] == nil {
			all[n] = &Folder{Name: n}
		}
		return all[n]
	}
	for _, n := range names {
		get(n).Exists = true
		for i := strings.LastIndexByte(n, a.cfg.Separator); i > 0; i = strings.LastIndexByte(n[:i], a.cfg.Separator) {
			get(n[:i]).Parent = true
		}
	}
	for _, n := range subscribed {
		f := get(n)
		f.Subscribed, f.NonExistent = true, !f.Exists && !f.Parent
	}
	a.addUses(all)
	out := make([]Folder, 0, len(all))
	for _, f := range all {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(x, y Folder) int {
		if (x.Name == maildir.Inbox) != (y.Name == maildir.Inbox) {
			if x.Name == maildir.Inbox {
				return -1
			}
			return 1
		}
		return strings.Compare(x.Name, y.Name)
	})
	return out, nil
}

// addUses adds the special uses: those that clients have given, and those of
// the configuration that nobody else has now.
func (a *Account) addUses(all map[string]*Folder) {
	exists := func(name string) bool { return all[name] != nil && all[name].Exists }
	uses := a.uses.Load()
	for name, f := range all {
		if f.Exists {
			f.SpecialUses = uses.Of(name)
		}
	}
	for _, c := range a.cfg.Folders {
		name, err := a.canonical(c.Name)
		if err == nil && c.SpecialUse != "" && exists(name) && !exists(uses.Folder(c.SpecialUse)) {
			all[name].SpecialUses = append(all[name].SpecialUses, c.SpecialUse)
		}
	}
}

// changeUses replaces the special uses by what fn makes of them, names held.
func (a *Account) changeUses(fn func(*roster.Uses) (changed bool, err error)) error {
	uses := a.uses.Load().Clone()
	changed, err := fn(uses)
	if err != nil || !changed {
		return err
	}
	if err := uses.Save(a.store.fs, filepath.Join(a.tree.Root(), roster.UsesName)); err != nil {
		return fail.Wrap(kindOf(err), err, "keeping the special uses of account %s", a.cfg.User)
	}
	a.uses.Store(uses)
	return nil
}

// keepUses is changeUses for a change that has been made already: one that
// cannot be written is logged.
func (a *Account) keepUses(fn func(*roster.Uses) bool) {
	if err := a.changeUses(func(u *roster.Uses) (bool, error) { return fn(u), nil }); err != nil {
		a.store.log.Error("special uses could not be kept", obs.Err(err))
	}
}

// usable is nil while the account is open.
func (a *Account) usable() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// alter runs fn, which changes the tree of folders.
func (a *Account) alter(fn func() error) error {
	a.freeze.RLock()
	defer a.freeze.RUnlock()
	a.names.Lock()
	defer a.names.Unlock()
	if err := a.usable(); err != nil {
		return err
	}
	return fn()
}

// Create makes a folder and its UIDVALIDITY. A separator at the end of the
// name is ignored (RFC 3501 section 6.3.3). Exists, Invalid (name), Full.
func (a *Account) Create(ctx context.Context, name string) error {
	return a.CreateFor(ctx, name, nil)
}

// CreateFor is Create for a folder that gets special uses, which other folders
// lose: all or nothing.
func (a *Account) CreateFor(ctx context.Context, name string, uses []string) error {
	return a.alter(func() error {
		if err := a.create(ctx, name); err != nil {
			return err
		}
		f, err := a.tree.Folder(strings.TrimSuffix(name, string(a.cfg.Separator)))
		if err == nil {
			err = a.changeUses(func(u *roster.Uses) (bool, error) {
				for _, attr := range uses {
					if err := u.Give(attr, f.Name()); err != nil {
						return false, err
					}
				}
				return len(uses) > 0, nil
			})
		}
		if err != nil {
			return errors.Join(err, a.tree.Delete(ctx, name))
		}
		a.tell(ctx, feed.Event{What: feed.Created, Folder: f.Name()})
		return nil
	})
}

func (a *Account) create(ctx context.Context, name string) error {
	name = strings.TrimSuffix(name, string(a.cfg.Separator))
	if err := a.tree.Create(ctx, name); err != nil {
		return err
	}
	f, err := a.tree.Folder(name)
	if err != nil {
		return err
	}
	_, err = newMaildirFormat(f, nil, true).Ident(ctx)
	return err
}

// Delete removes a folder with its messages; folders below it stay. NotFound;
// Denied for INBOX. Sessions that have it open get NotFound from then on.
func (a *Account) Delete(ctx context.Context, name string) error {
	return a.alter(func() error {
		f, err := a.tree.Folder(name)
		if err != nil {
			return err
		}
		if f.Name() == maildir.Inbox {
			return fail.New(fail.Denied, "INBOX cannot be deleted")
		}
		guid := ""
		if h, err := f.UIDListHeader(); err == nil {
			guid = h.GUID
		}
		if err := a.dropFolder(ctx, f.Name()); err != nil {
			return err
		}
		if err := a.tree.Delete(ctx, name); err != nil {
			return err
		}
		a.removeIndex(guid)
		a.statuses.Drop(f.Name())
		a.keepUses(func(u *roster.Uses) bool { return u.Drop(f.Name()) })
		a.recount()
		a.tell(ctx, feed.Event{What: feed.Deleted, Folder: f.Name()})
		return nil
	})
}

// dropFolder closes a folder that is about to go, for all its users.
func (a *Account) dropFolder(ctx context.Context, name string) error {
	a.mu.Lock()
	slot := a.boxes[name]
	a.mu.Unlock()
	if slot == nil {
		return nil
	}
	<-slot.ready
	if slot.box == nil {
		return nil
	}
	why := fail.New(fail.NotFound, "folder %s was deleted", name)
	slot.box.die(why)
	return a.closeSlot(ctx, name, slot, why)
}

// Rename renames a folder and all below it, keeping UIDs; sessions that have
// them open keep them under the new names. Renaming INBOX moves its messages
// into a new folder (RFC 3501 section 6.3.5). NotFound, Exists, Invalid.
func (a *Account) Rename(ctx context.Context, from, to string) error {
	to = strings.TrimSuffix(to, string(a.cfg.Separator))
	src, err := a.canonical(from)
	if err != nil {
		return err
	}
	dst, err := a.canonical(to)
	if err != nil {
		return err
	}
	if src == maildir.Inbox {
		return a.renameInbox(ctx, dst)
	}
	return a.alter(func() error { return a.rename(ctx, src, dst) })
}

func (a *Account) renameInbox(ctx context.Context, to string) error {
	err := a.alter(func() error {
		err := a.create(ctx, to)
		if err == nil {
			a.tell(ctx, feed.Event{What: feed.Renamed, Folder: to, Old: maildir.Inbox})
		}
		return err
	})
	if err != nil {
		return err
	}
	m, err := a.Open(ctx, maildir.Inbox)
	if err != nil {
		return err
	}
	if err = m.Sync(ctx); err == nil && m.Snapshot().Len() > 0 {
		_, err = m.Move(ctx, Set{{First: 1, Last: 1<<32 - 1}}, to)
	}
	return firstErr(err, m.Close())
}

// rename holds the locks of all boxes concerned, so that nobody looks for
// files under the old name meanwhile. Nothing else locks two boxes at once.
func (a *Account) rename(ctx context.Context, from, to string) error {
	sep := string(a.cfg.Separator)
	slots := a.openBoxes()
	var names []string
	for n := range slots {
		if n == from || strings.HasPrefix(n, from+sep) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		b := slots[n].box
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.usable() == nil && b.ix != nil {
			if err := b.flushAll(ctx, true); err != nil {
				return err
			}
		}
	}
	if err := a.tree.Rename(ctx, from, to); err != nil {
		return err
	}
	a.statuses.DropTree(from, a.cfg.Separator)
	a.keepUses(func(u *roster.Uses) bool { return u.Rename(from, to, a.cfg.Separator) })
	a.mu.Lock()
	for _, n := range names {
		delete(a.boxes, n)
		a.boxes[to+n[len(from):]] = slots[n]
	}
	a.mu.Unlock()
	for _, n := range names {
		slots[n].box.moved(a, to+n[len(from):])
	}
	a.tell(ctx, feed.Event{What: feed.Renamed, Folder: to, Old: from})
	return nil
}

// moved takes note of the folder's new name, b.mu held.
func (b *box) moved(a *Account, name string) {
	f, ok := b.format.(*maildirFormat)
	folder, err := a.tree.Folder(name)
	if !ok || err != nil || b.ix == nil {
		return
	}
	f.at.Store(folder)
	b.dir = folder.Dir()
	b.rename(name)
	batch := b.ix.Begin()
	batch.Owner(b.acct.tree.EntryOf(b.dir))
	if err := b.commit(batch, false); err != nil {
		a.store.log.Warn("writing the index failed", obs.Err(err))
	}
	if b.watch != nil { // it watches the old path
		b.watch.Close()
		b.watch = nil
		a.store.spawn(func(context.Context) { b.startWatch() })
	}
}

// Subscribe adds the name to the subscriptions, or takes it away. The name
// need not exist.
func (a *Account) Subscribe(ctx context.Context, name string, on bool) error {
	return a.alter(func() error {
		err := a.tree.Subscribe(ctx, on, name)
		if f, ferr := a.tree.Folder(name); err == nil && ferr == nil {
			a.tell(ctx, feed.Event{What: map[bool]feed.What{true: feed.Subscribed, false: feed.Unsubscribed}[on], Folder: f.Name()})
		}
		return err
	})
}

// Status describes a folder for STATUS and SELECT.
type Status struct {
	Messages      int    `json:"messages"`
	Recent        int    `json:"recent"`
	Unseen        int    `json:"unseen"`
	Deleted       int    `json:"deleted"`
	UIDNext       uint32 `json:"uidnext"`
	UIDValidity   uint32 `json:"uidvalidity"`
	HighestModSeq uint64 `json:"highestmodseq"`
	Size          int64  `json:"size"` // sum of RFC822.SIZE; only when asked for
	GUID          string `json:"guid"`
}

// Status looks at a folder without selecting it. One that is not open and
// looks as it did when it was closed is not opened: that costs four stats.
// withSize may have to read messages. NotFound.
func (a *Account) Status(ctx context.Context, name string, withSize bool) (Status, error) {
	if st, known := a.cached(name, withSize); known {
		return st, nil
	}
	m, err := a.Open(ctx, name)
	if err != nil {
		return Status{}, err
	}
	defer m.Close()
	if err := m.Sync(ctx); err != nil {
		return Status{}, err
	}
	s := m.Snapshot()
	out := Status{
		Messages: s.Len(), Recent: s.Recent(), Unseen: s.Count(0, Seen), Deleted: s.Count(Deleted, 0),
		UIDNext: s.UIDNext(), UIDValidity: s.UIDValidity(), HighestModSeq: s.HighestModSeq(), GUID: m.box.guid,
	}
	if withSize {
		out.Size, err = m.totalSize(ctx, s)
	}
	return out, err
}

// DeletedSize is the sum of RFC822.SIZE of the messages of a folder that have
// \Deleted. NotFound.
func (a *Account) DeletedSize(ctx context.Context, name string) (int64, error) {
	m, err := a.Open(ctx, name)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	if err := m.Sync(ctx); err != nil {
		return 0, err
	}
	s := m.Snapshot()
	if s.Count(Deleted, 0) == 0 {
		return 0, nil
	}
	return m.sizes(ctx, s, Deleted)
}

// cached is the status of a folder that is not open, if it still holds.
func (a *Account) cached(name string, withSize bool) (Status, bool) {
	f, err := a.tree.Folder(name)
	if err != nil || a.usable() != nil {
		return Status{}, false
	}
	st, known := a.statuses.Get(f.Name())
	if !known || withSize && st.Size < 0 {
		return Status{}, false
	}
	look, err := newMaildirFormat(f, nil, true).Look(false)
	same := func(now, before index.DirStamp) bool {
		return maildir.DirStamp(now).Unchanged(maildir.DirStamp(before))
	}
	if err != nil || !same(look.New, st.Look.New) || !same(look.Cur, st.Look.Cur) ||
		!sameStamp(look.UIDList, st.Look.UIDList) || !sameStamp(look.Keywords, st.Look.Keywords) {
		a.statuses.Drop(f.Name())
		return Status{}, false
	}
	out := Status{
		Messages: int(st.Messages), Recent: int(st.Recent), Unseen: int(st.Unseen), Deleted: int(st.Deleted),
		UIDNext: st.UIDNext, UIDValidity: st.UIDValidity, HighestModSeq: st.HighestModSeq, GUID: st.GUID,
	}
	if withSize {
		out.Size = st.Size
	}
	return out, true
}

// remember keeps the status of a box that is being closed in good order, b.mu
// held: what it knows is all there is.
func (b *box) remember() {
	s := b.now.Load()
	st := roster.Status{
		Messages: uint32(s.Len()), Recent: uint32(s.Recent()), Unseen: uint32(s.Count(0, Seen)), Deleted: uint32(s.Count(Deleted, 0)),
		UIDNext: s.UIDNext(), UIDValidity: s.UIDValidity(), HighestModSeq: s.HighestModSeq(), GUID: b.guid,
		Size: -1, Look: b.known,
	}
	if sum, ok := s.VSize(); ok {
		st.Size = sum
	}
	b.acct.statuses.Put(b.folderName(), st)
}

func (m *Mailbox) totalSize(ctx context.Context, s *Snapshot) (int64, error) {
	if sum, ok := s.VSize(); ok {
		return sum, nil
	}
	return m.sizes(ctx, s, 0)
}

// sizes adds up RFC822.SIZE of the messages that have all of with.
func (m *Mailbox) sizes(ctx context.Context, s *Snapshot, with Flags) (int64, error) {
	var sum int64
	for i := range s.Len() {
		if s.At(i).Flags&with != with {
			continue
		}
		x, err := m.Resolve(ctx, s, i)
		if fail.Is(err, fail.NotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		sum += x.VSize
	}
	return sum, nil
}

// ownGUID makes sure that no other folder uses the same GUID: a folder that
// was copied with its UID list would share the other's index.
func (a *Account) ownGUID(ctx context.Context, f *maildirFormat, guid, dir string) (string, error) {
	owner, err := index.OwnerOf(a.store.fs, filepath.Join(a.indexDir, guid))
	if err != nil || owner == "" || owner == dir {
		return guid, nil // no index yet, or ours, or damaged and made anew anyway
	}
	h := a.tree.DirOf(owner)
	if ok, err := disk.Exists(a.store.fs, filepath.Join(h, "cur")); err != nil || !ok {
		return guid, nil // it was renamed
	}
	other, err := a.tree.FolderAt(h)
	if err != nil {
		return guid, nil
	}
	if list, err := other.UIDListHeader(); err != nil || list.GUID != guid {
		return guid, nil
	}
	return f.newGUID(ctx)
}
