package mailbox

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/mailbox/feed"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// maxDoubt is how long a foreign change may hide behind one of our own where
// nobody watches the folder.
const maxDoubt = 30 * time.Second

// sync looks for changes by others, b.mu held. It costs four stats when there
// are none.
func (b *box) sync(ctx context.Context, force bool) error {
	look, onlyNew, all, err := b.whatChanged(force)
	if err != nil || !onlyNew && !all {
		b.blind = b.blind && err != nil
		return err
	}
	lk, err := b.format.Lock(ctx)
	if err != nil {
		return err
	}
	idle := false
	if all && !force {
		idle, err = b.unchanged(look)
	}
	if err == nil && !idle {
		err = b.syncTold(lk, all)
	}
	return firstErr(err, lk.Unlock())
}

// syncTold is syncLocked, by name where that will do.
func (b *box) syncTold(lk Locked, all bool) error {
	done, err := false, error(nil)
	if all {
		done, err = b.syncNamed(lk)
	}
	if err == nil && !done {
		err = b.syncLocked(lk, all)
	}
	if err == nil {
		b.dirt, b.blind = maildir.Dirt{Unsure: b.dirt.Unsure && !all}, false
	}
	return err
}

// unchanged reads the folder, whose lock is held, when it is only doubt that has
// us look, and notes when there is nothing to be found.
func (b *box) unchanged(look index.Stamps) (bool, error) {
	p, ok := b.format.(printed)
	calm := look.New.Mtime.Equal(b.known.New.Mtime) && look.Cur.Mtime.Equal(b.known.Cur.Mtime)
	if !ok || len(b.dirt.Files) > 0 || !calm && !b.shared() || !sameStamp(look.Keywords, b.known.Keywords) || !sameStamp(look.UIDList, *b.format.Trusted()) {
		return false, nil
	}
	same, err := p.Unchanged()
	if same {
		b.known.New, b.known.Cur, b.doubt = look.New, look.Cur, time.Time{}
		b.dirt, b.blind = maildir.Dirt{}, false
	}
	return same, err
}

// keep notes that the index has what a listing showed.
func (b *box) keep(p maildir.Print, all bool) {
	if f, ok := b.format.(printed); ok {
		f.Keep(p, all)
	}
}

// lockSynced locks the folder and looks for changes by others: whoever has
// given out UIDs before may not be passed by. It returns what the folder looks
// like then.
func (b *box) lockSynced(ctx context.Context) (Locked, index.Stamps, error) {
	lk, err := b.format.Lock(ctx)
	if err != nil {
		_, _, _, gone := b.whatChanged(false) // it may be the folder that is not there
		return nil, index.Stamps{}, firstErr(gone, err)
	}
	look, onlyNew, all, err := b.whatChanged(false)
	idle := false
	if err == nil && all {
		idle, err = b.unchanged(look)
	}
	if err == nil && (onlyNew || all) && !idle {
		if err = b.syncTold(lk, all); err == nil {
			look, err = b.format.Look(true)
		}
	}
	if err != nil {
		return nil, look, firstErr(err, lk.Unlock())
	}
	return lk, look, nil
}

// whatChanged decides where to look.
func (b *box) whatChanged(force bool) (look index.Stamps, onlyNew, all bool, err error) {
	if look, err = b.format.Look(false); err != nil {
		if fail.Is(err, fail.NotFound) {
			b.die(err)
		}
		return look, false, false, err
	}
	if err := b.checkIdent(look); err != nil {
		return look, false, false, err
	}
	inNew, inCur := b.whereChanged(look)
	if force || !b.doubt.IsZero() && b.acct.store.now().Sub(b.doubt) > maxDoubt {
		b.dirt.Add(maildir.Dirt{Cur: true, Unsure: true})
		inCur = true
	}
	return look, inNew, inCur, nil
}

// whereChanged says which directories are to be listed. A UID list that
// somebody else wrote is a reason, too: an mtime may be too coarse to show what
// it tells of, and the event may not have arrived.
func (b *box) whereChanged(look index.Stamps) (inNew, inCur bool) {
	if w, ok := b.watch.(settler); ok && !b.same(look.Cur, b.known.Cur) {
		_ = w.Settle() // then there are names for it; without it takes a look at all
	}
	if b.watch != nil {
		b.dirt.Add(b.watch.Dirty())
	}
	inNew, inCur = b.dirt.New, b.dirt.Cur
	inNew = inNew || !b.same(look.New, b.known.New) || !sameStamp(look.UIDList, *b.format.Trusted())
	inCur = inCur || !sameStamp(look.Keywords, b.known.Keywords) // letters may have got names
	return inNew, inCur || !b.same(look.Cur, b.known.Cur)
}

// same compares two looks at a directory. While it is watched, an unchanged
// mtime is enough; else it must have been old enough to prove something.
func (b *box) same(now, before index.DirStamp) bool {
	if b.watch != nil {
		return !before.At.IsZero() && now.Mtime.Equal(before.Mtime)
	}
	return maildir.DirStamp(now).Unchanged(maildir.DirStamp(before))
}

// checkIdent notices that the folder behind the name is another one now.
func (b *box) checkIdent(look index.Stamps) error {
	if sameStamp(look.UIDList, b.identAt) {
		return nil
	}
	id, err := b.format.Ident(context.Background())
	if err != nil {
		return err
	}
	if id.UIDValidity != b.ix.Image().UIDValidity {
		err := fail.New(fail.Unavailable, "folder %s has got a new UIDVALIDITY", b.folderName())
		b.die(err)
		b.acct.feed.Emit(feed.Event{What: feed.Contents, Folder: b.folderName()})
		return err
	}
	b.identAt = look.UIDList
	return nil
}

// merge compares a listing with the index.
type merge struct {
	b       *box
	lk      Locked
	im      *index.Image
	all     bool
	listing Listing
	at      map[string]int // entries by base name
	seen    []bool         // entries that the index has
	missing []index.Record

	partly bool           // listing has only what the index did not expect
	named  bool           // or only what the kernel told of
	amiss  []index.Record // whose files were not where they were expected then

	flags map[flagChange]Set
	files []fileChange
	gone  Set
}

type flagChange struct {
	add, remove   uint8
	letters, less maildir.Letters // keywords that came and went
}

type fileChange struct {
	uid   uint32
	entry Entry
	dirty bool
}

// syncLocked brings the index up to date with the folder, whose lock is held.
func (b *box) syncLocked(lk Locked, all bool) error {
	// Names are written under the lock, before files have their letters.
	if err := b.keepKeywords(lk); err != nil {
		return err
	}
	m := &merge{b: b, lk: lk, im: b.ix.Image(), all: all, flags: map[flagChange]Set{}}
	if err := m.list(); err != nil {
		return err
	}
	if err := m.compare(); err != nil {
		return err
	}
	if len(m.missing) > 0 && !m.all {
		// What left new/ is in cur/, most likely.
		return b.syncLocked(lk, true)
	}
	if err := m.confirm(); err != nil {
		return err
	}
	fresh, err := m.fresh()
	if err != nil {
		return err
	}
	uids, unseen, err := lk.Assign(fresh, m.im.UIDNext, false)
	switch {
	case err != nil:
		return err
	case len(unseen) > 0 && !all:
		return b.syncLocked(lk, true) // somebody else has moved them to cur/
	case len(unseen) > 0:
		if fresh, uids, err = b.lookAgain(lk, fresh, unseen, m.im.UIDNext); err != nil {
			return err
		}
	}
	return m.commit(fresh, uids)
}

// syncNamed is syncLocked for changes that the kernel has told of by name: it
// looks at those files. false: it takes a look at all, as where something is
// gone, or a message has two files.
func (b *box) syncNamed(lk Locked) (bool, error) {
	n, ok := lk.(namer)
	w, watched := b.watch.(settler)
	if !ok || !watched || b.blind || b.dirt.Unsure || b.relabel {
		return false, nil
	}
	if err := b.loadKeywords(); err != nil || b.relabel {
		return false, err
	}
	look, err := b.format.Look(true)
	if err == nil {
		err = w.Settle() // all that shows in look is told of now
	}
	b.dirt.Add(b.watch.Dirty())
	if err != nil || b.dirt.Unsure || len(b.dirt.Files) == 0 {
		return false, unlessUnsupported(err)
	}
	m := &merge{b: b, lk: lk, im: b.ix.Image(), all: true, partly: true, named: true, flags: map[flagChange]Set{}}
	m.listing.New, m.listing.Cur = look.New, look.Cur
	if m.listing.Entries, err = n.present(b.dirt.Files); err != nil || !m.told(b.dirt.Files) {
		return false, unlessUnsupported(err)
	}
	if err := m.compare(); err != nil {
		return false, err
	}
	fresh, err := m.fresh()
	if err != nil {
		return false, err
	}
	uids, unseen, err := lk.Assign(fresh, m.im.UIDNext, false)
	if err != nil || len(unseen) > 0 {
		return false, err
	}
	return true, m.commit(fresh, uids)
}

// told finds the messages of which the kernel has told; false when names alone
// do not say what became of one.
func (m *merge) told(files []maildir.Named) bool {
	m.at, m.seen = map[string]int{}, make([]bool, len(m.listing.Entries))
	for i, e := range m.listing.Entries {
		if _, twice := m.at[e.Base]; twice {
			return false
		}
		m.at[e.Base] = i
	}
	bases := make([]string, len(files))
	for i, f := range files {
		bases[i], _ = maildir.Split(f.File)
	}
	m.amiss = m.im.Lookup(bases)
	for _, r := range m.amiss {
		_, there := m.at[r.Name]
		ref := refOf(r)
		if !there || !slices.Contains(files, maildir.Named{In: maildir.Place(ref.InNew), File: ref.File}) {
			return false
		}
	}
	return true
}

// follow has the print of the folder follow what was found by name.
func (m *merge) follow(fresh []Entry) {
	p, ok := m.b.format.(printed)
	if !ok {
		return
	}
	if len(fresh)+len(m.amiss) < len(m.listing.Entries) {
		p.Forget() // files of what is expunged
		return
	}
	for _, e := range fresh {
		p.Changed(maildir.Place(e.InNew), "", maildir.Place(e.InNew), e.File)
	}
	for _, r := range m.amiss {
		old, now := refOf(r), m.listing.Entries[m.at[r.Name]]
		p.Changed(maildir.Place(old.InNew), old.File, maildir.Place(now.InNew), now.File)
	}
}

// present implements namer.
func (l *maildirLocked) present(files []maildir.Named) (out []Entry, err error) {
	seen := map[maildir.Named]bool{}
	for _, f := range files {
		if seen[f] {
			continue
		}
		seen[f] = true
		there, err := l.folder().Present(f)
		if err != nil {
			return nil, err
		}
		if there {
			out = append(out, entryOf(f.File, f.In == maildir.InNew))
		}
	}
	return out, nil
}

func (m *merge) list() error {
	var err error
	if m.partly, err = m.listOthers(); m.partly || err != nil {
		return err
	}
	if m.listing, err = m.lk.List(!m.all); err != nil {
		return err
	}
	if m.listing.Entries, m.at, err = m.b.unique(m.lk, m.listing.Entries); err != nil {
		return err
	}
	m.seen = make([]bool, len(m.listing.Entries))
	return nil
}

// listOthers lists only what the index does not expect, which is a look at all
// for the price of one at nearly nothing. false: a complete list is needed.
func (m *merge) listOthers() (bool, error) {
	c, ok := m.lk.(comparer)
	if !ok || !m.all || m.b.relabel || m.im.Len() == 0 {
		return false, nil
	}
	listing, missing, err := c.compare(m.im)
	if err != nil {
		return false, unlessUnsupported(err)
	}
	m.listing = listing
	if m.listing.Entries, m.at, err = m.b.unique(m.lk, listing.Entries); err != nil {
		return false, err
	}
	m.amiss = make([]index.Record, len(missing))
	alone := maps.Clone(m.at)
	for i, at := range missing {
		m.amiss[i] = m.im.At(at)
		delete(alone, m.amiss[i].Name)
	}
	// A second file of a message whose first is still there?
	if len(m.im.Lookup(slices.Collect(maps.Keys(alone)))) > 0 {
		return false, nil
	}
	m.seen = make([]bool, len(m.listing.Entries))
	return true, nil
}

func unlessUnsupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// compare implements comparer.
func (l *maildirLocked) compare(im *index.Image) (out Listing, missing []int, err error) {
	census := l.Census(im.Len())
	var unread []int
	var file []byte
	for i, x := range im.Names() {
		if len(x.Base) == 0 {
			unread = append(unread, i)
			continue
		}
		inNew := x.State&index.InNew != 0
		file = append(append(file[:0], x.Base...), x.Info...)
		if len(x.Info) == 0 && !inNew {
			file = maildir.AppendInfo(file, maildir.Info{Flags: Flags(x.FileFlags), Letters: maildir.Letters(x.FileLetters)})
		}
		census.Expect(maildir.Place(inNew), file, i)
	}
	out.Print = l.Print()
	read := func(in maildir.Place) index.DirStamp {
		var stamp maildir.DirStamp
		if err == nil {
			stamp, err = census.Others(l.folder(), in, &out.Print, func(file string) {
				out.Entries = append(out.Entries, entryOf(file, in == maildir.InNew))
			})
		}
		if err == nil {
			err = l.lk.Touch()
		}
		return index.DirStamp(stamp)
	}
	out.New, out.Cur = read(maildir.InNew), read(maildir.InCur)
	return out, append(unread, census.Missing()...), err
}

// compare finds what changed among the messages that the index has: all of
// them, or those that were in new/.
func (m *merge) compare() error {
	var err error
	one := func(r index.Record) {
		if r.UID == 0 || r.Name == "" {
			err = m.b.damaged()
			return
		}
		i, ok := m.at[r.Name]
		if !ok {
			m.missing = append(m.missing, r)
			return
		}
		m.seen[i] = true
		m.entry(r, m.listing.Entries[i])
	}
	switch {
	case m.partly:
		for _, r := range m.amiss {
			one(r)
		}
		return err
	case m.all:
		for _, r := range m.im.Named() {
			one(r)
		}
		return err
	}
	for r := range m.im.In(index.InNew, 0) {
		one(r)
	}
	return err
}

// entry merges three ways: what the file's name said when we last knew it,
// what it says now, and what is in force here. What somebody else changed in
// the name is taken over; what was changed here only stays.
func (m *merge) entry(r index.Record, e Entry) {
	inNew := r.State&index.InNew != 0
	// Letters of which we did not know the names before.
	relabel := m.all && e.Letters != 0 && r.State&index.Dirty == 0 && !m.b.hasAll(m.im.KeywordNames(r.Keywords), e.Letters)
	if uint8(e.Flags) == r.FileFlags && uint32(e.Letters) == r.FileLetters && e.InNew == inNew && e.Odd == r.Info && !relabel {
		return
	}
	changed := uint8(e.Flags) ^ r.FileFlags
	now := r.Flags&^changed | uint8(e.Flags)&changed
	c := flagChange{add: now &^ r.Flags, remove: r.Flags &^ now}
	before := maildir.Letters(r.FileLetters)
	c.letters, c.less = e.Letters&^before, before&^e.Letters
	if relabel {
		c.letters |= e.Letters
	}
	if c != (flagChange{}) {
		m.flags[c] = m.flags[c].add(r.UID)
	}
	m.files = append(m.files, fileChange{r.UID, e, r.State&index.Dirty != 0})
}

// hasAll reports whether names hold the keywords of all letters.
func (b *box) hasAll(names []string, l maildir.Letters) bool {
	for _, want := range b.namesOf(l) {
		if !slices.Contains(names, want) && !containsFold(names, want) {
			return false
		}
	}
	return true
}

// fresh returns the entries that are new. Those that are expunged already and
// were only not removed yet, are removed now.
func (m *merge) fresh() ([]Entry, error) {
	buried := map[string]uint32{}
	for uid, g := range m.b.graves {
		buried[g.ref.Base] = uid
	}
	var out []Entry
	for i, e := range m.listing.Entries {
		if m.seen[i] {
			continue
		}
		uid, dead := buried[e.Base]
		if dead {
			g := m.b.graves[uid]
			g.ref = e.Ref
			m.b.graves[uid] = g
			continue
		}
		out = append(out, e)
	}
	if m.all && !m.named {
		// A grave without a file has nothing left to remove.
		for base, uid := range buried {
			if _, ok := m.at[base]; !ok {
				g := m.b.graves[uid]
				g.ref.File = ""
				m.b.graves[uid] = g
			}
		}
	}
	maildir.SortByArrival(out, baseOf)
	return out, nil
}

// commit writes what was found. Everything can be found again, so that it need
// not be durable; UIDs are, by Assign. But a change that a crash undoes would
// not be found, and who has been told of its MODSEQ would not be told again:
// where MODSEQs are told, changes of flags and removals are on disk first.
func (m *merge) commit(fresh []Entry, uids []uint32) error {
	b := m.b
	batch := b.ix.Begin()
	for _, c := range slices.SortedFunc(maps.Keys(m.flags), flagChange.compare) {
		batch.Flags(m.flags[c].Normalize(), c.add, c.remove, b.keywordIDs(batch, c.letters), b.keywordIDs(batch, c.less), batch.ModSeq())
	}
	for _, f := range m.files {
		state := index.State(0)
		if f.entry.InNew {
			state |= index.InNew
		}
		if f.dirty {
			state |= index.Dirty
		}
		batch.File(f.uid, uint8(f.entry.Flags), uint32(f.entry.Letters), state, f.entry.Odd)
	}
	if len(m.gone) > 0 {
		batch.Expunge(m.gone, batch.ModSeq())
	}
	order := make([]int, len(fresh))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return int(int64(uids[i]) - int64(uids[j])) })
	for _, i := range order {
		x := b.recordOf(fresh[i], uids[i], batch.ModSeq())
		batch.Append(&x, b.keywordIDs(batch, fresh[i].Letters))
	}
	batch.Saved(SetOf(uids...), b.acct.store.now().Unix())
	m.stamps(batch)
	by := b.by
	b.by = nil // what others did is not the writer's doing
	err := b.commit(batch, len(m.flags)+len(m.gone) > 0 && !b.shared())
	if b.by = by; err != nil {
		return err
	}
	if m.named {
		m.follow(fresh)
	} else {
		b.keep(m.listing.Print, m.all)
	}
	if b.ix.Image().Dirty() > 0 || len(b.graves) > 0 {
		b.flushSoon()
	}
	b.fill(uids)
	return nil
}

// stamps notes what the folder looked like before it was listed.
func (m *merge) stamps(batch *index.Batch) {
	b := m.b
	b.known.New = m.listing.New
	if m.all {
		b.known.Cur = m.listing.Cur
	}
	if m.all && !m.named {
		b.doubt = time.Time{}
		b.relabel = b.relabel && m.partly
	}
	b.known.UIDList = *b.format.Trusted()
	batch.Stamps(b.known)
}

func (c flagChange) compare(d flagChange) int {
	for _, n := range []int{int(c.add) - int(d.add), int(c.remove) - int(d.remove), int(c.letters) - int(d.letters), int(c.less) - int(d.less)} {
		if n != 0 {
			return n
		}
	}
	return 0
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// syncSoon syncs in the background, once for any number of calls.
func (b *box) syncSoon() { b.syncUnless(&b.syncing, func() bool { return false }) }

// hinted syncs because of a delivery, unless the message is known when its turn
// comes: the kernel has told of it then, and a second look would only be in the
// way of those who tell their clients.
func (b *box) hinted(file string) {
	b.hintsMu.Lock()
	if len(b.hints) <= lastCome {
		b.hints = append(b.hints, file)
	}
	b.hintsMu.Unlock()
	b.syncUnless(&b.hinting, func() bool {
		b.hintsMu.Lock()
		files := b.hints
		b.hints = nil
		b.hintsMu.Unlock()
		return b.haveCome(files)
	})
}

// lastCome is among how many messages a hinted one is looked for, and how many
// hints are kept: with more there is a look in any case.
const lastCome = 32

// haveCome reports whether messages with all of these base names are among
// those that came last. A name is compared and nothing else.
func (b *box) haveCome(files []string) bool {
	if len(files) > lastCome {
		return false
	}
	im := b.now.Load().im
	for i := im.Len() - 1; i >= max(0, im.Len()-lastCome) && len(files) > 0; i-- {
		name := im.At(i).Name
		files = slices.DeleteFunc(files, func(f string) bool { return f == name })
	}
	return len(files) == 0
}

// syncUnless syncs in the background, unless known says that there is no need
// to. pending is set from the call until then: further calls join it.
func (b *box) syncUnless(pending *atomic.Bool, known func() bool) {
	if !pending.CompareAndSwap(false, true) {
		return
	}
	s := b.acct.store
	ok := s.spawn(func(ctx context.Context) {
		pending.Store(false)
		if !b.acct.freeze.TryRLock() {
			return // the thaw looks again
		}
		defer b.acct.freeze.RUnlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.usable() != nil || known() {
			return
		}
		if err := b.sync(ctx, false); err != nil && ctx.Err() == nil {
			s.log.Warn("looking at a folder failed", obs.Err(err))
		}
	})
	if !ok {
		pending.Store(false)
	}
}
