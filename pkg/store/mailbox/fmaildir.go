package mailbox

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// maildirFormat is a Maildir++ folder as a Format.
type maildirFormat struct {
	at      atomic.Pointer[maildir.Folder] // changes when the folder is renamed
	watcher *maildir.Watcher               // nil: there is none
	alone   bool                           // nobody else gives out UIDs
	spool   func() (disk.File, error)      // where compressed messages are expanded

	mu    sync.Mutex // guards what follows; the mailbox's lock does the rest
	watch *maildir.Watch
	trust index.FileStamp // the UID list that we know
	next  uint32          // above all UIDs in it
	short int64           // its size when it was last made as short as it can be
	stale bool            // it must be rewritten before the next append

	validity uint32 // UIDVALIDITY; 0 before Ident
	ahead    int    // so many lines of it may not be on disk; names have the same UIDs
	counted  bool   // next is above all UIDs of the list that we know
	spare    maildir.Spare
	maildir.Known
}

func newMaildirFormat(folder *maildir.Folder, w *maildir.Watcher, alone bool) *maildirFormat {
	f := &maildirFormat{watcher: w, alone: alone}
	f.at.Store(folder)
	return f
}

func (f *maildirFormat) folder() *maildir.Folder { return f.at.Load() }

func (f *maildirFormat) Trusted() *index.FileStamp { return &f.trust }

func fileStamp(s maildir.Stamp) index.FileStamp {
	return index.FileStamp{Dev: s.ID.Dev, Ino: s.ID.Ino, Size: s.Size, Mtime: s.Mtime}
}

func sameStamp(a, b index.FileStamp) bool {
	return a.Dev == b.Dev && a.Ino == b.Ino && a.Size == b.Size && a.Mtime.Equal(b.Mtime)
}

func (f *maildirFormat) Look(onlyDirs bool) (index.Stamps, error) {
	look := (*maildir.Folder).Look
	if onlyDirs {
		look = (*maildir.Folder).LookAtDirs
	}
	s, err := look(f.folder())
	return index.Stamps{
		New: index.DirStamp(s.New), Cur: index.DirStamp(s.Cur),
		UIDList: fileStamp(s.UIDList), Keywords: fileStamp(s.Keywords),
	}, err
}

func (f *maildirFormat) Keywords() (maildir.Keywords, error) { return f.folder().Keywords() }

// Ident reads the UID list's header, or makes a list. A list without a GUID,
// or one that cannot be understood, is written anew.
func (f *maildirFormat) Ident(ctx context.Context) (Ident, error) {
	h, err := f.folder().UIDListHeader()
	if err == nil && h.Validity != 0 && h.GUID != "" {
		f.validity = h.Validity
		return Ident{UIDValidity: h.Validity, UIDNext: h.Next, GUID: h.GUID, Used: true}, nil
	}
	if err != nil && !fail.Is(err, fail.NotFound) {
		return Ident{}, err
	}
	if ok, err := f.folder().Exists(); err != nil {
		return Ident{}, err
	} else if !ok {
		return Ident{}, fail.New(fail.NotFound, "no folder %s", f.folder().Name())
	}
	lk, err := f.folder().Lock(ctx)
	if err != nil {
		return Ident{}, err
	}
	defer func() { _ = lk.Unlock() }()
	list, used, err := f.freshList(lk)
	if err != nil {
		return Ident{}, err
	}
	return Ident{UIDValidity: list.Validity, UIDNext: list.Next, GUID: list.GUID, Used: used}, nil
}

// maxAhead is how many UIDs are given out while the list's lines for them may
// not be on disk.
const maxAhead = 256

// UIDNext reads the whole UID list: what its first line says may lag behind.
// After a crash lines may be missing, too: those of the last maxAhead messages.
func (f *maildirFormat) UIDNext(known uint32, crashed bool) (uint32, error) {
	next, err := f.nextListed()
	if err != nil {
		return 0, err
	}
	next = max(next, known)
	if crashed && f.alone && next < 1<<32-1-maxAhead {
		next += maxAhead
	}
	f.next = max(f.next, next)
	return next, nil
}

func (f *maildirFormat) nextListed() (uint32, error) {
	if f.counted {
		if same, err := f.trusted(); err == nil && same {
			return f.next, nil
		}
	}
	list, err := f.folder().UIDList()
	switch {
	case err == nil:
		return list.Next, nil
	case fail.Is(err, fail.NotFound):
		return 1, nil
	}
	return 0, err
}

// trusted reports whether the list is still the one that we know.
func (f *maildirFormat) trusted() (bool, error) {
	now, err := f.folder().UIDListStamp()
	return sameStamp(fileStamp(now), f.trust), err
}

// Behind implements uidList.
func (f *maildirFormat) Behind() bool { return f.ahead > 0 }

// SyncUIDs implements uidList.
func (f *maildirFormat) SyncUIDs() error {
	if f.ahead == 0 {
		return nil
	}
	err := f.folder().SyncUIDs()
	f.ahead, f.stale = 0, f.stale || err != nil
	return err
}

// freshList makes sure that there is a list with UIDVALIDITY and GUID.
func (f *maildirFormat) freshList(lk *maildir.Lock) (list *maildir.UIDList, used bool, err error) {
	defer func() {
		if err == nil {
			f.validity = list.Validity
		}
	}()
	list, err = f.folder().UIDList()
	switch {
	case fail.Is(err, fail.NotFound):
		list, err = lk.Create()
		return list, false, err
	case err != nil:
		return nil, false, err
	case list.Validity == 0:
		// Nothing can be believed of it: clients must forget what they know.
		list, err = lk.Create()
		return list, true, err
	case list.GUID == "":
		return list, true, lk.Rewrite(list)
	}
	return list, true, nil
}

// newGUID gives the folder a GUID that no other has.
func (f *maildirFormat) newGUID(ctx context.Context) (string, error) {
	lk, err := f.folder().Lock(ctx)
	if err != nil {
		return "", err
	}
	list, err := f.folder().UIDList()
	if err != nil {
		return "", firstErr(err, lk.Unlock())
	}
	list.GUID = "" // Rewrite makes another
	err = lk.Rewrite(list)
	return list.GUID, err
}

// Begin starts a message in tmp/.
func (f *maildirFormat) Begin() (Newborn, error) {
	d, err := f.folder().Begin()
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (f *maildirFormat) Link(from Format, r Ref, later bool) (Newborn, error) {
	src, ok := from.(*maildirFormat)
	if !ok {
		return nil, nil
	}
	if later {
		if d, ok := f.folder().LinkLater(src.folder(), maildir.Place(r.InNew), r.File); ok {
			return d, nil
		}
	}
	d, ok, err := f.folder().LinkMessage(src.folder(), maildir.Place(r.InNew), r.File)
	if err != nil || !ok {
		return nil, err
	}
	return d, nil
}

func (f *maildirFormat) Watch(wake func()) (Watch, error) {
	if f.watcher == nil {
		return nil, fail.New(fail.Unavailable, "no inotify")
	}
	w, err := f.watcher.Watch(f.folder(), wake)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch = w
	return &maildirWatch{f, w}, nil
}

type maildirWatch struct {
	f *maildirFormat
	*maildir.Watch
}

func (w *maildirWatch) Close() {
	w.f.mu.Lock()
	if w.f.watch == w.Watch {
		w.f.watch = nil
	}
	w.f.mu.Unlock()
	w.Watch.Close()
}

func (f *maildirFormat) Lock(ctx context.Context) (Locked, error) {
	lk, err := f.folder().LockAgain(ctx, &f.spare)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return &maildirLocked{maildirFormat: f, ctx: ctx, lk: lk, watched: f.watch}, nil
}

type maildirLocked struct {
	*maildirFormat
	ctx     context.Context //nolint:containedctx // of the operation that holds the lock
	lk      *maildir.Lock
	watched *maildir.Watch
	list    *maildir.UIDList // read under this lock and not written since
}

func (l *maildirLocked) Unlock() error { return l.lk.Unlock() }

// List reads new/ first: a file that moves to cur/ meanwhile is then seen
// twice and not missed.
func (l *maildirLocked) List(onlyNew bool) (Listing, error) {
	out := Listing{Print: l.Print()}
	var lots [][]Entry
	read := func(in maildir.Place) (index.DirStamp, error) {
		stamp, err := l.folder().Lots(in, func(files []string) {
			l.Add(&out.Print, in, files)
			lot := make([]Entry, len(files))
			for i, n := range files {
				lot[i] = entryOf(n, in == maildir.InNew)
			}
			lots = append(lots, lot)
		})
		return index.DirStamp(stamp), err
	}
	var err error
	if out.New, err = read(maildir.InNew); err == nil && !onlyNew {
		if err = l.lk.Touch(); err == nil {
			out.Cur, err = read(maildir.InCur)
		}
		if err == nil {
			err = l.lk.Touch()
		}
	}
	out.Entries = slices.Concat(lots...)
	return out, err
}

// Assign asks the list only when somebody else has written it, or when a file
// came to cur/ by itself: it may have been there before.
func (l *maildirLocked) Assign(entries []Entry, floor uint32, sure bool) (uids []uint32, unseen []string, err error) {
	uids, unseen, write, err := l.assign(entries, floor, sure)
	if err == nil && len(unseen) == 0 {
		err = write()
	}
	return uids, unseen, err
}

func (l *maildirLocked) assign(entries []Entry, floor uint32, sure bool) (uids []uint32, unseen []string, write func() error, err error) {
	if err = l.freshen(false); err == nil && l.list == nil && !sure {
		err = l.freshen(l.mayBeBack(entries))
	}
	if err != nil {
		return nil, nil, nil, err
	}
	uids = make([]uint32, len(entries))
	if l.list != nil {
		unseen = l.known(l.list, entries, uids, floor)
		if len(unseen) > 0 && !sure {
			return nil, unseen, nil, nil
		}
	}
	list := l.list
	l.list = nil
	l.next = max(l.next, floor)
	fresh, err := l.assignNew(entries, uids)
	return uids, nil, func() error {
		if len(fresh) == 0 && (list == nil || !list.Stale) {
			return nil
		}
		return l.writeList(list, fresh, true)
	}, err
}

// freshen reads the list when somebody else has written it, or in any case.
func (l *maildirLocked) freshen(always bool) error {
	same, err := l.trusted()
	if err == nil && l.list == nil && (always || l.stale || l.trust == (index.FileStamp{}) || !same) {
		l.list, err = l.readList()
	}
	return err
}

// mayBeBack reports whether one of the entries may have had a UID before: those
// in new/ have not.
func (l *maildirLocked) mayBeBack(entries []Entry) bool {
	const few = 8
	var bases []string
	for _, e := range entries {
		if e.InNew {
			continue
		}
		if bases = append(bases, e.Base); len(bases) > few || maildir.UIDOf(e.Base, l.validity) != 0 {
			return true
		}
	}
	return len(bases) > 0 && l.folder().MayList(bases)
}

func (l *maildirLocked) readList() (*maildir.UIDList, error) {
	list, _, err := l.freshList(l.lk)
	if err != nil {
		return nil, err
	}
	if err := l.relock(); err != nil {
		return nil, err
	}
	l.trust, l.next, l.counted = fileStamp(list.Stamp), max(l.next, list.Next), true
	if l.stale {
		list.Stale = true
	}
	return list, nil
}

// relock takes the lock again after a rewrite gave it up.
func (l *maildirLocked) relock() error {
	if l.lk.Held() {
		return nil
	}
	lk, err := l.folder().LockAgain(l.ctx, &l.spare)
	if err == nil {
		l.lk = lk
	}
	return err
}

// known looks entries up in the list and returns the names that are listed and
// are no entries. A UID below floor belongs to a message that sessions saw
// vanish; coming back, it gets a new one, as in Dovecot, and its line goes: two
// for one name would have Dovecot waver between them.
func (l *maildirLocked) known(list *maildir.UIDList, entries []Entry, uids []uint32, floor uint32) (unseen []string) {
	old := len(list.Records)
	var at map[string]int
	if old > 0 {
		at = make(map[string]int, len(entries))
		for i, e := range entries {
			at[e.Base] = i
		}
	}
	list.Records = slices.DeleteFunc(list.Records, func(r maildir.UIDRecord) bool {
		i, ok := at[r.Base]
		switch {
		case ok && r.UID >= floor:
			uids[i] = r.UID
		case !ok && r.UID >= floor:
			unseen = append(unseen, r.Base)
		}
		return ok && r.UID < floor
	})
	list.Stale = list.Stale || len(list.Records) < old
	l.restore(list, entries, uids, floor)
	return unseen
}

// restore gives messages whose line a crash took away the UIDs that their
// names hold.
func (l *maildirLocked) restore(list *maildir.UIDList, entries []Entry, uids []uint32, floor uint32) {
	var taken map[uint32]bool
	for i, e := range entries {
		uid := maildir.UIDOf(e.Base, l.validity)
		if uids[i] != 0 || uid == 0 || uid < floor {
			continue
		}
		if taken == nil {
			taken = make(map[uint32]bool, len(list.Records))
			for _, r := range list.Records {
				taken[r.UID] = true
			}
		}
		if taken[uid] {
			continue
		}
		taken[uid], uids[i], list.Stale = true, uid, true
		list.Records = append(list.Records, maildir.UIDRecord{UID: uid, Base: e.Base})
		l.next = max(l.next, uid+1)
	}
	if taken != nil {
		slices.SortFunc(list.Records, func(a, b maildir.UIDRecord) int { return cmp.Compare(a.UID, b.UID) })
	}
}

// assignNew gives UIDs to the entries that have none, in their order.
func (l *maildirLocked) assignNew(entries []Entry, uids []uint32) ([]maildir.UIDRecord, error) {
	left := 0
	for _, uid := range uids {
		if uid == 0 {
			left++
		}
	}
	fresh := make([]maildir.UIDRecord, 0, left)
	for i := range entries {
		if uids[i] != 0 {
			continue
		}
		if l.next >= 1<<32-1 {
			return nil, errNoUIDs(l.folder())
		}
		uids[i] = l.next
		fresh = append(fresh, maildir.UIDRecord{UID: l.next, Base: entries[i].Base})
		l.next++
	}
	return fresh, nil
}

// writeList writes fresh into the list.
func (l *maildirLocked) writeList(list *maildir.UIDList, fresh []maildir.UIDRecord, durable bool) error {
	if list == nil || !list.Stale {
		stamp, err := l.lk.AppendUIDs(maildir.Stamp{Size: l.trust.Size}, fresh, durable)
		if err != nil {
			l.stale = true // a list whose sync failed is not appended to again
			return err
		}
		l.trust = fileStamp(stamp)
		if l.ahead += len(fresh); durable {
			l.ahead = 0
		}
		return nil
	}
	list.Records = append(list.Records, fresh...)
	list.Next = max(list.Next, l.next)
	return l.rewrite(list)
}

func (l *maildirLocked) rewrite(list *maildir.UIDList) error {
	if err := l.lk.Rewrite(list); err != nil {
		l.stale = true
		return errors.Join(err, l.relock())
	}
	l.stale, l.ahead, l.trust = false, 0, fileStamp(list.Stamp)
	return l.relock()
}

// Compact rewrites a list of which a good part is dead, judging by its size:
// Dovecot does so at a quarter.
func (l *maildirLocked) Compact(messages int, live func(uint32) bool) error {
	const worthIt, line = 100_000, 80
	if size := l.trust.Size; size < worthIt || size < int64(messages)*line || size < l.short*4/3 {
		return nil
	}
	list, err := l.readList()
	if err != nil {
		return err
	}
	list.Records = slices.DeleteFunc(list.Records, func(r maildir.UIDRecord) bool { return !live(r.UID) })
	err = l.rewrite(list)
	l.short = l.trust.Size
	return err
}

// Close removes what makes locking cheap.
func (f *maildirFormat) Close() error {
	f.folder().DropSpare(&f.spare)
	return nil
}

// Unchanged implements printed.
func (f *maildirFormat) Unchanged() (bool, error) { return f.Same(f.folder()) }

// Notes reads the UID list.
func (f *maildirFormat) Notes() (map[uint32]maildir.Note, error) { return f.folder().Notes() }

// SetUIDLs rewrites the UID list with ids in it.
func (l *maildirLocked) SetUIDLs(ids map[uint32]string) error {
	list, err := l.readList()
	if err != nil {
		return err
	}
	for i := range list.Records {
		if id, ok := ids[list.Records[i].UID]; ok {
			list.Records[i].SetUIDL(id)
		}
	}
	return l.rewrite(list)
}

func (l *maildirLocked) Letters(names []string) (maildir.Letters, []string, error) {
	return l.lk.AllotKeywords(names)
}

// RestoreKeywords implements keywordKeeper.
func (l *maildirLocked) RestoreKeywords(before *maildir.Keywords) error {
	return l.lk.RestoreKeywords(before)
}

// Rename syncs cur/ once for all: the index must not say that a name is
// changed which a crash would change back. That would look as if somebody had
// taken the flags away.
func (l *maildirLocked) Rename(refs []Ref, infos []maildir.Info) ([]Ref, error) {
	defer l.many(len(refs))()
	out := make([]Ref, 0, len(refs))
	var err error
	for i, r := range refs {
		var to Ref
		if to, err = l.rename(r, infos[i]); fail.Is(err, fail.NotFound) {
			to, err = Ref{Base: r.Base}, nil
		}
		if err == nil && i%100 == 99 {
			err = l.lk.Touch()
		}
		if err != nil {
			break
		}
		out = append(out, to)
	}
	if serr := l.folder().SyncDir("cur"); serr != nil {
		l.Forget()
		return nil, serr // what happened to the names shows at the next look
	}
	return out, err
}

func (l *maildirLocked) rename(r Ref, info maildir.Info) (Ref, error) {
	to := Ref{Base: r.Base, File: maildir.Join(r.Base, info)}
	if to == r {
		return r, nil
	}
	return to, l.change(maildir.Place(r.InNew), r.File, to.File, func() error {
		_, err := l.folder().SetInfo(maildir.Place(r.InNew), r.File, info)
		return err
	})
}

// change has do rename a file into cur/, bring it there, or remove it, which
// nobody is to take for the doing of others.
func (l *maildirLocked) change(from maildir.Place, old, name string, do func() error) error {
	if l.watched != nil {
		l.watched.Expect(from, old, maildir.InCur, name)
	}
	err := do()
	switch {
	case err == nil:
		l.Changed(from, old, maildir.InCur, name)
	case l.watched != nil:
		l.watched.Unexpect(from, old, maildir.InCur, name)
	}
	return err
}

func (l *maildirLocked) Remove(refs []Ref) (missed []Ref, err error) {
	defer l.many(len(refs))()
	dirs := map[string]bool{}
	for i, r := range refs {
		place := maildir.Place(r.InNew)
		err := l.change(place, r.File, "", func() error { return l.folder().RemoveMessage(place, r.File) })
		if fail.Is(err, fail.NotFound) {
			missed, err = append(missed, r), nil
		}
		if err == nil && i%100 == 99 {
			err = l.lk.Touch()
		}
		if err != nil {
			return nil, err
		}
		dirs[place.Dir()] = true
	}
	for d := range dirs {
		if err := l.folder().SyncDir(d); err != nil {
			return nil, err
		}
	}
	return missed, nil
}

// Publish writes the UIDs, then renames drafts into cur/ and syncs it once.
// Where nobody else gives out UIDs the names hold them too, so that the one
// sync makes both durable and the list's may come later.
func (l *maildirLocked) Publish(drafts []Newborn, infos []maildir.Info, floor uint32) ([]Entry, []uint32, error) {
	if err := l.freshen(false); err != nil {
		return nil, nil, err
	}
	list := l.list
	l.list = nil
	l.next = max(l.next, floor)
	files, uids, fresh := make([]*maildir.Delivery, len(drafts)), make([]uint32, len(drafts)), make([]maildir.UIDRecord, len(drafts))
	for i, x := range drafts {
		d, ok := x.(*maildir.Delivery)
		if !ok {
			return nil, nil, fail.New(fail.Invalid, "a message of another format")
		}
		if l.next >= 1<<32-1 {
			return nil, nil, errNoUIDs(l.folder())
		}
		if l.alone {
			d.Number(l.validity, l.next)
		}
		files[i], uids[i], fresh[i] = d, l.next, maildir.UIDRecord{UID: l.next, Base: d.Base()}
		l.next++
	}
	if err := l.writeList(list, fresh, !l.alone || l.ahead+len(fresh) > maxAhead); err != nil {
		return nil, nil, err
	}
	defer l.many(len(drafts))()
	out := make([]Entry, len(drafts))
	for i, d := range files {
		var done maildir.Delivered
		err := l.change(maildir.InCur, "", d.NameFor(infos[i]), func() (err error) {
			done, err = l.lk.Publish(d, infos[i], false)
			return err
		})
		if err != nil {
			l.Forget()
			return nil, nil, err // the caller aborts all drafts, the published ones too
		}
		out[i] = entryOf(done.File, false)
	}
	err := l.folder().SyncDir("cur")
	if err != nil {
		l.Forget()
	}
	return out, uids, err
}

// many says that n changes of ours are coming.
func (l *maildirLocked) many(n int) (done func()) {
	if l.watched == nil || n < 64 {
		return func() {}
	}
	return l.watched.Many()
}

func errNoUIDs(f *maildir.Folder) error {
	return fail.New(fail.Full, "folder %s has used up its UIDs", f.Name())
}

// duplicate deals with two files of one base name.
func (l *maildirLocked) duplicate(first, second Ref) (Entry, bool, error) {
	l.Forget()
	name, err := l.lk.FixDuplicate(maildir.Place(first.InNew), first.File, maildir.Place(second.InNew), second.File)
	if err != nil || name == "" {
		return Entry{}, false, err
	}
	return entryOf(name, false), true, nil
}
