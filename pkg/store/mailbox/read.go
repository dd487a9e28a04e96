package mailbox

import (
	"bufio"
	"context"
	"io"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/digest"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/cache"
	"github.com/postcote/postcote/pkg/store/expand"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// File is an open message. ReadAt reads bytes as stored.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// record finds a message in the newest view.
func (b *box) record(uid uint32) (index.Record, bool) {
	im := b.now.Load().im
	i, ok := im.Find(uid)
	if !ok {
		return index.Record{}, false
	}
	return im.At(i), true
}

// openMessage opens a message's file wherever it is by now, or reads it into
// mem, see Format.Open.
func (b *box) openMessage(ctx context.Context, uid uint32, mem *message.Memory) (f File, date time.Time, err error) {
	err = b.withFile(ctx, uid, func(r Ref) error {
		var err error
		f, date, err = b.format.Open(r, mem)
		return err
	})
	return f, date, err
}

func (f *maildirFormat) Open(r Ref, mem *message.Memory) (File, time.Time, error) {
	if mem != nil {
		date, whole, err := f.folder().LoadMessage(maildir.Place(r.InNew), r.File, mem)
		switch {
		case err != nil:
			return nil, time.Time{}, err
		case whole && expand.Plain(mem.Bytes()):
			return mem, date, nil
		}
	}
	m, err := f.folder().OpenMessage(maildir.Place(r.InNew), r.File)
	if err != nil {
		return nil, time.Time{}, err
	}
	plain, err := expand.Open(m, expand.Options{Spool: f.spool})
	if err != nil {
		return nil, time.Time{}, fail.Wrap(fail.KindOf(err), err, "message %s of folder %s", r.File, f.folder().Name())
	}
	return plain, m.Date(), nil
}

// Head implements header.
func (f *maildirFormat) Head(r Ref, mem *message.Memory) (date time.Time, plain bool, err error) {
	date, err = f.folder().LoadHead(maildir.Place(r.InNew), r.File, mem)
	return date, err == nil && expand.Plain(mem.Bytes()), err
}

// FileChanged reads a message's file's ctime.
func (f *maildirFormat) FileChanged(r Ref) (time.Time, error) {
	return f.folder().FileChanged(maildir.Place(r.InNew), r.File)
}

func goneError(uid uint32) error {
	return fail.New(fail.NotFound, "message %d has been removed", uid)
}

// withFile calls use with a message's place, again with another one while use
// finds nothing there: the place that the newest view knows, then, keeping
// flushes away, that of a file that waits to be removed, and what a complete
// look finds after somebody else gave the file another name.
func (b *box) withFile(ctx context.Context, uid uint32, use func(Ref) error) error {
	if err := b.usable(); err != nil {
		return err
	}
	b.touch()
	if r, ok := b.record(uid); ok {
		if err := use(refOf(r)); !fail.Is(err, fail.NotFound) {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for try := 0; ; try++ {
		if err := b.usable(); err != nil {
			return err
		}
		r, ok := b.record(uid)
		g, dead := b.graves[uid]
		switch {
		case dead && g.ref.File != "":
			if err := use(g.ref); !fail.Is(err, fail.NotFound) {
				return err
			}
			return goneError(uid)
		case !ok:
			return goneError(uid)
		}
		if err := use(refOf(r)); !fail.Is(err, fail.NotFound) {
			return err
		}
		if try == 3 {
			return goneError(uid)
		}
		if !b.acct.freeze.TryRLock() {
			return fail.New(fail.Temporary, "message %d cannot be looked for while the account is frozen", uid)
		}
		err := b.sync(ctx, true)
		b.acct.freeze.RUnlock()
		if err != nil {
			return err
		}
	}
}

// recall fills in what was learned of a message since x was taken.
func (b *box) recall(x *Message) {
	if x.Size >= 0 && x.VSize >= 0 && !x.Date.IsZero() {
		return
	}
	now := *x
	if r, ok := b.brief(x.UID); ok {
		now = messageOf(r)
	}
	l := b.lesson(x.UID)
	if x.Size < 0 || x.VSize < 0 {
		if x.Size, x.VSize = now.Size, now.VSize; l.VSize > 0 && (x.Size < 0 || x.VSize < 0) {
			x.Size, x.VSize = l.Size, l.VSize
		}
	}
	if x.Date.IsZero() {
		if x.Date = now.Date; x.Date.IsZero() && !l.Date.IsZero() {
			x.Date = time.Unix(l.Date.Unix(), 0)
		}
	}
}

// lesson is what was learned of a message a moment ago.
func (b *box) lesson(uid uint32) (found cache.Lesson) {
	b.learnedMu.Lock()
	defer b.learnedMu.Unlock()
	for i := len(b.learned) - 1; i >= 0; i-- {
		if b.learned[i].UID == uid {
			return b.learned[i]
		}
	}
	return cache.Lesson{}
}

// OpenMessage opens a message for reading. NotFound: it is gone.
func (m *Mailbox) OpenMessage(ctx context.Context, uid uint32) (File, error) {
	return m.LoadMessage(ctx, uid, nil)
}

// LoadMessage is OpenMessage that reads a message of usual size into mem at
// once, and returns mem then. It is for callers that read all of it, and costs
// them half the system calls.
func (m *Mailbox) LoadMessage(ctx context.Context, uid uint32, mem *message.Memory) (File, error) {
	f, _, err := m.box.openMessage(ctx, uid, mem)
	return f, err
}

// FileChanged is when the file of a message was last changed, its names and
// flags included: not before it came into the folder. Zero where the format
// does not know.
func (m *Mailbox) FileChanged(ctx context.Context, uid uint32) (at time.Time, err error) {
	f, ok := m.box.format.(interface {
		FileChanged(r Ref) (time.Time, error)
	})
	if !ok {
		return at, m.box.usable()
	}
	err = m.box.withFile(ctx, uid, func(r Ref) error {
		var err error
		at, err = f.FileChanged(r)
		return err
	})
	return at, err
}

// Resolve returns message i of s with Size, VSize and Date filled in, by
// looking at the file where the index does not know, and keeps what it
// learned. NotFound: the message is gone.
func (m *Mailbox) Resolve(ctx context.Context, s *Snapshot, i int) (Message, error) {
	if i < 0 || i >= s.Len() {
		return Message{}, fail.New(fail.NotFound, "no message %d", i+1)
	}
	x := s.At(i)
	if x.UID == 0 {
		return x, goneError(0)
	}
	if m.box.recall(&x); x.Size >= 0 && x.VSize >= 0 && !x.Date.IsZero() {
		return x, nil
	}
	f, date, err := m.box.openMessage(ctx, x.UID, nil)
	if err != nil {
		return x, err
	}
	defer f.Close()
	l := cache.Lesson{UID: x.UID, Size: -1, VSize: -1, Date: date}
	x.Date = time.Unix(date.Unix(), 0)
	if x.Size < 0 || x.VSize < 0 {
		if x.Size, x.VSize, _, err = message.Count(io.NewSectionReader(f, 0, f.Size())); err != nil {
			return x, fail.Wrap(fail.Temporary, err, "reading message %d", x.UID)
		}
		l.Size, l.VSize = x.Size, x.VSize
	}
	m.box.note(l)
	return x, nil
}

// Header reads a message's header block.
func (m *Mailbox) Header(ctx context.Context, uid uint32) (message.Header, error) {
	f, err := m.OpenMessage(ctx, uid)
	if err != nil {
		return message.Header{}, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, f.Size()), 4<<10)
	return message.ReadHeader(r, message.DefaultLimits())
}

// EachKeys calls fn with the sort keys of the messages of set that are still
// there, in ascending order, until it returns false. k is valid during the
// call, its strings and slices may be kept.
func (m *Mailbox) EachKeys(ctx context.Context, set Set, fn func(uid uint32, k *digest.Keys) bool) error {
	if err := m.box.usable(); err != nil {
		return err
	}
	m.box.touch()
	var uids []uint32
	set.each(m.box.now.Load().im, func(_ int, r index.Record) bool {
		uids = append(uids, r.UID)
		return true
	})
	keys, have := make([]digest.Keys, len(uids)), make([]bool, len(uids))
	err := m.box.cache.Keys(ctx, uids, func(i int, k *digest.Keys) { keys[i], have[i] = *k, true })
	if err != nil {
		return err
	}
	for i, uid := range uids {
		if have[i] && !fn(uid, &keys[i]) {
			break
		}
	}
	return nil
}

// Structure parses a message. The file is open and the caller closes it.
func (m *Mailbox) Structure(ctx context.Context, uid uint32) (*message.Part, File, error) {
	f, err := m.OpenMessage(ctx, uid)
	if err != nil {
		return nil, nil, err
	}
	p, err := message.ParseStructure(io.NewSectionReader(f, 0, f.Size()), message.DefaultLimits())
	if err != nil {
		_ = f.Close()
		return nil, nil, fail.Wrap(fail.Temporary, err, "reading message %d", uid)
	}
	return p, f, nil
}

// AppendEnvelope appends the message's ENVELOPE as wire bytes, from the cache
// or by parsing, which fills the cache.
func (m *Mailbox) AppendEnvelope(ctx context.Context, dst []byte, uid uint32) ([]byte, error) {
	e, err := m.Entry(ctx, uid)
	return append(dst, e.Envelope...), err
}

// AppendBodyStructure appends BODYSTRUCTURE (extended) or BODY in the same way.
func (m *Mailbox) AppendBodyStructure(ctx context.Context, dst []byte, uid uint32, extended bool) ([]byte, error) {
	if !extended { // rare, and not worth keeping
		p, f, err := m.Structure(ctx, uid)
		if err != nil {
			return dst, err
		}
		defer f.Close()
		return message.AppendBodyStructure(dst, p, false), nil
	}
	e, err := m.Entry(ctx, uid)
	return append(dst, e.Structure...), err
}

// Entry is what is kept of a message, read from its file when it was not yet.
func (m *Mailbox) Entry(ctx context.Context, uid uint32) (cache.Entry, error) {
	b := m.box
	if err := b.usable(); err != nil {
		return cache.Entry{}, err
	}
	b.touch()
	return b.cache.Entry(ctx, uid)
}

// Kept is Entry without reading the message. It need not be Whole.
func (m *Mailbox) Kept(uid uint32) (cache.Entry, bool) {
	if m.box.usable() != nil {
		return cache.Entry{}, false
	}
	return m.box.cache.Kept(uid)
}

// Full is Entry with the preview and the message's id, for which all of it is
// read.
func (m *Mailbox) Full(ctx context.Context, uid uint32) (cache.Entry, error) {
	b := m.box
	if err := b.usable(); err != nil {
		return cache.Entry{}, err
	}
	b.touch()
	return b.cache.Full(ctx, uid)
}

// Ahead is a command's reading of many messages, see cache.Window.
type Ahead struct {
	*cache.Window
	b     *box
	calls int
}

// Ahead says that a command will ask for the entries of these messages next,
// in ascending order, and for these header fields of them; brief: for nothing
// else that is not in a header. Stop it.
func (m *Mailbox) Ahead(ctx context.Context, set Set, fields []string, brief bool) *Ahead {
	a := &Ahead{b: m.box}
	var uids []uint32
	if a.b.usable() == nil {
		set.each(a.b.now.Load().im, func(_ int, r index.Record) bool {
			uids = append(uids, r.UID)
			return true
		})
	}
	a.Window = a.b.cache.Ahead(ctx, uids, fields, brief)
	return a
}

// Entry is Mailbox.Entry, valid until the next call.
func (a *Ahead) Entry(ctx context.Context, uid uint32) (*cache.Entry, error) {
	if err := a.b.usable(); err != nil {
		return nil, err
	}
	return a.Window.Entry(ctx, uid)
}

// Ready is that of cache.Window. A mailbox that cannot be used any more is
// never ready.
func (a *Ahead) Ready(uid uint32) bool {
	const often = 32
	if a.calls++; a.calls%often == 0 {
		if a.b.usable() != nil {
			return false
		}
		a.b.touch()
	}
	return a.Window.Ready(uid)
}

// Search evaluates a query about headers for all messages of s, as
// cache.Cache.Search.
func (m *Mailbox) Search(ctx context.Context, s *Snapshot, q *cache.Query, hits, open []uint64) {
	if m.box.usable() != nil {
		return
	}
	m.box.touch()
	m.box.cache.Search(ctx, q, s.UIDs(), hits, open)
}

// fill has the entries of new messages made in the background. When a whole
// mailbox is new, nobody knows what of it will be read.
func (b *box) fill(uids []uint32) {
	const few = 256
	if len(uids) > 0 && len(uids) <= few {
		b.cache.Fill(uids)
	}
}

// read has the cache read new messages: where they are still in memory now,
// else as fill does. The folder is not locked.
func (b *box) read(uids []uint32, list []newborn) {
	var later []uint32
	for i, n := range list {
		text := n.file.Text()
		if text == nil || !expand.Plain(text) || !b.cache.Take(uids[i], text) {
			later = append(later, uids[i])
		}
	}
	b.fill(later)
}

func (b *box) newCache(ix *index.Index) {
	b.cache = cache.New(b.acct.store.fs, ix.Dir(), cacheSource{b}, &b.acct.store.reading)
}

// cacheSource is a box as its cache sees it.
type cacheSource struct{ b *box }

func (s cacheSource) Open(ctx context.Context, uid uint32, mem *message.Memory) (cache.Message, time.Time, error) {
	return s.b.openMessage(ctx, uid, mem)
}

func (s cacheSource) Head(ctx context.Context, uid uint32, mem *message.Memory) (date time.Time, ok bool, err error) {
	f, can := s.b.format.(header)
	if r, known := s.b.brief(uid); !can || !known || r.Size < 0 || r.VSize < 0 {
		return date, false, nil
	}
	err = s.b.withFile(ctx, uid, func(r Ref) error {
		var err error
		date, ok, err = f.Head(r, mem)
		return err
	})
	return date, ok, err
}

func (s cacheSource) Learn(list []cache.Lesson) { s.b.note(list...) }

// Quiet does nothing while the account is frozen: a backup is being made.
func (s cacheSource) Quiet(fn func()) bool {
	if s.b.usable() != nil || !s.b.acct.freeze.TryRLock() {
		return false
	}
	defer s.b.acct.freeze.RUnlock()
	fn()
	return true
}

// Entry is where a message's entry is, also when that was learned a moment ago.
func (s cacheSource) Entry(uid uint32) int64 {
	if r, ok := s.b.brief(uid); ok && r.Cache != 0 {
		return r.Cache
	}
	return s.b.lesson(uid).Entry
}

func (b *box) brief(uid uint32) (index.Record, bool) {
	im := b.now.Load().im
	i, ok := im.Find(uid)
	if !ok {
		return index.Record{}, false
	}
	return im.Brief(i), true
}

// fullLessons is how many lessons are kept before they are written down.
const fullLessons = 256

// note keeps lessons for the index. Nobody waits for it.
func (b *box) note(l ...cache.Lesson) {
	b.learnedMu.Lock()
	b.learned = append(b.learned, l...)
	n := len(b.learned)
	b.learnedMu.Unlock()
	if n < fullLessons || !b.acct.freeze.TryRLock() {
		return
	}
	defer b.acct.freeze.RUnlock()
	if !b.mu.TryLock() {
		return
	}
	defer b.mu.Unlock()
	if b.usable() != nil || b.ix == nil {
		return
	}
	if err := b.learn(false); err != nil {
		b.acct.store.log.Warn("writing the index failed", obs.Err(err))
	}
}

// learn writes lessons into the index, b.mu held.
func (b *box) learn(all bool) error {
	b.learnedMu.Lock()
	list := b.learned
	if !all && len(list) < fullLessons {
		list = nil
	} else {
		b.learned = nil
	}
	b.learnedMu.Unlock()
	if len(list) == 0 {
		return nil
	}
	batch := b.ix.Begin()
	for _, l := range list {
		if l.Entry != 0 {
			batch.Cached(l.UID, l.Entry)
		}
		if news := b.news(l); news != (known{index.Unknown, index.Unknown, index.Unknown}) {
			batch.Known(l.UID, news.size, news.vsize, news.date)
		}
	}
	return b.commit(batch, false)
}

// known are the values of Batch.Known.
type known struct{ size, vsize, date int64 }

// news are the values of a lesson that the index has not yet.
func (b *box) news(l cache.Lesson) known {
	out := known{index.Unknown, index.Unknown, index.Unknown}
	r, ok := b.brief(l.UID)
	if !ok {
		return out
	}
	if r.Size < 0 && l.Size >= 0 || r.VSize < 0 && l.VSize >= 0 {
		out.size, out.vsize = l.Size, l.VSize
	}
	if r.Date == index.Unknown && !l.Date.IsZero() {
		out.date = l.Date.Unix()
	}
	return out
}
