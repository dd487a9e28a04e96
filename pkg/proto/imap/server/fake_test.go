package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/digest"
)

// fakeAccount is mail in memory: the smallest Account that keeps every
// promise of backend.go.
type fakeAccount struct {
	mu    sync.Mutex
	boxes map[string]*fakeBox
	subs  map[string]bool
	use   map[imap.MailboxAttr]string // which mailbox has it
	uidv  uint32
	now   time.Time
	fault error // every operation fails with it

	gateMu sync.Mutex
	gates  map[string]*gate // by the operation that waits there
	jitter func()           // called in every operation

	followers map[int]func(Event)
	by        any // who is changing something, mu held
}

// gate is where an operation of the account is held.
type gate struct {
	reached, open chan struct{}
	fault         bool
}

// hold makes the next operations of that name wait.
func (a *fakeAccount) hold(name string) {
	a.gateMu.Lock()
	defer a.gateMu.Unlock()
	if a.gates == nil {
		a.gates = map[string]*gate{}
	}
	a.gates[name] = &gate{reached: make(chan struct{}), open: make(chan struct{})}
}

// gate returns the gate of that name, or nil.
func (a *fakeAccount) gate(name string) *gate {
	a.gateMu.Lock()
	defer a.gateMu.Unlock()
	return a.gates[name]
}

// let opens a gate for good.
func (a *fakeAccount) let(name string) {
	a.gateMu.Lock()
	defer a.gateMu.Unlock()
	close(a.gates[name].open)
	delete(a.gates, name)
}

// pass waits at the gate of that name, if there is one.
func (a *fakeAccount) pass(ctx context.Context, name string) error {
	if a.jitter != nil {
		a.jitter()
	}
	g := a.gate(name)
	if g == nil {
		return nil
	}
	if g.fault {
		panic("fault in " + name)
	}
	select {
	case g.reached <- struct{}{}:
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newFakeAccount(names ...string) *fakeAccount {
	a := &fakeAccount{
		boxes: map[string]*fakeBox{}, subs: map[string]bool{}, use: map[imap.MailboxAttr]string{},
		uidv: 100, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for _, n := range append([]string{"INBOX"}, names...) {
		a.add(n)
	}
	return a
}

func (a *fakeAccount) add(name string) *fakeBox {
	b := a.place(name)
	a.emit(MailboxCreated, name, "")
	return b
}

func (a *fakeAccount) place(name string) *fakeBox {
	a.uidv++
	b := &fakeBox{account: a, uidv: a.uidv, next: 1, data: map[uint32]*fakeMessage{}, modseq: 1}
	b.cur = &fakeSnapshot{info: Info{UIDValidity: b.uidv, UIDNext: 1, HighestModSeq: 1, NewKeywords: true}}
	a.boxes[name] = b
	return b
}

func (a *fakeAccount) box(name string) (*fakeBox, error) {
	if a.fault != nil {
		return nil, a.fault
	}
	if b := a.boxes[name]; b != nil {
		return b, nil
	}
	return nil, fail.New(fail.NotFound, "mailbox %s", name)
}

func (a *fakeAccount) Folders(ctx context.Context) ([]Folder, error) {
	if err := a.pass(ctx, "folders"); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Folder
	for n := range a.boxes {
		f := Folder{Name: n, Subscribed: a.subs[n]}
		for use, box := range a.use {
			if box == n {
				f.SpecialUse = append(f.SpecialUse, use)
			}
		}
		slices.Sort(f.SpecialUse)
		out = append(out, f)
	}
	for n := range a.subs {
		if a.boxes[n] == nil {
			out = append(out, Folder{Name: n, NonExistent: true, Subscribed: true})
		}
	}
	return out, a.fault
}

func (a *fakeAccount) Create(ctx context.Context, name string, uses []imap.MailboxAttr) error {
	if err := a.pass(ctx, "create"); err != nil {
		return err
	}
	defer a.as(ctx)()
	if a.boxes[name] != nil {
		return fail.New(fail.Exists, "mailbox %s", name)
	}
	for _, use := range uses {
		if use == imap.MailboxAttrArchive { // this account has none
			return ErrUse
		}
		a.use[use] = name
	}
	a.add(name)
	return nil
}

func (a *fakeAccount) Delete(ctx context.Context, name string) error {
	defer a.as(ctx)()
	b, err := a.box(name)
	if err == nil {
		delete(a.boxes, name)
		b.dead = fail.New(fail.NotFound, "mailbox %s was deleted", name)
		b.changed()
		a.emit(MailboxDeleted, name, "")
	}
	return err
}

func (a *fakeAccount) Rename(ctx context.Context, old, name string) error {
	defer a.as(ctx)()
	return a.rename(old, name)
}

func (a *fakeAccount) rename(old, name string) error {
	if a.boxes[name] != nil {
		return fail.New(fail.Exists, "mailbox %s", name)
	}
	if a.fault != nil {
		return a.fault
	}
	moved := map[string]*fakeBox{}
	for n, b := range a.boxes {
		if n == old || old != "INBOX" && strings.HasPrefix(n, old+".") {
			delete(a.boxes, n)
			moved[name+n[len(old):]] = b
		}
	}
	if len(moved) == 0 { // a level that is no mailbox may be renamed as well
		return fail.New(fail.NotFound, "mailbox %s", old)
	}
	maps.Copy(a.boxes, moved)
	if old == "INBOX" {
		a.place("INBOX")
	}
	a.emit(MailboxRenamed, name, old)
	return nil
}

func (a *fakeAccount) Subscribe(ctx context.Context, name string, on bool) error {
	defer a.as(ctx)()
	a.subscribe(name, on)
	return nil
}

func (a *fakeAccount) subscribe(name string, on bool) {
	if on {
		a.subs[name] = true
	} else {
		delete(a.subs, name)
	}
	a.emit(SubscriptionChanged, name, "")
}

func (a *fakeAccount) Status(ctx context.Context, name string, size bool) (Status, error) {
	if err := a.pass(ctx, "status"); err != nil {
		return Status{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b, err := a.box(name)
	if err != nil {
		return Status{}, err
	}
	st := Status{
		Messages: uint32(b.cur.Len()), Recent: uint32(b.cur.info.Recent), UIDNext: b.next, UIDValidity: b.uidv,
		HighestModSeq: b.modseq, MailboxID: fmt.Sprintf("F%d", b.uidv),
	}
	for _, r := range b.cur.rows {
		if r.System&Seen == 0 {
			st.Unseen++
		}
		if r.System&Deleted != 0 {
			st.Deleted++
		}
		if size {
			st.Size += r.Size
		}
	}
	return st, nil
}

func (a *fakeAccount) Open(_ context.Context, name string) (Mailbox, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, err := a.box(name)
	if err != nil {
		return nil, err
	}
	return &fakeHandle{fakeBox: b}, nil
}

func (a *fakeAccount) Append(ctx context.Context, name string, next Messages) (Appended, error) {
	a.mu.Lock()
	_, err := a.box(name)
	a.mu.Unlock()
	if err != nil {
		return Appended{}, err
	}
	var list []*Message
	var texts []string
	for {
		m, err := next()
		if err != nil {
			return Appended{}, err
		}
		if m == nil {
			break
		}
		text, err := io.ReadAll(m.Body)
		switch {
		case err != nil:
			return Appended{}, err
		case int64(len(text)) != m.Size:
			return Appended{}, fail.New(fail.Invalid, "%d bytes, announced were %d", len(text), m.Size)
		case bytes.Contains(text, []byte("quota")):
			return Appended{}, fail.New(fail.Full, "no room")
		}
		list, texts = append(list, m), append(texts, string(text))
	}
	defer a.as(ctx)()
	b, err := a.box(name)
	if err != nil {
		return Appended{}, err
	}
	done := Appended{UIDValidity: b.uidv}
	for i, m := range list {
		if m.Date.IsZero() {
			m.Date = a.now
		}
		done.UIDs = append(done.UIDs, b.deliver(texts[i], m.Date, apply(Row{}, imap.StoreFlagsSet, m.Flags)))
	}
	return done, nil
}

func (h *fakeHandle) Replace(ctx context.Context, uid uint32, dest string, m Messages) (Appended, error) {
	done, err := h.account.Append(ctx, dest, m)
	if err == nil {
		defer h.account.as(ctx)()
		h.remove(func(r Row) bool { return r.UID == uid })
	}
	return done, err
}

type fakeMessage struct {
	text string
	date time.Time
}

// fakeBox is the shared state of one mailbox; account.mu guards it.
type fakeBox struct {
	account *fakeAccount
	uidv    uint32
	next    uint32
	claimed uint32 // UIDs below are not \Recent for anybody new
	cur     *fakeSnapshot
	data    map[uint32]*fakeMessage
	dead    error
	modseq  uint64
	gone    map[uint32]uint64 // UIDs, and with which MODSEQ
	since   uint64            // gone is complete from here on
	wakes   map[int]func()
	wakeN   int
}

// update replaces the snapshot by one with other rows. What is different has
// the next MODSEQ.
func (b *fakeBox) update(rows []Row) {
	rows = b.stamp(rows)
	info := b.cur.info
	info.HighestModSeq = b.modseq
	info.UIDNext = b.next
	info.Recent = 0
	for _, r := range rows {
		if r.UID >= b.claimed {
			info.Recent++
		}
		for _, k := range r.Keywords {
			if !slices.Contains(info.Keywords, k) {
				info.Keywords = append(slices.Clone(info.Keywords), k)
			}
		}
	}
	old := b.cur
	b.cur = &fakeSnapshot{info: info, rows: rows, gone: b.gone, since: b.since}
	b.emit(old)
	b.changed()
}

func (b *fakeBox) stamp(rows []Row) []Row {
	rows = slices.Clone(rows)
	next := b.modseq + 1
	for i, r := range rows {
		if old, there := b.cur.row(r.UID); !there || !sameFlags(old, r) {
			rows[i].ModSeq, b.modseq = next, next
		}
	}
	now := &fakeSnapshot{rows: rows}
	for _, r := range b.cur.rows {
		if _, there := now.row(r.UID); !there {
			gone := maps.Clone(b.gone)
			if gone == nil {
				gone = map[uint32]uint64{}
			}
			gone[r.UID] = next
			b.gone, b.modseq = gone, next
		}
	}
	return rows
}

func (b *fakeBox) changed() {
	for _, w := range b.wakes {
		w()
	}
}

func (b *fakeBox) deliver(text string, date time.Time, flags Row) uint32 {
	uid := b.next
	b.next++
	b.data[uid] = &fakeMessage{text, date}
	row := Row{UID: uid, System: flags.System, Keywords: flags.Keywords, Size: int64(len(text)), Date: date}
	b.update(append(slices.Clone(b.cur.rows), row))
	return uid
}

// fakeHandle is a session's Mailbox.
type fakeHandle struct{ *fakeBox }

func (h *fakeHandle) Snapshot() Snapshot {
	h.account.mu.Lock()
	defer h.account.mu.Unlock()
	return h.cur
}

func (h *fakeHandle) ID() string { return fmt.Sprintf("F%d", h.uidv) }

func (h *fakeHandle) Err() error {
	h.account.mu.Lock()
	defer h.account.mu.Unlock()
	return h.dead
}

func (h *fakeHandle) Sync(context.Context) error { return h.Err() }

func (h *fakeHandle) Watch(wake func()) func() {
	h.account.mu.Lock()
	defer h.account.mu.Unlock()
	if h.wakes == nil {
		h.wakes = map[int]func(){}
	}
	h.wakeN++
	n := h.wakeN
	h.wakes[n] = wake
	return func() {
		h.account.mu.Lock()
		defer h.account.mu.Unlock()
		delete(h.wakes, n)
	}
}

func (h *fakeHandle) ClaimRecent(context.Context) (uint32, error) {
	h.account.mu.Lock()
	defer h.account.mu.Unlock()
	first := max(h.claimed, 1)
	h.claimed = h.next
	if info := h.cur.info; info.Recent > 0 {
		info.Recent = 0
		h.cur = &fakeSnapshot{info, h.cur.rows, h.cur.gone, h.cur.since}
	}
	return first, nil
}

func (h *fakeHandle) Store(ctx context.Context, uids imap.UIDSet, c Change) (refused imap.UIDSet, err error) {
	if err := h.account.pass(ctx, "store"); err != nil {
		return nil, err
	}
	h.account.mu.Lock()
	fault := h.account.fault
	h.account.mu.Unlock()
	if fault != nil {
		return nil, fault
	}
	refused = h.change(ctx, uids, c)
	return refused, h.account.pass(ctx, "stored")
}

func (h *fakeHandle) change(ctx context.Context, uids imap.UIDSet, c Change) (refused imap.UIDSet) {
	defer h.account.as(ctx)()
	rows := slices.Clone(h.cur.rows)
	for i, r := range rows {
		switch {
		case !uids.Contains(imap.UID(r.UID)):
		case c.If != nil && r.ModSeq > c.If.Since && !untouched(r, c):
			refused.AddNum(imap.UID(r.UID))
		default:
			rows[i] = apply(r, c.Op, c.Flags)
		}
	}
	h.update(rows)
	return refused
}

// untouched: other flags have changed than those that c is about, or it asks
// for keywords that are not there.
func untouched(r Row, c Change) bool {
	old, told := c.If.Told.(*fakeSnapshot).row(r.UID)
	return c.Op != imap.StoreFlagsSet && !slices.ContainsFunc(c.Flags, func(f imap.Flag) bool {
		if c.If.Since == 0 {
			return systemFlag(f) != 0 || keywordIs(r, string(f))
		}
		return !told || old.ModSeq > c.If.Since || keywordIs(old, string(f)) != keywordIs(r, string(f))
	})
}

func (h *fakeHandle) Copy(ctx context.Context, uids imap.UIDSet, dest string, move bool) (Copied, error) {
	if err := h.account.pass(ctx, "copy"); err != nil {
		return Copied{}, err
	}
	defer h.account.as(ctx)()
	d, err := h.account.box(dest)
	if err != nil {
		return Copied{}, err
	}
	out := Copied{UIDValidity: d.uidv}
	var keep []Row
	for _, r := range h.cur.rows {
		if !uids.Contains(imap.UID(r.UID)) {
			keep = append(keep, r)
			continue
		}
		out.Source = append(out.Source, r.UID)
		out.Dest = append(out.Dest, d.deliver(h.data[r.UID].text, h.data[r.UID].date, r))
	}
	if move {
		h.update(keep)
	}
	return out, nil
}

func (h *fakeHandle) Expunge(ctx context.Context, uids imap.UIDSet) error {
	defer h.account.as(ctx)()
	h.remove(func(r Row) bool { return r.System&Deleted != 0 && (uids == nil || uids.Contains(imap.UID(r.UID))) })
	return nil
}

// remove takes the rows out that which names; account.mu is held.
func (b *fakeBox) remove(which func(Row) bool) {
	b.update(slices.DeleteFunc(slices.Clone(b.cur.rows), which))
}

func (h *fakeHandle) Open(uid uint32) Content {
	h.account.mu.Lock()
	defer h.account.mu.Unlock()
	return &fakeContent{a: h.account, uid: uid, m: h.data[uid]}
}

func (h *fakeHandle) Close() error { return nil }

// fakeContent stands on package message, as the real one does.
type fakeContent struct {
	a   *fakeAccount
	uid uint32
	m   *fakeMessage
}

func (c *fakeContent) load(ctx context.Context) (*bytes.Reader, *message.Part, error) {
	if err := c.a.pass(ctx, fmt.Sprintf("content %d", c.uid)); err != nil {
		return nil, nil, err
	}
	if c.m == nil {
		return nil, nil, fail.New(fail.NotFound, "message is gone")
	}
	r := bytes.NewReader([]byte(c.m.text))
	p, err := message.ParseStructure(strings.NewReader(c.m.text), message.DefaultLimits())
	return r, p, err
}

func (c *fakeContent) AppendEnvelope(ctx context.Context, dst []byte) ([]byte, error) {
	_, p, err := c.load(ctx)
	if err != nil {
		return dst, err
	}
	return append(dst, p.Envelope...), nil
}

func (c *fakeContent) AppendStructure(ctx context.Context, dst []byte, extended bool) ([]byte, error) {
	_, p, err := c.load(ctx)
	if err != nil {
		return dst, err
	}
	return message.AppendBodyStructure(dst, p, extended), nil
}

func (c *fakeContent) Size(ctx context.Context) (int64, error) {
	_, p, err := c.load(ctx)
	if err != nil {
		return 0, err
	}
	return p.VSize(), nil
}

func (c *fakeContent) Date(context.Context) (time.Time, error) { return c.m.date, nil }

func (c *fakeContent) Section(ctx context.Context, s message.Section) (Body, error) {
	r, p, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	body, err := message.OpenSection(r, p, s, message.DefaultLimits())
	if fail.Is(err, fail.NotFound) {
		return nil, fail.Wrap(fail.Invalid, err, "section")
	}
	return body, err
}

func (c *fakeContent) Text(ctx context.Context, header bool) (io.Reader, error) {
	r, p, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	var all []io.Reader
	if header {
		all = append(all, io.NewSectionReader(r, 0, p.BodyStart))
	}
	for part := range p.Walk() {
		if t, isText := message.Text(r, part); isText {
			all = append(all, t)
		}
	}
	return io.MultiReader(all...), nil
}

func (c *fakeContent) Fields(ctx context.Context, name string) ([]string, error) {
	if _, _, err := c.load(ctx); err != nil {
		return nil, err
	}
	var out []string
	for f := range message.ParseHeader([]byte(c.m.text), message.DefaultLimits()).All(name) {
		out = append(out, message.DecodeWords(f.Value()))
	}
	return out, nil
}

func (c *fakeContent) Keys(ctx context.Context) (Keys, error) {
	if _, _, err := c.load(ctx); err != nil {
		return Keys{}, err
	}
	return digest.KeysOf(message.ParseHeader([]byte(c.m.text), message.DefaultLimits())), nil
}

func (c *fakeContent) Close() error { return nil }
