package cache

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/digest"
)

// Source is the mailbox whose messages are cached.
type Source interface {
	// Open opens a message and says when it was received. A small one is
	// read into mem, if there is one, which is the Message then.
	Open(ctx context.Context, uid uint32, mem *message.Memory) (Message, time.Time, error)
	// Head reads the beginning of a message into mem, of a usual one all of its
	// header. false: Open is to be asked, as when sizes are not known: they come
	// with reading all of it.
	Head(ctx context.Context, uid uint32, mem *message.Memory) (date time.Time, ok bool, err error)
	// Entry is where the index has a message's entry, 0 for nowhere.
	Entry(uid uint32) int64
	// Learn is told what reading messages has shown.
	Learn(list []Lesson)
	// Quiet runs fn unless the mailbox is closed or must not be written to.
	Quiet(fn func()) bool
}

// Cache is a mailbox's cache. Safe for concurrent use.
type Cache struct {
	src     Source
	entries entries
	columns columns
	memory  *Memory
	filler  filler
	wanted  atomic.Bool // clients ask for what Full gives: it is made of new messages
}

// Memory is what reading takes, for the caches of all mailboxes: it is used
// again by whoever reads next. The zero Memory is ready.
type Memory struct {
	makers sync.Pool // of *maker
	steps  sync.Pool // of *step
}

// New is the cache in the folder of the mailbox's index. It opens nothing.
func New(fsys disk.FS, dir string, src Source, memory *Memory) *Cache {
	c := &Cache{src: src, memory: memory}
	c.entries.fs, c.entries.name = fsys, filepath.Join(dir, cacheName)
	c.columns.fs, c.columns.name = fsys, filepath.Join(dir, columnsName)
	c.filler.init()
	return c
}

// kept calls use with the entries of messages, ok only for those that are
// there. What use gets is in mem, or may be kept if that is nil.
func (c *Cache) kept(uids []uint32, mem *room, use func(i int, e Entry, ok bool)) {
	offs := make([]int64, len(uids))
	any := false
	for i, uid := range uids {
		offs[i] = c.src.Entry(uid)
		any = any || offs[i] != 0
	}
	if !any {
		for i := range uids {
			use(i, Entry{}, false)
		}
		return
	}
	c.entries.get(uids, offs, mem, func(i int, data []byte) {
		e, ok := parseEntry(data)
		use(i, e, ok)
	})
}

// Entry returns what is kept of a message; what is not, is made. NotFound: the
// message is gone.
func (c *Cache) Entry(ctx context.Context, uid uint32) (Entry, error) {
	return c.entry(ctx, uid, bodies)
}

// Full is Entry with preview and id. Once it was asked for, they are made of
// each new message, too.
func (c *Cache) Full(ctx context.Context, uid uint32) (Entry, error) {
	c.wanted.Store(true)
	return c.entry(ctx, uid, full)
}

// Kept is Entry without reading the message. It need not be Whole.
func (c *Cache) Kept(uid uint32) (e Entry, found bool) {
	c.kept([]uint32{uid}, nil, func(_ int, k Entry, ok bool) { e, found = k, ok })
	return e, found
}

func (c *Cache) entry(ctx context.Context, uid uint32, d depth) (e Entry, err error) {
	e, found := c.Kept(uid)
	if found && e.depth() >= d {
		return e, nil
	}
	c.make(ctx, []uint32{uid}, d, found, func(_ int, k Entry, kerr error) { e, err = k, kerr })
	return e, err
}

// Search evaluates q for the messages with these UIDs, ascending, whose rows
// are in open. hits gets those that meet it, and may get others that do; open
// loses those of which that is now known. Messages are not read, entries are.
func (c *Cache) Search(ctx context.Context, q *Query, uids []uint32, hits, open Bits) {
	col := q.column()
	c.columns.search(q, uids, hits, open)
	if col == 0 || col != colSent && len(q.Needle) == 0 {
		return
	}
	c.regain(ctx, uids, open, func(i int, r *row) {
		clearBit(open, i)
		if q.has(r, col) {
			set(hits, i)
		}
	})
}

// regain makes rows of the entries of messages that have none, which is so
// after the file of columns was lost.
func (c *Cache) regain(ctx context.Context, uids []uint32, open Bits, use func(i int, r *row)) {
	const step = 256
	var at []int
	var list []uint32
	var room []byte
	some := func() {
		var rows []row
		c.kept(list, nil, func(i int, e Entry, ok bool) {
			if raw, all := e.Fields(KeyFields()...); ok && all {
				if r, ok := makeRow(list[i], message.ParseHeader(raw, message.DefaultLimits()), &room); ok {
					rows = append(rows, r)
					use(at[i], &r)
				}
			}
		})
		_ = c.columns.add(rows)
		at, list = at[:0], list[:0]
	}
	for i := 0; i < len(uids); i++ {
		if open[i/64]>>(i%64) == 0 { // there is seldom one
			i |= 63
			continue
		}
		uid := uids[i]
		if !isSet(open, i) || c.src.Entry(uid) == 0 {
			continue
		}
		if at, list = append(at, i), append(list, uid); len(list) == step {
			if some(); ctx.Err() != nil {
				return
			}
		}
	}
	if len(list) > 0 {
		some()
	}
}

// Keys calls use with the keys of the messages with these UIDs, ascending; in
// any order, and not for those that are gone. The strings of k may be kept.
func (c *Cache) Keys(ctx context.Context, uids []uint32, use func(i int, k *digest.Keys)) error {
	open := make(Bits, len(uids)/64+1)
	for i := range uids {
		set(open, i)
	}
	once := func(i int, k *digest.Keys) {
		if isSet(open, i) {
			clearBit(open, i)
			use(i, k)
		}
	}
	c.columns.keys(uids, once)
	var k digest.Keys
	c.regain(ctx, uids, open, func(i int, r *row) {
		if parseKeys(string(r.text[colKeys]), r.sent, &k) {
			once(i, &k)
		}
	})
	missing := stillOpen(uids, open)
	if len(missing) == 0 {
		return nil
	}
	if err := c.read(ctx, missing); err != nil {
		return err
	}
	c.columns.keys(uids, once)
	for i, uid := range uids {
		if !isSet(open, i) {
			continue
		}
		k, err := c.keysOf(ctx, uid)
		switch {
		case err == nil:
			once(i, &k)
		case !fail.Is(err, fail.NotFound):
			return err
		}
	}
	return nil
}

// stillOpen are the UIDs of the rows that are open.
func stillOpen(uids []uint32, open Bits) (list []uint32) {
	for i, uid := range uids {
		if isSet(open, i) {
			list = append(list, uid)
		}
	}
	return list
}

// read has messages read by as many workers as there are, so that what is kept
// of them is known.
func (c *Cache) read(ctx context.Context, uids []uint32) error {
	w := c.Ahead(ctx, uids, nil, true)
	defer w.Stop()
	for _, uid := range uids {
		if _, err := w.Entry(ctx, uid); err != nil && !fail.Is(err, fail.NotFound) {
			return err
		}
	}
	return nil
}

// keysOf are the keys of a message that is in no column.
func (c *Cache) keysOf(ctx context.Context, uid uint32) (digest.Keys, error) {
	e, err := c.entry(ctx, uid, heads)
	if err != nil {
		return digest.Keys{}, err
	}
	raw, ok := e.Fields(KeyFields()...)
	if !ok {
		raw, err = c.header(ctx, uid)
	}
	return digest.KeysOf(message.ParseHeader(raw, message.DefaultLimits())), err
}

// header reads the header of a message with one too odd to be kept.
func (c *Cache) header(ctx context.Context, uid uint32) ([]byte, error) {
	f, _, err := c.src.Open(ctx, uid, nil)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, err := message.HeaderAt(f, &message.Part{BodyStart: f.Size()}, message.DefaultLimits())
	return h.Bytes(), ioError(err, "reading message %d", uid)
}

// Size is the length of the file of entries, 0 before it was used.
func (c *Cache) Size() int64 { return c.entries.size() }

// Rest writes what waits in memory, as far as it can be written.
func (c *Cache) Rest() { _ = c.columns.flush() }

// Sleep is Rest, and closes the files until they are needed.
func (c *Cache) Sleep() {
	c.Rest()
	_ = c.columns.close()
	_ = c.entries.close()
}

// Reset forgets everything: the UIDs are others now, or nobody knows.
func (c *Cache) Reset() error {
	if err := c.columns.reset(); err != nil {
		return err
	}
	return c.entries.reset()
}

// Trim begins files anew that are mostly about messages that are gone. It
// returns true when the entries were: what the index says of them is void.
func (c *Cache) Trim(messages int) (bool, error) {
	if n := c.columns.rowsKept(); n > 4*maxRows && n > 2*messages {
		if err := c.columns.reset(); err != nil {
			return false, err
		}
	}
	return c.entries.trim(messages)
}

// Stop ends the work in the background and waits for it.
func (c *Cache) Stop() { c.filler.stop() }

// Close stops and closes.
func (c *Cache) Close() {
	c.Stop()
	c.Sleep()
}
