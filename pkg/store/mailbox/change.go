package mailbox

import (
	"context"
	"maps"
	"slices"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// Op is what Store does with the flags.
type Op uint8

// The operations of STORE.
const (
	Add Op = iota
	Remove
	Replace
)

// Change is one STORE.
type Change struct {
	Op             Op
	Flags          Flags
	Keywords       []string
	UnchangedSince uint64 // refuse messages with a higher MODSEQ; NoCondition for no condition
	// Told is what the caller knows of the flags; may be nil. A message that
	// has a higher MODSEQ only because of other flags than those to add or to
	// remove is not refused then (RFC 7162 section 3.1.12).
	Told *Snapshot
}

// NoCondition is the UnchangedSince of an unconditional Change.
const NoCondition = ^uint64(0)

// StoreResult tells what Store did.
type StoreResult struct {
	ModSeq   uint64 // of all messages that changed; 0 when none did
	Changed  Set    // messages whose flags are different now
	Modified Set    // messages that failed UnchangedSince
	Missing  Set    // asked-for messages of the handle's snapshot that are gone
}

// Store changes flags. Durable when it returns: in the log, or in shared mode
// in the file names. Invalid: a keyword that cannot be stored (its name, or
// too many in this mailbox).
func (m *Mailbox) Store(ctx context.Context, set Set, c Change) (StoreResult, error) {
	for _, k := range c.Keywords {
		if !maildir.ValidKeyword(k) {
			return StoreResult{}, fail.New(fail.Invalid, "%q cannot be a keyword", k)
		}
	}
	var out StoreResult
	err := m.box.write(ctx, func() error {
		var err error
		if m.box.shared() {
			out, err = m.box.storeShared(ctx, set, c)
		} else {
			out, err = m.box.store(set, c)
		}
		if err == nil && m.seen.Load() != nil {
			out.Missing = missing(m.seen.Load().im, m.box.ix.Image(), set)
		}
		return err
	})
	return out, err
}

// missing returns the messages of set that an old image has and a new one has
// not.
func missing(old, now *index.Image, set Set) Set {
	if old == now {
		return nil
	}
	var out Set
	for _, g := range index.Diff(old, now).Expunged {
		if set.Contains(g.UID) {
			out = out.add(g.UID)
		}
	}
	return out
}

// groups collects messages that need the same change. What is logged for a
// message is what changes for it: additions and removals, never the result.
type groups map[group]Set

type group struct {
	add, remove uint8
	set         uint32 // keyword set before
}

// plan finds out what c means for each message of set.
func (b *box) plan(set Set, c Change) (groups, StoreResult) {
	im := b.ix.Image()
	var out StoreResult
	todo := groups{}
	keywords := keywordPlan{im: im, c: c, known: map[uint32]bool{}}
	set.Normalize().each(im, func(_ int, r index.Record) bool {
		if r.ModSeq > c.UnchangedSince && !c.untouched(im, r) {
			out.Modified = out.Modified.add(r.UID)
			return true
		}
		g := group{set: r.Keywords}
		want := uint8(c.Flags & maildir.AllFlags)
		switch c.Op {
		case Add:
			g.add = want &^ r.Flags
		case Remove:
			g.remove = want & r.Flags
		case Replace:
			g.add, g.remove = want&^r.Flags, r.Flags&uint8(maildir.AllFlags)&^want
		}
		if g.add|g.remove != 0 || keywords.changes(r.Keywords) {
			todo[g] = todo[g].add(r.UID)
			out.Changed = out.Changed.add(r.UID)
		}
		return true
	})
	return todo, out
}

// untouched reports whether those flags of a message that c is about are as
// they were at UnchangedSince, though others are not. Told shows what they were
// if it has the message with a MODSEQ that is not above. A keyword that the
// message does not have passes the test of 0 (RFC 7162 section 3.1.3), with
// which a client tests that it is not there.
func (c *Change) untouched(im *index.Image, r index.Record) bool {
	if c.Op == Replace {
		return false
	}
	now := im.KeywordNames(r.Keywords)
	if c.UnchangedSince == 0 {
		return c.Op == Add && c.Flags == 0 && !slices.ContainsFunc(c.Keywords, func(k string) bool { return containsFold(now, k) })
	}
	if c.Told == nil {
		return false
	}
	i, ok := c.Told.Find(r.UID)
	if !ok {
		return false
	}
	old := c.Told.im.Brief(i)
	if old.ModSeq > c.UnchangedSince || (old.Flags^r.Flags)&uint8(c.Flags) != 0 {
		return false
	}
	before := c.Told.im.KeywordNames(old.Keywords)
	return !slices.ContainsFunc(c.Keywords, func(k string) bool { return containsFold(before, k) != containsFold(now, k) })
}

// keywordPlan answers for each keyword set whether c changes it.
type keywordPlan struct {
	im    *index.Image
	c     Change
	known map[uint32]bool
}

func (k *keywordPlan) changes(set uint32) bool {
	if is, ok := k.known[set]; ok {
		return is
	}
	add, remove := k.delta(set)
	k.known[set] = len(add)+len(remove) > 0
	return k.known[set]
}

// delta is what c adds to a keyword set and takes from it.
func (k *keywordPlan) delta(set uint32) (add, remove []string) {
	have := k.im.KeywordNames(set)
	for _, n := range k.c.Keywords {
		switch in := containsFold(have, n); {
		case k.c.Op != Remove && !in && !containsFold(add, n):
			add = append(add, n)
		case k.c.Op == Remove && in:
			remove = append(remove, n)
		}
	}
	if k.c.Op == Replace {
		for _, n := range have {
			if !containsFold(k.c.Keywords, n) {
				remove = append(remove, n)
			}
		}
	}
	return add, remove
}

// write puts the changes into a batch. Invalid: too many keywords.
func (g groups) write(b *box, batch *index.Batch, c Change) error {
	keywords := keywordPlan{im: b.ix.Image(), c: c}
	for _, k := range slices.SortedFunc(maps.Keys(g), group.compare) {
		add, remove := keywords.delta(k.set)
		more, less := ids(batch, add), ids(batch, remove)
		if len(more) < len(add) {
			return fail.New(fail.Invalid, "folder %s has its %d keywords, no more fit", b.folderName(), index.MaxKeywords)
		}
		batch.Flags(g[k], k.add, k.remove, more, less, batch.ModSeq())
	}
	return nil
}

func (g group) compare(h group) int {
	for _, n := range []int{int(g.add) - int(h.add), int(g.remove) - int(h.remove), int(g.set) - int(h.set)} {
		if n != 0 {
			return n
		}
	}
	return 0
}

// store changes flags in exclusive mode: durable in the log, in the file names
// soon. Crash point: mailbox.store.after_commit.
func (b *box) store(set Set, c Change) (StoreResult, error) {
	todo, out := b.plan(set, c)
	if len(todo) == 0 {
		return out, nil
	}
	batch := b.ix.Begin()
	if err := todo.write(b, batch, c); err != nil {
		return StoreResult{}, err
	}
	out.ModSeq = batch.ModSeq()
	if err := b.commit(batch, true); err != nil {
		return StoreResult{}, err
	}
	disk.Point(b.acct.store.fs, "mailbox.store.after_commit")
	b.flushSoon()
	return out, nil
}

// storeShared changes flags where others write too: under the folder's lock,
// after taking in what they did, and in the file names before it returns.
func (b *box) storeShared(ctx context.Context, set Set, c Change) (StoreResult, error) {
	if err := b.sync(ctx, false); err != nil {
		return StoreResult{}, err
	}
	if c.Op != Remove && len(c.Keywords) > 0 {
		if err := b.needLetters(ctx, c.Keywords); err != nil {
			return StoreResult{}, err
		}
	}
	todo, out := b.plan(set, c)
	if len(todo) == 0 {
		return out, nil
	}
	batch := b.ix.Begin()
	if err := todo.write(b, batch, c); err != nil {
		return StoreResult{}, err
	}
	out.ModSeq = batch.ModSeq()
	if err := b.commit(batch, false); err != nil {
		return StoreResult{}, err
	}
	return out, b.flushShared(ctx)
}

// flushShared renames all that is to be renamed, again when others did so at
// the same moment.
func (b *box) flushShared(ctx context.Context) error {
	for range 5 {
		from, more := uint32(0), true
		for more {
			var err error
			if from, more, err = b.flushSlice(ctx, from); err != nil {
				return err
			}
		}
		if b.ix.Image().Dirty() == 0 {
			return nil
		}
	}
	return fail.New(fail.Temporary, "others keep changing folder %s", b.folderName())
}

// needLetters refuses keywords that no file name has room for: others would
// not see them.
func (b *box) needLetters(ctx context.Context, names []string) error {
	lk, err := b.format.Lock(ctx)
	if err != nil {
		return err
	}
	_, left, err := lk.Letters(names)
	if err == nil && len(left) > 0 {
		err = fail.New(fail.Invalid, "folder %s has its 26 keywords, %q does not fit", b.folderName(), left[0])
	}
	return firstErr(err, lk.Unlock())
}

// Expunge removes the messages of set that have \Deleted; a nil set means all.
// It returns the UIDs that are gone.
func (m *Mailbox) Expunge(ctx context.Context, set Set) (Set, error) {
	return m.expunge(ctx, set, false)
}

// Remove removes the messages of set whatever their flags.
func (m *Mailbox) Remove(ctx context.Context, set Set) (Set, error) {
	if set == nil {
		return nil, nil
	}
	return m.expunge(ctx, set, true)
}

func (m *Mailbox) expunge(ctx context.Context, set Set, all bool) (Set, error) {
	var gone Set
	err := m.box.write(ctx, func() error {
		var err error
		gone, err = m.box.expunge(ctx, set, all)
		return err
	})
	return gone, err
}

// expunge takes messages out of the index, durably, and leaves the removal of
// their files to the flush: other sessions may still read them. In shared mode
// the files go at once.
//
// Crash point: mailbox.expunge.after_commit: the files are still there and are
// removed at the next opening.
func (b *box) expunge(ctx context.Context, set Set, all bool) (Set, error) {
	if b.shared() {
		if err := b.sync(ctx, false); err != nil {
			return nil, err
		}
	}
	im := b.ix.Image()
	var gone Set
	set.each(im, func(_ int, r index.Record) bool {
		if all || Flags(r.Flags)&Deleted != 0 {
			gone = gone.add(r.UID)
		}
		return true
	})
	if len(gone) == 0 {
		return nil, nil
	}
	batch := b.ix.Begin()
	graves := map[uint32]grave{}
	var less loss
	gen, now := b.now.Load().gen+1, b.acct.store.now()
	for _, g := range gone {
		i, _ := im.Find(g.First)
		for ; i < im.Len() && im.UID(i) <= g.Last; i++ {
			r := im.At(i)
			if r.Name == "" {
				return nil, b.damaged()
			}
			batch.Bury(r.UID, r.Name)
			less.add(&r)
			graves[r.UID] = grave{ref: refOf(r), gen: gen, at: now, size: max(r.Size, 0)}
		}
	}
	batch.Expunge(gone, batch.ModSeq())
	// No file will hold these UIDs any more: the list must.
	err := b.syncUIDs()
	if err == nil {
		err = b.commit(batch, true)
	}
	if err != nil {
		return nil, err
	}
	maps.Copy(b.graves, graves)
	disk.Point(b.acct.store.fs, "mailbox.expunge.after_commit")
	b.lost(less, graves)
	if b.shared() {
		return gone, b.bury(ctx, true)
	}
	if err := b.mark.Expunged(gone, func() []Range { return SetOf(slices.Collect(maps.Keys(b.graves))...) }); err != nil {
		b.acct.store.log.Warn("expunges are not noted in the folder", obs.Err(err))
	}
	b.flushSoon()
	return gone, nil
}
