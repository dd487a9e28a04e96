package mailbox

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// flushSlice is how many files are renamed before others get a turn.
const flushSlice = 500

// flushSoon has the background write flag changes to file names, b.mu held.
func (b *box) flushSoon() {
	s := b.acct.store
	if b.flushAt != nil || !s.running() {
		return
	}
	b.flushAt = time.AfterFunc(s.cfg.FlushIn, func() {
		s.spawn(func(ctx context.Context) {
			if !b.acct.freeze.TryRLock() {
				b.mu.Lock()
				b.flushAt = nil // the thaw starts it again
				b.mu.Unlock()
				return
			}
			defer b.acct.freeze.RUnlock()
			if err := b.flushBackground(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("writing flags to file names failed; it will be tried again", obs.Err(err))
			}
		})
	})
}

// flushBackground flushes slice by slice, letting others in between.
func (b *box) flushBackground(ctx context.Context) error {
	from, more := uint32(0), true
	for more {
		b.mu.Lock()
		if b.flushAt = nil; b.usable() != nil || b.ix == nil {
			b.mu.Unlock()
			return nil
		}
		var err error
		from, more, err = b.flushSlice(ctx, from)
		if err == nil && !more {
			if err = b.bury(ctx, false); err == nil {
				err = b.syncUIDs()
			}
		}
		if err != nil || len(b.graves) > 0 {
			b.flushSoon()
		}
		b.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return b.checkpoint()
}

// syncUIDs makes the UID list durable where it is written behind, b.mu held.
func (b *box) syncUIDs() error {
	if l, ok := b.format.(uidList); ok {
		return l.SyncUIDs()
	}
	return nil
}

// checkpoint writes a new base when the log has grown, without holding the
// lock meanwhile.
func (b *box) checkpoint() error {
	b.mu.Lock()
	var c *index.Checkpoint
	if b.usable() == nil && b.ix != nil && b.ix.NeedsCheckpoint() {
		c = b.ix.Start()
	}
	b.mu.Unlock()
	if c == nil {
		return nil
	}
	err := c.Write()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ix == nil {
		return nil // closed meanwhile; the old base and log are good
	}
	return firstErr(err, c.Finish())
}

// flushAll flushes everything now, b.mu held. With all also those files of
// expunged messages go that sessions still see: for close and stop.
func (b *box) flushAll(ctx context.Context, all bool) error {
	from, more := uint32(0), true
	for more {
		var err error
		if from, more, err = b.flushSlice(ctx, from); err != nil {
			return err
		}
	}
	if err := b.bury(ctx, all); err != nil {
		return err
	}
	if err := b.syncUIDs(); err != nil {
		return err
	}
	if err := b.learn(true); err != nil {
		return err
	}
	if err := b.trimCache(); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	if b.ix.NeedsCheckpoint() {
		if c := b.ix.Start(); c != nil {
			return firstErr(c.Write(), c.Finish())
		}
	}
	return b.ix.Sync()
}

// trimCache begins the cache anew when it is far larger than its messages can
// need: entries of expunged messages stay in it.
func (b *box) trimCache() error {
	b.cache.Rest()
	void, err := b.cache.Trim(b.ix.Image().Len())
	if err != nil || !void {
		return err
	}
	batch := b.ix.Begin()
	batch.Uncached()
	return b.commit(batch, false)
}

// settle notes what the folder looks like, so that the next opening need not
// read it; after doubt it looks first.
func (b *box) settle(ctx context.Context) error {
	if !b.doubt.IsZero() && b.watch == nil {
		if err := b.sync(ctx, true); err != nil {
			return err
		}
	}
	if b.watch != nil {
		look, err := b.format.Look(true)
		if err != nil {
			return err
		}
		for _, d := range []struct {
			now   index.DirStamp
			known *index.DirStamp
		}{{look.New, &b.known.New}, {look.Cur, &b.known.Cur}} {
			// One that proves what it says stays, or else each closing would be noted.
			if d.now.Mtime.Equal(d.known.Mtime) && !d.known.At.IsZero() && !maildir.DirStamp(*d.known).Trusted() {
				d.known.At = d.now.At
			}
		}
	}
	b.known.UIDList = *b.format.Trusted()
	if sameStamps(b.known, b.ix.Stamps()) {
		return nil
	}
	batch := b.ix.Begin()
	batch.Stamps(b.known)
	return b.commit(batch, false)
}

func sameStamps(a, b index.Stamps) bool {
	same := func(a, b index.DirStamp) bool { return a.Mtime.Equal(b.Mtime) && a.At.Equal(b.At) }
	return same(a.New, b.New) && same(a.Cur, b.Cur) && sameStamp(a.UIDList, b.UIDList) && sameStamp(a.Keywords, b.Keywords)
}

// flushNow flushes unless the account is frozen, when the thaw does.
func (b *box) flushNow(ctx context.Context) error {
	if !b.acct.freeze.TryRLock() {
		return nil
	}
	defer b.acct.freeze.RUnlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.usable() != nil || b.ix == nil {
		return nil
	}
	return b.flushAll(ctx, false)
}

// rest drops what an idle mailbox keeps in memory, and returns how many bytes
// that were. What is not on disk yet in the form that can be read back goes
// there first.
func (b *box) rest() (dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.usable() != nil || b.ix == nil {
		return 0
	}
	im := b.ix.Image()
	if b.evicted == im {
		return 0
	}
	if im.Unplaced() > 4<<10 {
		if c := b.ix.Start(); c != nil {
			if err := firstErr(c.Write(), c.Finish()); err != nil {
				b.acct.store.log.Warn("writing the index failed", obs.Err(err))
			}
		}
	}
	b.cache.Sleep()
	before := im.Resident()
	if err := b.ix.Rest(); err != nil {
		b.acct.store.log.Warn("writing the index failed", obs.Err(err))
	}
	b.evicted = im
	return before - im.Resident()
}

// flushSlice renames the files of some messages whose names do not say what is
// in force, beginning with UID from. more: there may be others from UID next on.
func (b *box) flushSlice(ctx context.Context, from uint32) (next uint32, more bool, err error) {
	im := b.ix.Image()
	if im.Dirty() == 0 {
		return 0, false, nil
	}
	var todo []index.Record
	for r := range im.In(index.Dirty, from) {
		if todo = append(todo, r); len(todo) == flushSlice {
			break
		}
	}
	if len(todo) == 0 {
		return 0, false, nil
	}
	b.watchOwn(len(todo))
	lk, err := b.format.Lock(ctx)
	if err != nil {
		return 0, false, err
	}
	batch := b.ix.Begin()
	lost := false
	err = b.own(func() error {
		lost, err = b.renameAll(lk, batch, im, todo)
		return err
	})
	err = firstErr(err, lk.Unlock())
	if cerr := b.commit(batch, false); err == nil {
		err = cerr
	}
	if err == nil && lost {
		err = b.sync(ctx, true)
	}
	return todo[len(todo)-1].UID + 1, len(todo) == flushSlice, err
}

// renameAll renames the files of todo. lost: some have another name than we
// thought. What was done is in batch also after an error.
func (b *box) renameAll(lk Locked, batch *index.Batch, im *index.Image, todo []index.Record) (lost bool, err error) {
	letters, err := b.lettersOf(lk, im, todo)
	if err != nil {
		return false, err
	}
	refs, infos := make([]Ref, len(todo)), make([]maildir.Info, len(todo))
	for i, r := range todo {
		// Odd letters and text that the name has now are kept.
		refs[i] = refOf(r)
		_, had := maildir.Split(refs[i].File)
		infos[i] = maildir.Info{Flags: Flags(r.Flags), Letters: letters[r.Keywords], Odd: had.Odd}
	}
	done, err := lk.Rename(refs, infos)
	for i, to := range done {
		if to.File == "" {
			lost = true
			continue
		}
		e := entryOf(to.File, false)
		batch.File(todo[i].UID, uint8(e.Flags), uint32(e.Letters), 0, e.Odd)
	}
	return lost, err
}

// lettersOf maps the keyword sets of some messages to letters, allotting new
// ones. Keywords that got none live in the index only.
func (b *box) lettersOf(lk Locked, im *index.Image, todo []index.Record) (map[uint32]maildir.Letters, error) {
	out := map[uint32]maildir.Letters{0: 0}
	var names []string
	for _, r := range todo {
		if _, ok := out[r.Keywords]; ok {
			continue
		}
		out[r.Keywords] = 0
		for _, n := range im.KeywordNames(r.Keywords) {
			if !containsFold(names, n) {
				names = append(names, n)
			}
		}
	}
	if len(names) == 0 {
		return out, nil
	}
	if _, _, err := lk.Letters(names); err != nil {
		return nil, err
	}
	if err := b.keepKeywords(lk); err != nil {
		return nil, err
	}
	for set := range out {
		for _, n := range im.KeywordNames(set) {
			l, _ := b.keywords.Letter(n)
			out[set] |= l
		}
	}
	return out, nil
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

// bury removes the files of expunged messages that no session sees any more,
// or, with all, of all. b.mu is held.
func (b *box) bury(ctx context.Context, all bool) error {
	if len(b.graves) == 0 {
		return nil
	}
	oldest, now := b.oldestGen(), b.acct.store.now()
	var ready []uint32
	for uid, g := range b.graves {
		if all || g.gen <= oldest || now.Sub(g.at) >= maxGrave {
			ready = append(ready, uid)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	slices.Sort(ready)
	b.watchOwn(len(ready))
	lk, err := b.format.Lock(ctx)
	if err != nil {
		return err
	}
	batch := b.ix.Begin()
	var refs []Ref
	for _, uid := range ready {
		if g := b.graves[uid]; g.ref.File != "" {
			refs = append(refs, g.ref)
		}
	}
	err = b.own(func() error { return b.removeAll(lk, refs) })
	if err == nil {
		for _, uid := range ready {
			batch.Buried(uid)
			b.unbury(uid)
		}
	}
	err = firstErr(err, b.compact(lk))
	err = firstErr(err, lk.Unlock())
	disk.Point(b.acct.store.fs, "mailbox.bury.before_commit")
	if err = firstErr(err, b.commit(batch, false)); err == nil && len(b.graves) == 0 {
		err = b.mark.Removed()
	}
	return err
}

// removeAll removes files, those too that have another name than we thought: a
// file that stays would be a new message at the next look.
func (b *box) removeAll(lk Locked, refs []Ref) error {
	for range passes {
		missed, err := lk.Remove(refs)
		if err != nil || len(missed) == 0 {
			return err
		}
		wanted := make(map[string]bool, len(missed))
		for _, r := range missed {
			wanted[r.Base] = true
		}
		found, err := b.hunt(lk, wanted)
		if err != nil || len(found) == 0 {
			return err
		}
		refs = refs[:0]
		for _, e := range found {
			refs = append(refs, e.Ref)
		}
	}
	return fail.New(fail.Temporary, "others keep changing folder %s", b.folderName())
}

// compact shortens a UID list that is mostly about messages that are gone.
func (b *box) compact(lk Locked) error {
	im := b.ix.Image()
	return lk.Compact(im.Len(), func(uid uint32) bool {
		_, ok := im.Find(uid)
		return ok
	})
}
