package mailbox

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/digest"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/index"
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

// openMessage opens a message's file wherever it is by now.
func (b *box) openMessage(ctx context.Context, uid uint32) (f File, date time.Time, err error) {
	err = b.withFile(ctx, uid, func(r Ref) error {
		var err error
		f, date, err = b.format.Open(r)
		return err
	})
	return f, date, err
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

// OpenMessage opens a message for reading. NotFound: it is gone.
func (m *Mailbox) OpenMessage(ctx context.Context, uid uint32) (File, error) {
	f, _, err := m.box.openMessage(ctx, uid)
	return f, err
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
	if x.Size >= 0 && x.VSize >= 0 && !x.Date.IsZero() {
		return x, nil
	}
	f, date, err := m.box.openMessage(ctx, x.UID)
	if err != nil {
		return x, err
	}
	defer f.Close()
	l := lesson{uid: x.UID, size: index.Unknown, vsize: index.Unknown, date: date.Unix()}
	x.Date = time.Unix(l.date, 0)
	if x.Size < 0 || x.VSize < 0 {
		if x.Size, x.VSize, _, err = message.Count(io.NewSectionReader(f, 0, f.Size())); err != nil {
			return x, fail.Wrap(fail.Temporary, err, "reading message %d", x.UID)
		}
		l.size, l.vsize = x.Size, x.VSize
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
	var err error
	set.each(m.box.now.Load().im, func(_ int, r index.Record) bool {
		h, herr := m.Header(ctx, r.UID)
		if err = ctx.Err(); err != nil || fail.Is(herr, fail.NotFound) {
			return err == nil
		}
		if err = herr; err != nil {
			return false
		}
		k := digest.KeysOf(h)
		return fn(r.UID, &k)
	})
	return err
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
	env, _, err := m.wire(ctx, uid)
	return append(dst, env...), err
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
	_, body, err := m.wire(ctx, uid)
	return append(dst, body...), err
}

// wire returns envelope and body structure. In the cache they stand together:
// the envelope's length, the envelope, the structure.
func (m *Mailbox) wire(ctx context.Context, uid uint32) (env, body []byte, err error) {
	b := m.box
	if err := b.usable(); err != nil {
		return nil, nil, err
	}
	off := b.cacheOffset(uid)
	if both, ok := b.cache.Get(nil, uid, off); ok {
		if n, k := binary.Uvarint(both); k > 0 && n <= uint64(len(both)-k) {
			b.touch()
			return both[k : k+int(n)], both[k+int(n):], nil
		}
	}
	p, f, err := m.Structure(ctx, uid)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	both := binary.AppendUvarint(nil, uint64(len(p.Envelope)))
	both = append(both, p.Envelope...)
	start := len(both)
	both = message.AppendBodyStructure(both, p, true)
	if off, err := b.cache.Put(uid, both); err == nil {
		b.note(lesson{uid: uid, size: index.Unknown, vsize: index.Unknown, date: index.Unknown, cache: off})
	}
	return both[start-len(p.Envelope) : start], both[start:], nil
}

// cacheOffset is where a message's wire bytes are, also when that was learned
// a moment ago.
func (b *box) cacheOffset(uid uint32) int64 {
	if r, ok := b.brief(uid); ok && r.Cache != 0 {
		return r.Cache
	}
	b.learnedMu.Lock()
	defer b.learnedMu.Unlock()
	for i := len(b.learned) - 1; i >= 0; i-- {
		if l := b.learned[i]; l.uid == uid && l.cache != 0 {
			return l.cache
		}
	}
	return 0
}

func (b *box) brief(uid uint32) (index.Record, bool) {
	im := b.now.Load().im
	i, ok := im.Find(uid)
	if !ok {
		return index.Record{}, false
	}
	return im.Brief(i), true
}

// lesson is something that was learned of a message by reading it.
type lesson struct {
	uid               uint32
	size, vsize, date int64
	cache             int64
}

// fullLessons is how many lessons are kept before they are written down.
const fullLessons = 256

// note keeps a lesson for the index. Nobody waits for it.
func (b *box) note(l lesson) {
	b.learnedMu.Lock()
	b.learned = append(b.learned, l)
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
		if l.cache != 0 {
			batch.Cached(l.uid, l.cache)
		}
		if l.size >= 0 || l.date != index.Unknown {
			batch.Known(l.uid, l.size, l.vsize, l.date)
		}
	}
	return b.commit(batch, false)
}
