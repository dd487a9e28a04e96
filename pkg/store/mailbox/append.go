package mailbox

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/mailbox/feed"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/pkg/store/quota"
)

// Incoming is one message to append.
type Incoming struct {
	Flags    Flags
	Keywords []string
	Date     time.Time // INTERNALDATE; zero means now
	Size     int64     // announced bytes, 0 unknown: to fail early when the disk is full
}

// Append collects messages and adds all of them or none. It is for one
// goroutine.
type Append struct {
	acct *Account
	box  *box
	new  []newborn
	done bool

	in  *Mailbox // of the message that goes when the new ones are there; nil: none does
	out uint32
	old int64 // its bytes
}

// newborn is a message that is written and not yet published.
type newborn struct {
	file     Newborn
	flags    Flags
	keywords []string
	date     time.Time
}

// Append starts an append to a folder: one message for APPEND, several for
// MULTIAPPEND. NotFound: no such folder.
func (a *Account) Append(ctx context.Context, folder string) (*Append, error) {
	b, err := a.acquire(ctx, folder)
	if err != nil {
		return nil, err
	}
	b.startWatch() // or else each append would have to look at all of the folder
	return &Append{acct: a, box: b}, nil
}

// Replace starts an append to a folder that ends with the removal of message
// uid of m, whatever its flags. NotFound: no such folder, or no such message.
//
// Crash point: mailbox.replace.before_remove: both messages are there.
func (m *Mailbox) Replace(ctx context.Context, uid uint32, folder string) (*Append, error) {
	r, ok := m.box.brief(uid)
	if !ok {
		return nil, goneError(uid)
	}
	p, err := m.box.acct.Append(ctx, folder)
	if err == nil {
		p.in, p.out, p.old = m, uid, max(r.Size, 0)
	}
	return p, err
}

// room reports whether there is room for messages, together with what goes.
func (p *Append) room(ctx context.Context, bytes, messages int64) error {
	m := p.acct.meter
	if messages == 1 {
		if err := m.Fits(bytes); err != nil {
			return err
		}
	}
	if p.in != nil && m.Counts(p.in.box.folderName()) {
		bytes, messages = bytes-p.old, messages-1
	}
	return m.Room(ctx, p.box.folderName(), bytes, messages)
}

// reserve is how much space an append leaves on the disk.
const reserve = 1 << 20

// Add stores one message, CRLF as LF. An error of r is returned and ends the
// append. Full: no space.
func (p *Append) Add(ctx context.Context, in Incoming, r io.Reader) error {
	if p.done {
		return fail.New(fail.Invalid, "the append is over")
	}
	for _, k := range in.Keywords {
		if !maildir.ValidKeyword(k) {
			return fail.New(fail.Invalid, "%q cannot be a keyword", k)
		}
	}
	if err := p.room(ctx, in.Size, 1); err != nil {
		return err
	}
	if space, err := disk.Statfs(p.box.acct.store.fs, p.box.dir); err == nil && in.Size > 0 && space.Free < uint64(in.Size)+reserve {
		return fail.New(fail.Full, "no space for %d bytes in folder %s", in.Size, p.box.folderName())
	}
	file, err := p.box.format.Begin()
	if err != nil {
		return err
	}
	p.new = append(p.new, newborn{file, in.Flags & maildir.AllFlags, in.Keywords, in.Date})
	file.Keep()
	if err = p.acct.store.copy(file, r); err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = file.Finish(in.Date)
	}
	if err != nil {
		p.Abort()
	}
	return err
}

// copy copies all of r.
func (s *Store) copy(w io.Writer, r io.Reader) error {
	const piece = 16 << 10
	buf, _ := s.copies.Get().(*[]byte)
	if buf == nil {
		buf = new(make([]byte, piece))
	}
	defer s.copies.Put(buf)
	_, err := io.CopyBuffer(w, r, *buf)
	return err
}

// Commit gives out UIDs and publishes; durable when it returns.
func (p *Append) Commit(ctx context.Context) (uidValidity uint32, uids []uint32, err error) {
	if p.done {
		return 0, nil, fail.New(fail.Invalid, "the append is over")
	}
	defer p.Abort()
	if uidValidity, uids, err = p.box.letIn(ctx, p); err != nil {
		return 0, nil, err
	}
	p.box.read(uids, p.new)
	if p.in != nil {
		disk.Point(p.acct.store.fs, "mailbox.replace.before_remove")
		_, err = p.in.Remove(ctx, SetOf(p.out))
	}
	return uidValidity, uids, err
}

// Abort drops everything. After Commit it does nothing.
func (p *Append) Abort() {
	if p.done {
		return
	}
	p.done = true
	for _, n := range p.new {
		n.file.Abort()
	}
	p.acct.release(p.box)
}

// admission is one append that waits to be let in.
type admission struct {
	*Append
	by       any
	ready    chan struct{} // closed when what follows is set
	validity uint32
	uids     []uint32
	err      error
}

// letIn admits the messages of one append. Whoever comes to hold the writer
// lock does so for all that wait for it, so that they share its syncs.
func (b *box) letIn(ctx context.Context, p *Append) (validity uint32, uids []uint32, err error) {
	a := &admission{Append: p, by: feed.By(ctx), ready: make(chan struct{}), err: fail.New(fail.Temporary, "an append was not finished")}
	b.lineMu.Lock()
	b.line = append(b.line, a)
	b.lineMu.Unlock()
	err = b.write(ctx, func() error { b.admitLine(ctx); return nil })
	b.lineMu.Lock()
	i := slices.Index(b.line, a)
	if i >= 0 { // we could not, and nobody else has begun
		b.line = slices.Delete(b.line, i, i+1)
	}
	b.lineMu.Unlock()
	if i >= 0 {
		return 0, nil, err
	}
	<-a.ready
	return a.validity, a.uids, a.err
}

// admitLine admits all that wait, b.mu held: those for whom there is room, all
// or none of them.
func (b *box) admitLine(ctx context.Context) {
	b.lineMu.Lock()
	line := b.line
	b.line = nil
	b.lineMu.Unlock()
	defer func() { // whatever happens: they wait
		for _, a := range line {
			close(a.ready)
		}
	}()
	var all []newborn
	var in []*admission
	for _, a := range line {
		err := a.room(ctx, sizeOf(a.new), int64(len(a.new)))
		if err == nil && len(all) > 0 { // together with those before it
			err = a.room(ctx, sizeOf(all)+sizeOf(a.new), int64(len(all)+len(a.new)))
		}
		if err != nil {
			a.err = err
			continue
		}
		all, in = append(all, a.new...), append(in, a)
	}
	if b.by = nil; len(in) == 1 {
		b.by = in[0].by
	}
	if len(in) > 1 {
		ctx = context.WithoutCancel(ctx) // of one of them
	}
	uids, err := b.admit(ctx, all)
	for _, a := range in {
		if a.err = err; err == nil {
			a.validity, a.uids = b.ix.Image().UIDValidity, uids[:len(a.new):len(a.new)]
			uids = uids[len(a.new):]
		}
	}
}

// admit makes newborns messages of the folder, b.mu held. The order: UIDs in
// the list; names in cur/, synced, which makes the UIDs durable, too; the
// index, which need not be synced, because all of it can be found again.
//
// Crash points: mailbox.append.before_publish, .after_publish.
func (b *box) admit(ctx context.Context, list []newborn) ([]uint32, error) {
	if len(list) == 0 {
		return nil, nil
	}
	// What others put into the folder first gets its UIDs first.
	lk, look, err := b.lockSynced(ctx)
	if err != nil {
		return nil, err
	}
	var uids []uint32
	batch := b.ix.Begin()
	err = b.ownSince(look, func() error {
		var err error
		if uids, err = b.admitLocked(lk, batch, list); err != nil {
			for _, n := range list { // before anybody else looks
				n.file.Abort()
			}
		}
		return err
	})
	err = firstErr(err, lk.Unlock())
	if err != nil {
		return nil, err
	}
	if err := b.commit(batch, false); err != nil {
		return nil, err
	}
	for _, n := range list {
		n.file.Published()
	}
	b.count(sizeOf(list), int64(len(list)))
	if l, ok := b.format.(uidList); ok && l.Behind() {
		b.flushSoon()
	}
	return uids, nil
}

func (b *box) admitLocked(lk Locked, batch *index.Batch, list []newborn) ([]uint32, error) {
	infos := make([]maildir.Info, len(list))
	files := make([]Newborn, len(list))
	var names []string
	for i, n := range list {
		infos[i].Flags, files[i] = n.flags, n.file
		names = append(names, n.keywords...)
	}
	if len(names) > 0 {
		if _, _, err := lk.Letters(names); err != nil {
			return nil, err
		}
		if err := b.loadKeywords(); err != nil {
			return nil, err
		}
		for i, n := range list {
			for _, k := range n.keywords {
				l, _ := b.keywords.Letter(k)
				infos[i].Letters |= l
			}
		}
	}
	disk.Point(b.acct.store.fs, "mailbox.append.before_publish")
	entries, uids, err := lk.Publish(files, infos, b.ix.Image().UIDNext)
	if err != nil {
		return nil, err
	}
	disk.Point(b.acct.store.fs, "mailbox.append.after_publish")
	for i, e := range entries {
		x := b.recordOf(e, uids[i], batch.ModSeq())
		if !list[i].date.IsZero() {
			x.Date = list[i].date.Unix()
		}
		batch.Append(&x, ids(batch, list[i].keywords))
	}
	batch.Saved(SetOf(uids...), b.acct.store.now().Unix())
	return uids, nil
}

// Copied is the COPYUID of a copy or move: Source[i] became Dest[i].
type Copied struct {
	UIDValidity  uint32
	Source, Dest []uint32
}

// Copy copies messages into another folder of the same account, with flags and
// dates; all or nothing. Messages that are gone are skipped; when all are, the
// answer is empty. NotFound: no such folder.
func (m *Mailbox) Copy(ctx context.Context, set Set, folder string) (Copied, error) {
	return m.box.copyTo(ctx, set, folder, false)
}

// Move is Copy, then Remove of what was copied. A crash between the two leaves
// the messages in both folders.
func (m *Mailbox) Move(ctx context.Context, set Set, folder string) (Copied, error) {
	out, err := m.box.copyTo(ctx, set, folder, true)
	if err != nil || len(out.Source) == 0 {
		return out, err
	}
	_, err = m.Remove(ctx, SetOf(out.Source...))
	return out, err
}

// copyTo copies messages. No two boxes are locked at once: while the links are
// made in the other folder, files of this one may get other names. Then all is
// done once more with links that hold on to them. Where others give files other
// names all the time that is done at once.
func (b *box) copyTo(ctx context.Context, set Set, folder string, move bool) (Copied, error) {
	if err := b.usable(); err != nil {
		return Copied{}, err
	}
	b.touch()
	dest, err := b.acct.acquire(ctx, folder)
	if err != nil {
		return Copied{}, err
	}
	defer b.acct.release(dest)
	dest.startWatch()
	out, err := b.copyInto(ctx, dest, set, move, !b.shared())
	if errors.Is(err, maildir.ErrNotLinked) {
		out, err = b.copyInto(ctx, dest, set, move, false)
	}
	return out, err
}

// copyInto links the files into the other folder, or first, unless later, into
// its tmp/, and admits them there.
func (b *box) copyInto(ctx context.Context, dest *box, set Set, move, later bool) (Copied, error) {
	var out Copied
	list, source, err := b.duplicates(ctx, dest, set, later)
	done := false
	defer func() {
		for _, n := range list {
			if !done {
				n.file.Abort()
			}
		}
	}()
	if err != nil {
		return out, err
	}
	if len(list) == 0 {
		return out, nil
	}
	// Before the lock: it may mean to count all mail, and nobody is to wait for that.
	if err := dest.roomFor(ctx, list, b, move); err != nil {
		return out, err
	}
	err = dest.write(ctx, func() error {
		var err error
		out.UIDValidity = dest.ix.Image().UIDValidity
		out.Dest, err = dest.admit(ctx, list)
		return err
	})
	if err != nil {
		return Copied{}, err
	}
	done, out.Source = true, source
	dest.fill(out.Dest)
	return out, nil
}

// duplicates makes newborns of the messages of set. After an error those made
// so far are returned too. The first is linked at once in any case: that shows
// whether links can be made.
func (b *box) duplicates(ctx context.Context, dest *box, set Set, later bool) (list []newborn, source []uint32, err error) {
	im := b.now.Load().im
	set.Normalize().each(im, func(i int, brief index.Record) bool {
		if err = ctx.Err(); err != nil {
			return false
		}
		r := im.At(i)
		var n newborn
		n.file, err = b.duplicate(ctx, dest, r, later && len(list) > 0)
		if fail.Is(err, fail.NotFound) {
			err = nil
			return true
		}
		if err != nil {
			return false
		}
		n.flags, n.keywords = Flags(brief.Flags)&maildir.AllFlags, im.KeywordNames(brief.Keywords)
		if r.Date != index.Unknown {
			n.date = time.Unix(r.Date, 0)
		}
		list, source = append(list, n), append(source, r.UID)
		return true
	})
	return list, source, err
}

// duplicate links one message, or copies its bytes where links do not work.
func (b *box) duplicate(ctx context.Context, dest *box, r index.Record, later bool) (Newborn, error) {
	var n Newborn
	err := b.withFile(ctx, r.UID, func(ref Ref) error {
		var err error
		n, err = dest.format.Link(b.format, ref, later)
		return err
	})
	if n != nil || err != nil {
		return n, err
	}
	f, date, err := b.openMessage(ctx, r.UID, nil)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if n, err = dest.format.Begin(); err != nil {
		return nil, err
	}
	if _, err = io.Copy(n, io.NewSectionReader(f, 0, f.Size())); err == nil {
		err = n.Finish(date)
	}
	if err != nil {
		n.Abort()
		return nil, err
	}
	return n, nil
}

// Meter says how much mail the account may hold, and does.
func (a *Account) Meter() *quota.Meter { return a.meter }

// sizeOf is what newborns take, all together.
func sizeOf(list []newborn) (sum int64) {
	for _, n := range list {
		sum += n.file.Size()
	}
	return sum
}

// room reports whether newborns may be put into the folder.
func (b *box) room(ctx context.Context, list []newborn) error {
	return b.acct.meter.Room(ctx, b.folderName(), sizeOf(list), int64(len(list)))
}

// roomFor is room for what comes from another folder. What is moved is counted
// already, unless nothing counts where it was.
func (b *box) roomFor(ctx context.Context, list []newborn, from *box, move bool) error {
	if m := b.acct.meter; move && m.Counts(from.folderName()) {
		return nil
	}
	return b.room(ctx, list)
}

// count tells the meter what was put into the folder or, with negative
// numbers, taken out of it. It cannot fail: the mail is as it is, and what is
// missing now will be when everything is counted anew.
func (b *box) count(bytes, messages int64) {
	if err := b.acct.meter.Changed(b.folderName(), bytes, messages); err != nil {
		b.acct.store.log.Warn("quota could not be kept", obs.Err(err))
	}
}

// recount has everything counted anew when it is needed: after changes of
// which nobody knows the size.
func (a *Account) recount() {
	if err := a.meter.Forget(); err != nil {
		a.store.log.Warn("quota could not be kept", obs.Err(err))
	}
}

// loss is what expunged messages took.
type loss struct {
	bytes, messages int64
	unknown         bool // the size of one of them
}

func (l *loss) add(r *index.Record) {
	l.messages++
	l.bytes += max(r.Size, 0)
	l.unknown = l.unknown || r.Size < 0
}

// lost tells the meter of expunged messages, whose files are still there: they
// are in graves.
func (b *box) lost(l loss, graves map[uint32]grave) {
	for _, g := range graves {
		if g.size > 0 {
			b.acct.meter.Leaving(g.size, 1)
		}
	}
	if l.unknown {
		b.acct.recount()
		return
	}
	b.count(-l.bytes, -l.messages)
}

// unbury forgets a grave: its file is removed.
func (b *box) unbury(uid uint32) {
	if g := b.graves[uid]; g.size > 0 {
		b.acct.meter.Leaving(-g.size, -1)
	}
	delete(b.graves, uid)
}
