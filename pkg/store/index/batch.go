package index

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// The operations of the log. Numbers are varints, strings have a length before
// them, a set of UIDs is a count and then, for each range, the distance from
// the last UID and the length less one.
const (
	opReserve  = 1  // bound: MODSEQs below it may have been given out
	opUIDNext  = 2  // uidnext
	opRecent   = 3  // first recent UID
	opKeyword  = 4  // number, name
	opFlags    = 5  // modseq, add, remove, keywords to add, to remove, set
	opAppend   = 6  // a message
	opExpunge  = 7  // modseq, set
	opFile     = 8  // uid, flags, letters, state, info: what the file's name is now
	opKnown    = 9  // uid, size, vsize, date
	opCached   = 10 // uid, offset in the cache file
	opStamps   = 11 // what the folder looked like at the last complete look
	opBury     = 12 // uid, base name: expunged, the file is still to be removed
	opBuried   = 13 // uid: the file is gone
	opPending  = 14 // uid, add, remove, keyword names: for Salvage only
	opUncached = 15 // the cache file was begun anew
	opOwner    = 16 // the folder's directory
	opClean    = 17 // highest modseq: closed in good order, none above was given out
	opDirty    = 18 // set: the files are to be renamed
	opSaved    = 19 // seconds since 1970, set: when they were put into the mailbox
)

// Batch collects operations that take effect together. It is made by
// Index.Begin and used by one goroutine.
type Batch struct {
	buf    []byte
	tab    *interner
	fresh  []string // keywords that this batch defines
	next   uint64   // MODSEQ of this batch
	modseq bool     // it was asked for

	into *player // that takes new messages at once, see Create
	err  error   // of into
}

// ModSeq is the MODSEQ of everything that this batch changes.
func (b *Batch) ModSeq() uint64 {
	b.modseq = true
	return b.next
}

// Empty reports whether there is nothing to do.
func (b *Batch) Empty() bool { return len(b.buf) == 0 }

// Grow makes room for n messages whose names have so many bytes together.
func (b *Batch) Grow(n, names int) {
	const numbers = 40 // of one message
	if b.into != nil {
		return
	}
	b.buf = slices.Grow(b.buf, n*numbers+names)
}

func (b *Batch) op(code byte, nums ...uint64) {
	b.buf = append(b.buf, code)
	for _, n := range nums {
		b.buf = binary.AppendUvarint(b.buf, n)
	}
}

func (b *Batch) text(s string) {
	b.buf = binary.AppendUvarint(b.buf, uint64(len(s)))
	b.buf = append(b.buf, s...)
}

func (b *Batch) ints(nums ...int64) {
	for _, n := range nums {
		b.buf = binary.AppendVarint(b.buf, n)
	}
}

func (b *Batch) set(set []Range) {
	b.buf = binary.AppendUvarint(b.buf, uint64(len(set)))
	b.buf = appendRanges(b.buf, set)
}

// appendRanges appends ranges as decoder.ranges reads them.
func appendRanges(dst []byte, set []Range) []byte {
	last := uint32(0)
	for _, r := range set {
		dst = binary.AppendUvarint(dst, uint64(r.First-last))
		dst = binary.AppendUvarint(dst, uint64(r.Last-r.First))
		last = r.Last
	}
	return dst
}

func (b *Batch) ids(ids []uint16) {
	b.buf = binary.AppendUvarint(b.buf, uint64(len(ids)))
	for _, k := range ids {
		b.buf = binary.AppendUvarint(b.buf, uint64(k))
	}
}

// Keyword returns the number of a keyword, defining it when it is new. ok is
// false when the mailbox has too many, or it is too long.
func (b *Batch) Keyword(name string) (id uint16, ok bool) {
	if i, ok := b.tab.keywordAt[strings.ToLower(name)]; ok {
		return uint16(i), true
	}
	known := len(b.tab.keywords)
	for i, n := range b.fresh {
		if strings.EqualFold(n, name) {
			return uint16(known + i), true
		}
	}
	if known+len(b.fresh) >= MaxKeywords || len(name) > maxText {
		return 0, false
	}
	id = uint16(known + len(b.fresh))
	b.op(opKeyword, uint64(id))
	b.text(name)
	b.fresh = append(b.fresh, name)
	return id, true
}

// Flags adds and removes flags and keywords of the messages of set (ranges in
// ascending order) and makes them Dirty. A message whose flags do not change gets the MODSEQ all
// the same: leave it out of set.
func (b *Batch) Flags(set []Range, add, remove uint8, addKeywords, removeKeywords []uint16, modseq uint64) {
	if len(set) == 0 {
		return
	}
	b.op(opFlags, modseq, uint64(add), uint64(remove))
	b.ids(addKeywords)
	b.ids(removeKeywords)
	b.set(set)
}

// Append adds a message. UIDs must grow. keywords are the names' numbers.
func (b *Batch) Append(x *Record, keywords []uint16) {
	vsize := x.VSize
	if x.Size < 0 || vsize < x.Size {
		vsize = Unknown
	}
	if b.into != nil {
		r := *x
		r.VSize, r.State = vsize, x.State&kept
		b.pass(r, keywords)
		return
	}
	b.op(opAppend, uint64(x.UID), x.ModSeq, uint64(x.Flags), uint64(x.FileFlags), uint64(x.FileLetters), uint64(x.State&kept))
	b.ints(x.Size, vsize, x.Date)
	b.text(x.Name)
	b.text(x.Info)
	b.ids(keywords)
}

// pass gives a message to the player, behind what was collected before it.
// Writing an operation for each of a hundred thousand and reading it again
// would take longer than all the rest.
func (b *Batch) pass(x Record, keywords []uint16) {
	b.drain()
	if b.err != nil {
		return
	}
	if b.into.add(x, keywords); b.into.d.bad {
		b.err = errBadOp
	}
}

// drain has the player do what was collected.
func (b *Batch) drain() {
	if b.err == nil && len(b.buf) > 0 {
		b.err = b.into.run(b.buf)
		b.buf, b.fresh = b.buf[:0], nil
	}
}

// Expunge removes the messages of set.
func (b *Batch) Expunge(set []Range, modseq uint64) {
	if len(set) == 0 {
		return
	}
	b.op(opExpunge, modseq)
	b.set(set)
}

// Raise raises HIGHESTMODSEQ and nothing else.
func (b *Batch) Raise(modseq uint64) { b.op(opExpunge, modseq, 0) }

// File says what the name of a message's file is now; state is InNew and
// Dirty or not. info is the text from ":" on where it is not the usual one.
func (b *Batch) File(uid uint32, flags uint8, letters uint32, state State, info string) {
	b.op(opFile, uint64(uid), uint64(flags), uint64(letters), uint64(state&kept))
	b.text(info)
}

// Dirty says that the files of set are to be renamed.
func (b *Batch) Dirty(set []Range) {
	if len(set) > 0 {
		b.op(opDirty)
		b.set(set)
	}
}

// Known records what was learned of a message; Unknown for what was not.
func (b *Batch) Known(uid uint32, size, vsize, date int64) {
	b.op(opKnown, uint64(uid))
	b.ints(size, vsize, date)
}

// Cached records where a message's wire bytes are.
func (b *Batch) Cached(uid uint32, off int64) { b.op(opCached, uint64(uid), uint64(off)) }

// Saved records when messages were put into the mailbox, in seconds since 1970.
// It comes behind their Append.
func (b *Batch) Saved(set []Range, at int64) {
	if len(set) > 0 && at > 0 {
		b.op(opSaved, uint64(at))
		b.set(set)
	}
}

// Uncached says that the cache was begun anew.
func (b *Batch) Uncached() { b.op(opUncached) }

// UIDNext raises UIDNEXT.
func (b *Batch) UIDNext(next uint32) { b.op(opUIDNext, uint64(next)) }

// FirstRecent says from which UID on messages are \Recent.
func (b *Batch) FirstRecent(uid uint32) { b.op(opRecent, uint64(uid)) }

// Bury says that a message was expunged whose file is still to be removed, so
// that it does not come back as a new one.
func (b *Batch) Bury(uid uint32, base string) {
	b.op(opBury, uint64(uid))
	b.text(base)
}

// Buried says that the file of Bury is gone.
func (b *Batch) Buried(uid uint32) { b.op(opBuried, uint64(uid)) }

// Owner says which directory the index belongs to.
func (b *Batch) Owner(dir string) {
	b.op(opOwner)
	b.text(dir)
}

// Stamps are what the folder looked like when the index last knew all of it.
// The values are the caller's; the index keeps them.
type Stamps struct {
	New, Cur          DirStamp
	UIDList, Keywords FileStamp
}

// DirStamp is a look at a directory.
type DirStamp struct{ Mtime, At time.Time }

// FileStamp is a look at a file.
type FileStamp struct {
	Dev, Ino uint64
	Size     int64
	Mtime    time.Time
}

// Stamps records a complete look.
func (b *Batch) Stamps(s Stamps) {
	b.op(opStamps)
	b.ints(nanos(s.New.Mtime), nanos(s.New.At), nanos(s.Cur.Mtime), nanos(s.Cur.At))
	for _, f := range []FileStamp{s.UIDList, s.Keywords} {
		b.buf = binary.AppendUvarint(b.buf, f.Dev)
		b.buf = binary.AppendUvarint(b.buf, f.Ino)
		b.ints(f.Size, nanos(f.Mtime))
	}
}

// nanos keeps the zero time apart from 1970.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
