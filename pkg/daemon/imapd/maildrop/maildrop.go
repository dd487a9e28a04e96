package maildrop

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	pop3 "github.com/postcote/postcote/pkg/proto/pop3/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// Drop shows an INBOX to the POP3 engine as it was at login. What it
// holds per message is there only where settings or notes ask for it.
type Drop struct {
	m     *mailbox.Mailbox
	s     *mailbox.Snapshot
	rules *Rules
	notes map[uint32]maildir.Note

	order []int32       // places in s in the order of messages; nil: all of s
	sizes map[int]int64 // by place in s, those that the index did not know
	total int64         // -1: not known yet
	ids   []string      // unique ids, where each depends on the others
}

var _ pop3.Maildrop = (*Drop)(nil)

// Open looks at an INBOX. It stays the caller's to close.
func Open(ctx context.Context, m *mailbox.Mailbox, rules *Rules) (*Drop, error) {
	if err := m.Sync(ctx); err != nil {
		return nil, err
	}
	d := &Drop{m: m, s: m.Snapshot(), rules: rules, total: -1}
	if !rules.NoFlagUpdates {
		if _, err := m.ClaimRecent(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	if d.notes, err = m.Notes(); err != nil {
		return nil, err
	}
	d.arrange()
	return d, nil
}

// arrange leaves out what is deleted for POP3 and puts first what the notes
// put first.
func (d *Drop) arrange() {
	ordered := false
	for _, n := range d.notes {
		ordered = ordered || n.Order > 0
	}
	if !ordered && d.rules.DeletedFlag == "" {
		return
	}
	d.order = []int32{}
	for i, m := range d.s.All() {
		if d.rules.DeletedFlag == "" || !d.s.HasKeyword(m, d.rules.DeletedFlag) {
			d.order = append(d.order, int32(i))
		}
	}
	if !ordered {
		return
	}
	place := func(i int32) uint32 { return d.notes[d.s.UID(int(i))].Order - 1 } // none is the highest
	slices.SortStableFunc(d.order, func(a, b int32) int {
		switch x, y := place(a), place(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
}

// at is the place of message i in the snapshot.
func (d *Drop) at(i int) int {
	if d.order == nil {
		return i
	}
	return int(d.order[i])
}

// Len is the number of messages.
func (d *Drop) Len() int {
	if d.order == nil {
		return d.s.Len()
	}
	return len(d.order)
}

// Size is the number of octets of message i with CRLF line ends.
func (d *Drop) Size(ctx context.Context, i int) (int64, error) {
	at := d.at(i)
	m := d.s.At(at)
	if m.VSize >= 0 {
		return m.VSize, nil
	}
	if n, ok := d.sizes[at]; ok {
		return n, nil
	}
	if d.rules.FastSizes && m.Size >= 0 {
		return m.Size, nil
	}
	m, err := d.m.Resolve(ctx, d.s, at)
	switch {
	case fail.Is(err, fail.NotFound):
		m.VSize = 0 // gone since: what is asked of it next says so
	case err != nil:
		return 0, err
	}
	if d.sizes == nil {
		d.sizes = map[int]int64{}
	}
	d.sizes[at] = m.VSize
	return m.VSize, nil
}

// Total is the sum of all sizes.
func (d *Drop) Total(ctx context.Context) (int64, error) {
	if d.total >= 0 {
		return d.total, nil
	}
	if sum, ok := d.s.VSize(); ok && d.order == nil {
		d.total = sum
		return sum, nil
	}
	sum := int64(0)
	for i := range d.Len() {
		n, err := d.Size(ctx, i)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	d.total = sum
	return sum, nil
}

// AppendUIDL appends the unique id of message i.
func (d *Drop) AppendUIDL(ctx context.Context, dst []byte, i int) ([]byte, error) {
	if d.ids == nil && (d.rules.SaveUIDL || d.rules.UIDLDuplicates == "rename") {
		if err := d.settle(ctx); err != nil {
			return dst, err
		}
	}
	if d.ids != nil {
		return append(dst, d.ids[i]...), nil
	}
	return d.uidl(ctx, dst, d.at(i))
}

// uidl is the unique id of a message by itself: the one kept in the UID list,
// the X-UIDL header, or by the format, as Dovecot decides.
func (d *Drop) uidl(ctx context.Context, dst []byte, at int) ([]byte, error) {
	uid := d.s.UID(at)
	note := d.notes[uid]
	if note.UIDL != "" {
		return append(dst, note.UIDL...), nil
	}
	if d.rules.ReuseXUIDL {
		h, err := d.m.Header(ctx, uid)
		if err != nil && !fail.Is(err, fail.NotFound) {
			return dst, err
		}
		if id := strings.TrimSpace(h.Get("X-UIDL")); pop3.ValidUIDL(id) {
			return append(dst, id...), nil
		}
	}
	x := pop3.Facts{UID: uid, Validity: d.s.UIDValidity()}
	if d.rules.format.Names() {
		x.File = d.s.Base(at)
		if x.GUID = note.GUID; x.GUID == "" {
			x.GUID = x.File
		}
	}
	return d.rules.format.Append(dst, x), nil
}

// settle works out the ids of all messages, in the order of their UIDs, and
// keeps them for good where that is wished.
func (d *Drop) settle(ctx context.Context) error {
	places := make([]int, d.Len())
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int { return d.at(a) - d.at(b) })
	ids, fresh := make([]string, d.Len()), map[uint32]string{}
	seen := map[string]int{}
	for _, i := range places {
		at := d.at(i)
		raw, err := d.uidl(ctx, nil, at)
		if err != nil {
			return err
		}
		ids[i] = string(raw)
		if d.rules.UIDLDuplicates == "rename" {
			ids[i] = distinct(ids[i], seen)
		}
		if uid := d.s.UID(at); d.rules.SaveUIDL && d.notes[uid].UIDL == "" && uid != 0 {
			fresh[uid] = ids[i]
		}
	}
	if err := d.m.SaveUIDLs(ctx, fresh); err != nil {
		return err
	}
	d.ids = ids
	return nil
}

// distinct counts on behind an id that was there before: "id-2", "id-3".
func distinct(id string, seen map[string]int) string {
	for {
		n := seen[id] + 1
		seen[id] = n
		if n == 1 {
			return id
		}
		id = id[:min(len(id), pop3.MaxUIDL-11)] + "-" + strconv.Itoa(n)
	}
}

// atOnce is how long a message may be that is read at once. A client that is
// slow to take it holds so much, and no more.
const atOnce = 64 << 10

// Open gives message i as it is stored. One of usual size is read at once.
func (d *Drop) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	at := d.at(i)
	b := &body{rules: d.rules}
	if d.usual(at) {
		b.mem = d.rules.memory()
	}
	f, err := d.m.LoadMessage(ctx, d.s.UID(at), b.mem)
	if err != nil {
		b.giveBack()
		return nil, err
	}
	b.f, b.left = f, f.Size()
	return b, nil
}

// usual: the message is known to be one that may be read at once.
func (d *Drop) usual(at int) bool {
	m := d.s.At(at)
	n := max(m.Size, m.VSize)
	if n < 0 {
		var known bool
		if n, known = d.sizes[at]; !known {
			return false
		}
	}
	return n <= atOnce
}

// body reads a message as it is stored: the engine makes its line ends.
type body struct {
	f     mailbox.File
	off   int64
	left  int64
	rules *Rules
	mem   *message.Memory // nil: it is read piece by piece, or was given back
}

func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.EOF
	}
	n, err := b.f.ReadAt(p[:min(int64(len(p)), b.left)], b.off)
	b.off += int64(n)
	if b.left -= int64(n); b.left <= 0 && (err == nil || err == io.EOF) {
		return n, io.EOF
	}
	if err == io.EOF { // shorter than it was when it was opened
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *body) Close() error {
	err := b.f.Close()
	b.left = 0
	b.giveBack()
	return err
}

func (b *body) giveBack() {
	if b.mem != nil {
		b.mem.Trim()
		b.rules.texts.Put(b.mem)
		b.mem = nil
	}
}

// Seen reports whether message i was marked as seen at login.
func (d *Drop) Seen(i int) bool { return d.s.At(d.at(i)).Flags&mailbox.Seen != 0 }

func (d *Drop) set(list []int) mailbox.Set {
	uids := make([]uint32, len(list))
	for n, i := range list {
		uids[n] = d.s.UID(d.at(i))
	}
	return mailbox.SetOf(uids...)
}

// Mark sets or takes away the mark of being seen.
func (d *Drop) Mark(ctx context.Context, list []int, seen bool) error {
	if len(list) == 0 {
		return nil
	}
	c := mailbox.Change{Op: mailbox.Add, Flags: mailbox.Seen, UnchangedSince: mailbox.NoCondition}
	if !seen {
		c.Op = mailbox.Remove
	}
	_, err := d.m.Store(ctx, d.set(list), c)
	return err
}

// Delete removes messages, or gives them the flag that hides them.
func (d *Drop) Delete(ctx context.Context, list []int) error {
	if d.rules.DeleteType == "flag" {
		c := mailbox.Change{Op: mailbox.Add, Keywords: []string{d.rules.DeletedFlag}, UnchangedSince: mailbox.NoCondition}
		_, err := d.m.Store(ctx, d.set(list), c)
		return err
	}
	_, err := d.m.Remove(ctx, d.set(list))
	return err
}
