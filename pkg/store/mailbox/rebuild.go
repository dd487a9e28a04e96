package mailbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/index/dovecot"
	"github.com/postcote/postcote/pkg/store/mailbox/feed"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// rebuild makes the index from the folder: at the first opening, at take-over
// from Dovecot, and after damage. UIDs come from the UID list, flags from the
// file names; what was acknowledged and not flushed comes from the remains.
func (b *box) rebuild(ctx context.Context, dir string, id Ident, folder *maildir.Folder) error {
	if err := b.loadKeywords(); err != nil {
		return err
	}
	lk, err := b.format.Lock(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lk.Unlock() }()
	listing, err := lk.List(false)
	if err != nil {
		return err
	}
	entries := listing.Entries
	maildir.SortByArrival(entries, baseOf) // in order, the work that follows is quicker
	if twice(entries) {
		if entries, _, err = b.unique(lk, entries); err != nil {
			return err
		}
	}
	entries, uids, write, err := b.assignAll(lk, entries)
	if err != nil {
		return err
	}
	order := make([]int, len(entries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return int(int64(uids[i]) - int64(uids[j])) })
	sorted := slices.Clone(uids)
	slices.Sort(sorted)

	left := index.Salvage(b.acct.store.fs, dir, sorted)
	// Where all of the index is lost nobody can tell that it was no crash.
	if id.UIDNext, err = b.listedNext(id, left.UIDNext, left.ModSeq > 0 || b.mark.Known()); err != nil {
		return err
	}
	for i, e := range entries {
		if b.mark.Gone(uids[i]) {
			left.Buried[uids[i]] = e.Base
		}
	}
	r := rebuilding{b: b, id: id, left: left, entries: entries, uids: uids, order: order}
	meta := index.Meta{UIDValidity: id.UIDValidity, UIDNext: max(id.UIDNext, left.UIDNext), HighestModSeq: b.firstModSeq(id, folder, left)}
	meta.FirstRecent = r.firstRecent()
	b.cover(meta.HighestModSeq)
	if b.ix, err = r.create(dir, meta, write); err != nil {
		return err
	}
	b.newCache(b.ix)
	if err := b.cache.Reset(); err != nil {
		b.acct.store.log.Warn("beginning a cache anew failed", obs.Err(err))
	}
	for _, i := range r.buried {
		b.graves[uids[i]] = grave{ref: entries[i].Ref, at: b.acct.store.now().Add(-maxGrave)}
	}
	b.known.New, b.known.Cur, b.relabel = listing.New, listing.Cur, false
	b.known.UIDList = *b.format.Trusted()
	batch := b.ix.Begin()
	batch.Stamps(b.known)
	if err := b.commit(batch, false); err != nil {
		return err
	}
	b.keep(listing.Print, true)
	b.publish()
	if b.ix.Image().UIDNext > 1 { // how it was before nobody knows: everything may be news
		b.acct.feed.Emit(feed.Event{What: feed.Contents, Folder: b.folderName()})
	}
	if b.ix.Image().Dirty() > 0 || len(b.graves) > 0 {
		b.flushSoon()
	}
	return nil
}

// assignAll gives all messages their UIDs, which are durable after write.
func (b *box) assignAll(lk Locked, entries []Entry) (out []Entry, uids []uint32, write func() error, err error) {
	var unseen []string
	if l, ok := lk.(assigner); ok {
		uids, unseen, write, err = l.assign(entries, 1, !b.shared())
	} else {
		uids, unseen, err = lk.Assign(entries, 1, !b.shared())
	}
	if err == nil && len(unseen) > 0 {
		entries, uids, err = b.lookAgain(lk, entries, unseen, 1)
		write = nil
	}
	if write == nil {
		write = func() error { return nil }
	}
	return entries, uids, write, err
}

func baseOf(e Entry) string { return e.Base }

// twice reports whether a base name is there twice in entries, which are sorted.
func twice(entries []Entry) bool {
	for i := range entries[min(1, len(entries)):] {
		if entries[i].Base == entries[i+1].Base {
			return true
		}
	}
	return false
}

// unique gives files that share a base name names of their own, and returns
// where each name is.
func (b *box) unique(lk Locked, entries []Entry) (out []Entry, at map[string]int, err error) {
	at = make(map[string]int, len(entries))
	out = entries[:0]
	for _, e := range entries {
		i, twice := at[e.Base]
		if !twice {
			at[e.Base] = len(out)
			out = append(out, e)
			continue
		}
		d, ok := lk.(interface {
			duplicate(first, second Ref) (Entry, bool, error)
		})
		if !ok {
			continue
		}
		other, left, err := d.duplicate(out[i].Ref, e.Ref)
		switch {
		case fail.Is(err, fail.NotFound):
			out[i] = e // it only moved while we looked
		case err != nil:
			return nil, nil, err
		case left:
			b.acct.store.log.Warn("two messages had one name", obs.Err(fail.New(fail.Corrupt, "%s in folder %s", e.Base, b.name)))
			at[other.Base] = len(out)
			out = append(out, other)
		}
	}
	return out, at, nil
}

// dovecotModSeq reads Dovecot's MODSEQ of the folder. What cannot be read
// counts as not there.
func dovecotModSeq(fsys disk.FS, f *maildir.Folder) (uint64, bool) {
	highest, found, _ := dovecot.ModSeq(fsys, f.Dir())
	return highest, found
}

// firstModSeq is what no client can have seen more than: of the old index, of
// the folder's own note when the index is lost, of Dovecot. When none is left
// of a folder that has given out UIDs (Dovecot kept its index elsewhere), only
// the clock can tell of a number that is certainly higher.
func (b *box) firstModSeq(id Ident, folder *maildir.Folder, left index.Remains) uint64 {
	highest := left.ModSeq
	if highest == 0 {
		highest = b.mark.Bound()
	}
	n, found := dovecotModSeq(b.acct.store.fs, folder)
	if found {
		highest = max(highest, n)
	}
	if highest == 0 && id.Used && id.UIDNext > 1 {
		highest = uint64(b.acct.store.now().Unix()) * 1000
	}
	return max(highest, 1)
}

type rebuilding struct {
	b       *box
	id      Ident
	left    index.Remains
	entries []Entry
	uids    []uint32
	order   []int // of entries, by UID
	buried  []int // entries that are expunged and still there
}

// firstRecent is the first message of new/ when there is no better knowledge.
func (r *rebuilding) firstRecent() uint32 {
	if r.left.FirstRecent > 0 {
		return r.left.FirstRecent
	}
	for _, i := range r.order {
		if r.entries[i].InNew {
			return r.uids[i]
		}
	}
	if n := len(r.order); n > 0 {
		return r.uids[r.order[n-1]] + 1
	}
	return 1
}

// create makes the index while write makes the UIDs durable: none that is in an
// index on disk may be missing there.
func (r *rebuilding) create(dir string, meta index.Meta, write func() error) (*index.Index, error) {
	var writing sync.WaitGroup
	var written error
	writing.Go(func() { written = write() })
	defer writing.Wait()
	a := r.b.acct
	return index.Create(a.store.fs, dir, a.epoch, meta, a.tree.EntryOf(r.b.dir), func(batch *index.Batch) error {
		r.fill(batch)
		writing.Wait()
		return written
	})
}

// fill writes the messages into the new index.
func (r *rebuilding) fill(batch *index.Batch) {
	b := r.b
	modseq := batch.ModSeq()
	names := 0
	for _, e := range r.entries {
		names += len(e.Base)
	}
	batch.Grow(len(r.entries), names)
	var pending []uint32
	for _, i := range r.order {
		e, uid := r.entries[i], r.uids[i]
		if r.left.Buried[uid] == e.Base {
			r.buried = append(r.buried, i)
			batch.Bury(uid, e.Base)
			continue
		}
		x := b.recordOf(e, uid, modseq)
		batch.Append(&x, b.keywordIDs(batch, e.Letters))
		if _, ok := r.left.Pending[uid]; ok {
			pending = append(pending, uid)
		}
	}
	for _, uid := range pending {
		p := r.left.Pending[uid]
		batch.Flags([]Range{{First: uid, Last: uid}}, p.Add, p.Remove, ids(batch, p.AddKeywords), ids(batch, p.RemoveKeywords), modseq)
	}
}

// recordOf is a new message as the index keeps it.
func (b *box) recordOf(e Entry, uid uint32, modseq uint64) index.Record {
	size, vsize := maildir.Sizes(e.Base)
	x := index.Record{
		UID: uid, Flags: uint8(e.Flags), FileFlags: uint8(e.Flags), FileLetters: uint32(e.Letters), ModSeq: modseq,
		Size: index.Unknown, VSize: index.Unknown, Date: index.Unknown, Name: e.Base, Info: e.Odd,
	}
	if size >= 0 {
		x.Size = size
		if vsize >= size {
			x.VSize = vsize
		}
	}
	if e.InNew {
		x.State = index.InNew
	}
	return x
}

// keywordIDs are the index's numbers of the keywords that letters stand for.
func (b *box) keywordIDs(batch *index.Batch, l maildir.Letters) []uint16 {
	if l == 0 {
		return nil
	}
	return ids(batch, b.namesOf(l))
}

func (b *box) namesOf(l maildir.Letters) []string {
	var out []string
	for i := range 26 {
		if l&(1<<i) != 0 {
			out = append(out, b.keywords.Name(i))
		}
	}
	return out
}

// ids are the numbers of keywords; those that no longer fit are left out.
func ids(batch *index.Batch, names []string) []uint16 {
	var out []uint16
	for _, n := range names {
		if id, ok := batch.Keyword(n); ok {
			out = append(out, id)
		}
	}
	return out
}

// Reading a directory may pass over a file that is renamed meanwhile. What a
// listing did not show is looked for in others before anything is concluded.
const (
	// passes is how many listings it takes where the folder is never calm.
	passes = 5
	// tick is more than the clock of directory mtimes is coarse (10 ms where
	// the kernel counts a hundred ticks a second).
	tick = 20 * time.Millisecond
)

// hunt looks for messages by base name. Those that are not in found are gone.
func (b *box) hunt(lk Locked, wanted map[string]bool) (found map[string]Entry, err error) {
	found = map[string]Entry{}
	for range passes {
		list, err := lk.List(false)
		if err != nil {
			return nil, err
		}
		for _, e := range list.Entries {
			if wanted[e.Base] {
				found[e.Base] = e
			}
		}
		if len(found) == len(wanted) {
			return found, nil
		}
		after, err := b.format.Look(true)
		if err != nil {
			return nil, err
		}
		if calm(list.New, after.New) && calm(list.Cur, after.Cur) {
			return found, nil
		}
	}
	return found, nil
}

// calm reports whether a directory did not change while it was read.
func calm(before, after index.DirStamp) bool {
	return before.Mtime.Equal(after.Mtime) && before.At.Sub(before.Mtime) > tick
}

// confirm hunts for messages of the index that were not found.
func (m *merge) confirm() error {
	if len(m.missing) == 0 {
		return nil
	}
	wanted := make(map[string]bool, len(m.missing))
	for _, r := range m.missing {
		wanted[r.Name] = true
	}
	found, err := m.b.hunt(m.lk, wanted)
	if err != nil {
		return err
	}
	for _, r := range m.missing {
		if e, ok := found[r.Name]; ok {
			m.entry(r, e)
		} else {
			m.gone = m.gone.add(r.UID)
		}
	}
	return nil
}

// lookAgain hunts for messages that have a UID already and were not found, and
// gives UIDs to all: without that they would get another one when they are.
func (b *box) lookAgain(lk Locked, fresh []Entry, unseen []string, floor uint32) ([]Entry, []uint32, error) {
	wanted := make(map[string]bool, len(unseen))
	for _, base := range unseen {
		wanted[base] = true
	}
	found, err := b.hunt(lk, wanted)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range found {
		fresh = append(fresh, e)
	}
	maildir.SortByArrival(fresh, baseOf)
	uids, _, err := lk.Assign(fresh, floor, true)
	return fresh, uids, err
}

// Verdict is what Check found in a folder.
type Verdict struct {
	Folder        string `json:"folder"`
	Messages      int    `json:"messages"`
	UIDValidity   uint32 `json:"uidvalidity"`
	UIDNext       uint32 `json:"uidnext"`
	HighestModSeq uint64 `json:"highestmodseq"`

	Problems []string `json:"problems"`       // the first of them
	More     int      `json:"more,omitempty"` // how many there are beyond
	Index    bool     `json:"-"`              // the index itself cannot be read
}

// maxProblems are told one by one.
const maxProblems = 20

func (v *Verdict) found(format string, args ...any) {
	if len(v.Problems) == maxProblems {
		v.More++
		return
	}
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// Check compares a folder's index, its UID list and its files. Names and sizes
// are looked at, messages are not read. progress may be nil.
func (a *Account) Check(ctx context.Context, name string, progress func(done, total int)) (Verdict, error) {
	m, err := a.Open(ctx, name)
	if err != nil {
		return Verdict{}, err
	}
	defer m.Close()
	if err := m.Flush(ctx); err != nil {
		return Verdict{}, err
	}
	var v Verdict
	b := m.box
	err = b.write(ctx, func() error {
		im := b.ix.Image()
		v = Verdict{
			Folder: b.folderName(), Messages: im.Len(), UIDValidity: im.UIDValidity, UIDNext: im.UIDNext,
			HighestModSeq: im.HighestModSeq, Problems: []string{},
		}
		lk, err := b.format.Lock(ctx)
		if err != nil {
			return err
		}
		listing, err := lk.List(false)
		if err := firstErr(err, lk.Unlock()); err != nil {
			return err
		}
		return b.examine(ctx, &v, listing, progress)
	})
	return v, err
}

// examine fills a verdict, b.mu held.
func (b *box) examine(ctx context.Context, v *Verdict, listing Listing, progress func(done, total int)) error {
	files := make(map[string]Entry, len(listing.Entries))
	for _, e := range listing.Entries {
		if old, twice := files[e.Base]; twice {
			v.found("files %s and %s have one base name", old.File, e.File)
		}
		files[e.Base] = e
	}
	im, done := b.ix.Image(), 0
	uids := make(map[string]uint32, im.Len())
	for _, r := range im.Named() {
		if done++; progress != nil && done%1000 == 0 {
			progress(done, im.Len())
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.UID == 0 {
			v.Index = true
			v.found("a record of the index cannot be read")
			continue
		}
		uids[r.Name] = r.UID
		e, ok := files[r.Name]
		if !ok {
			v.found("message %d has no file (%s)", r.UID, r.Name)
			continue
		}
		delete(files, r.Name)
		b.examineFile(v, r, e)
	}
	for _, e := range files {
		v.found("file %s is not in the index", e.File)
	}
	if progress != nil {
		progress(im.Len(), im.Len())
	}
	return b.examineList(v, uids)
}

func (b *box) examineFile(v *Verdict, r index.Record, e Entry) {
	if Flags(r.FileFlags) != e.Flags || r.State&index.InNew != 0 != e.InNew {
		v.found("message %d: the index does not know what its file %s says", r.UID, e.File)
	}
	f, ok := b.format.(*maildirFormat)
	if !ok {
		return
	}
	size, _, err := f.folder().StatMessage(maildir.Place(e.InNew), e.File)
	switch {
	case err != nil:
		v.found("message %d: %v", r.UID, err)
	case r.Size >= 0 && size != r.Size && b.expandedSize(e.Ref) != r.Size:
		v.found("message %d has %d bytes, the index says %d (%s)", r.UID, size, r.Size, e.File)
	}
}

// expandedSize is the size of a message that is stored compressed; negative
// when it cannot be read.
func (b *box) expandedSize(ref Ref) int64 {
	f, _, err := b.format.Open(ref, nil)
	if err != nil {
		return -1
	}
	defer f.Close()
	return f.Size()
}

// examineList compares the UID list with the UIDs that sessions see.
func (b *box) examineList(v *Verdict, uids map[string]uint32) error {
	f, ok := b.format.(*maildirFormat)
	if !ok {
		return nil
	}
	list, err := f.folder().UIDList()
	if err != nil {
		return err
	}
	if list.Damage != nil {
		v.found("%v", list.Damage)
	}
	if list.Validity != v.UIDValidity {
		v.found("UIDVALIDITY is %d in the UID list and %d in the index", list.Validity, v.UIDValidity)
	}
	for _, r := range list.Records {
		if uid, ok := uids[r.Base]; ok {
			if uid != r.UID {
				v.found("message %d is number %d in the UID list (%s)", uid, r.UID, r.Base)
			}
			delete(uids, r.Base)
		}
	}
	for base, uid := range uids {
		v.found("message %d is not in the UID list (%s)", uid, base)
	}
	return nil
}

// Repair makes index, UID list and files agree: it looks at everything anew,
// writes the UID list again where it is damaged, and rebuilds an index that
// cannot be read or that knows wrong sizes.
func (a *Account) Repair(ctx context.Context, name string) error {
	v, err := a.Check(ctx, name, nil)
	if err != nil || len(v.Problems) == 0 {
		return err
	}
	m, err := a.Open(ctx, name)
	if err != nil {
		return err
	}
	err = m.box.write(ctx, func() error { return m.box.sync(ctx, true) })
	if err := firstErr(err, m.Close()); err != nil {
		return err
	}
	if v, err = a.Check(ctx, name, nil); err != nil || len(v.Problems) == 0 {
		return err
	}
	return a.Rebuild(ctx, name)
}

// Rebuild throws a folder's index away and makes it from the files and the UID
// list, which stay as they are; MODSEQs go on above the old ones. Sessions
// that have the folder selected must open it again.
func (a *Account) Rebuild(ctx context.Context, name string) error {
	m, err := a.Open(ctx, name)
	if err != nil {
		return err
	}
	err = m.Flush(ctx)
	if err == nil {
		err = m.box.write(ctx, func() error {
			m.box.ix.Condemn()
			m.box.die(fail.New(fail.Unavailable, "the index of folder %s is being rebuilt; open it again", m.Name()))
			return nil
		})
	}
	_ = m.Close() // the box is dead: nothing to flush
	if err != nil {
		return err
	}
	if m, err = a.Open(ctx, name); err != nil {
		return err
	}
	return m.Close()
}
