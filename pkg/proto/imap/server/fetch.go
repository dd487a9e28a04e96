package server

import (
	"context"
	"errors"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// seenBatch is how many messages become \Seen with one change of the mailbox.
// They do so before they are sent; a client that leaves in between has at
// most this many marked that it did not get.
const seenBatch = 64

// fetch is the state of one FETCH while it runs.
type fetch struct {
	*fetchCmd
	ctx     context.Context
	s       *call
	snap    Snapshot // of the view when it began: rows are counted in it
	sent    int      // messages since others had a turn
	fresh   wire.Set // UIDs that became \Seen in this batch
	gone    bool     // a message could not be found any more
	failed  bool     // a message could not be read
	unknown bool     // a part has an encoding that nobody knows
	reading Reading  // nil when nothing is read ahead
	easy    bool     // a message that is ready is sent without waiting for anything

	// The pieces of the answer for one message that are not in its row.
	pieces []piece
}

// piece is the value of an item, made before the line is begun: a message
// that turns out to be gone leaves nothing half written.
type piece struct {
	from, to int // in the call's scratch
	body     Body
	ready    bool // the section is in scratch
	missing  bool // it does not exist
	nul      bool // it has a NUL in it
	size     int64
	text     string
}

func (c *fetchCmd) run(ctx context.Context, s *call) reply {
	v := s.view
	set, valid := v.resolve(c.set, c.uid)
	if !valid {
		return badSet("FETCH")
	}
	if r, refused := c.condstore(s); refused {
		return r
	}
	byUID := c.uid
	if c.changed {
		set, byUID = v.changedSince(set, byUID, c.since), true
	}
	f := &fetch{fetchCmd: c, ctx: ctx, s: s, snap: v.pin, pieces: make([]piece, len(c.items))}
	if ahead, ok := v.mb.(Reader); ok {
		if reads, fields, easy := c.reads(); reads {
			brief := easy && !c.has(itemBodyStructure)
			f.reading, f.easy = ahead.Ahead(ctx, v.uids(set, byUID).UIDs(), fields, brief), easy
			defer f.reading.Stop()
		}
	}
	if !c.seen || v.readOnly {
		v.eachRow(set, byUID, f.one)
	} else if err := f.batches(v.uids(set, byUID)); err != nil {
		return s.failed("FETCH", v.name, err)
	}
	switch {
	case s.stopped(ctx):
		return none()
	case f.gone:
		return no(codeExpungeIssued, textGone)
	case f.unknown:
		return unknownCTE()
	case f.failed:
		return no(imap.ResponseCodeServerBug, "Some messages could not be read.")
	}
	return ok("Fetch completed.")
}

// condstore is what RFC 7162 has FETCH do before anything else.
func (c *fetchCmd) condstore(s *call) (r reply, refused bool) {
	v := s.view
	switch {
	case !c.has(itemModSeq):
		if c.seen && s.tellsModSeq() {
			s.floor = s.safe()
		}
		return reply{}, false
	case !v.modseq:
		return noModSeq(), true
	case c.vanished && !s.has(featureQresync):
		return bad("QRESYNC is not enabled."), true
	}
	s.becomeAware()
	if c.vanished { // before any FETCH: section 3.2.6
		s.tellEarlier(c.since, c.set, 0)
	}
	return reply{}, false
}

// reads reports whether an item is about a message's header or structure, and
// which header fields are asked for first. easy: no item is about anything that
// is not in a row or read ahead.
func (c *fetchCmd) reads() (reads bool, fields []string, easy bool) {
	easy = true
	for i := range c.items {
		switch it := &c.items[i]; it.kind {
		case itemUID, itemFlags, itemModSeq, itemDate, itemSize:
		case itemEnvelope, itemBodyStructure:
			reads = true
		case itemSection:
			picked := it.isFields() && fields == nil
			if it.section.Kind == message.SectionHeaderFields {
				reads = true
			}
			if easy = easy && picked; picked {
				fields = it.section.Fields
			}
		default:
			easy = false
		}
	}
	return reads, fields, easy
}

// isFields reports whether it is about header fields of the message itself,
// all of each.
func (it *fetchItem) isFields() bool {
	return it.section.Kind == message.SectionHeaderFields && len(it.section.Path) == 0 && !it.partial
}

// batches marks messages \Seen and sends them, some at a time.
func (f *fetch) batches(uids wire.Set) error {
	v := f.s.view
	var batch []int
	flush := func() error {
		err := f.markSeen(batch)
		for i := 0; err == nil && i < len(batch) && f.one(batch[i]); i++ {
		}
		batch = batch[:0]
		return err
	}
	var err error
	v.eachRow(uids, true, func(i int) bool {
		if batch = append(batch, i); len(batch) == seenBatch {
			err = flush()
		}
		return err == nil && f.wanted()
	})
	if err == nil && f.wanted() {
		err = flush()
	}
	return err
}

// wanted reports whether anybody still wants the rest.
func (f *fetch) wanted() bool { return f.s.w.Err() == nil && f.ctx.Err() == nil }

// turn is how many messages are sent before others have their turn.
const turn = 64

func (f *fetch) carryOn(waited bool) bool {
	if f.sent++; f.sent < turn && !waited {
		return f.s.w.Err() == nil
	}
	f.sent = 0
	f.s.breathe()
	return f.wanted()
}

func (f *fetch) markSeen(batch []int) error {
	v := f.s.view
	f.fresh = f.fresh[:0]
	for _, i := range batch {
		n := v.now(f.snap, i)
		if n < 0 {
			continue
		}
		if row, alive := v.row(n); alive && row.System&Seen == 0 {
			f.fresh.Add(row.UID)
		}
	}
	if len(f.fresh) == 0 {
		return nil
	}
	v.changing = f.s
	defer func() { v.changing = nil }()
	var err error
	f.s.away(func() {
		_, err = v.mb.Store(f.ctx, f.fresh.UIDs(), Change{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}})
	})
	if err != nil {
		return err
	}
	v.sync(f.ctx, f.s, false, func(row Row) bool { return f.fresh.Contains(row.UID) })
	return nil
}

// one sends row i. It reports whether to go on. A message that the client has
// been told is gone is none that it could have asked for: UIDs only get here.
func (f *fetch) one(i int) bool {
	v := f.s.view
	n := v.now(f.snap, i)
	if n < 0 {
		return f.carryOn(f.content)
	}
	row, _ := v.row(n)
	if row.UID == 0 {
		f.gone = true
		return true
	}
	waits := f.content && !f.ready(&row)
	if f.content {
		var err error
		defer f.release()
		if waits {
			f.s.away(func() { err = f.prepare(&row) })
			if n = v.now(f.snap, i); n < 0 {
				return f.carryOn(true)
			}
		} else {
			err = f.prepare(&row)
		}
		if err != nil {
			f.note(err)
			return f.carryOn(true)
		}
		if waits {
			row, _ = v.row(n)
		}
	}
	f.write(n, &row)
	return f.carryOn(waits)
}

// ready reports whether all that is asked for of a message is in memory: then
// the others need not have their turn before it is sent.
func (f *fetch) ready(row *Row) bool {
	return f.easy && f.reading.Ready(row.UID) &&
		(row.Size >= 0 || !f.has(itemSize)) && (!row.Date.IsZero() || !f.has(itemDate))
}

// note remembers why a message was left out.
func (f *fetch) note(err error) {
	if fail.Is(err, fail.NotFound) {
		f.gone = true
		return
	}
	if f.unknown {
		return // the answer says it
	}
	if !f.failed { // one line in the log for a command, not one for each message
		f.s.logFailure("FETCH", err)
	}
	f.failed = true
}

// prepare makes the pieces of one message.
func (f *fetch) prepare(row *Row) (err error) {
	var content Content
	open := func() Content {
		if content == nil {
			content = f.open(row.UID)
			f.s.content = content
		}
		return content
	}
	f.s.scratch = f.s.scratch[:0]
	for i := range f.items {
		p := &f.pieces[i]
		*p = piece{from: len(f.s.scratch), size: row.Size}
		switch it := &f.items[i]; it.kind {
		case itemEnvelope:
			f.s.scratch, err = open().AppendEnvelope(f.ctx, f.s.scratch)
			f.downgrade(p.from)
		case itemBody, itemBodyStructure:
			f.s.scratch, err = open().AppendStructure(f.ctx, f.s.scratch, it.kind == itemBodyStructure)
			f.downgrade(p.from)
		case itemSize:
			if row.Size < 0 {
				p.size, err = open().Size(f.ctx)
			}
		case itemDate:
			date := row.Date
			if date.IsZero() {
				date, err = open().Date(f.ctx)
			}
			f.s.scratch = wire.AppendDateTime(f.s.scratch, date)
		case itemSection:
			err = f.openSection(p, it, open())
		default:
			if it.kind >= itemBinary {
				err = f.prepareDetail(p, it, open())
			}
		}
		if err != nil {
			return err
		}
		p.to = len(f.s.scratch)
	}
	return nil
}

func (f *fetch) open(uid uint32) Content {
	if f.reading != nil {
		return f.reading.Open(uid)
	}
	return f.s.view.mb.Open(uid)
}

func (f *fetch) openSection(p *piece, it *fetchItem, content Content) error {
	if a, able := content.(FieldsAppender); able && it.isFields() {
		var err error
		f.s.scratch, p.ready, err = a.AppendFields(f.ctx, f.s.scratch, it.section.Fields)
		if err != nil || p.ready {
			return err
		}
	}
	body, err := content.Section(f.ctx, it.section)
	if fail.Is(err, fail.Invalid) {
		p.missing = true
		return nil
	}
	if err != nil {
		return err
	}
	if it.partial {
		if err := body.Partial(it.off, it.n); err != nil {
			return err
		}
	}
	p.body = body
	return nil
}

// release closes what prepare has opened. A scratch that one huge message has
// blown up is not kept.
func (f *fetch) release() {
	f.s.closeContent()
	if cap(f.s.scratch) > 64<<10 {
		f.s.scratch = nil
	}
}

// write sends the line of one message.
func (f *fetch) write(i int, row *Row) {
	w := f.s.w
	w.Raw("* ")
	w.Num(uint64(i + 1))
	w.Raw(" FETCH ")
	sep := "("
	for k := range f.items {
		w.Raw(sep)
		sep = " "
		f.writeItem(&f.items[k], &f.pieces[k], row)
	}
	if f.fresh.Contains(row.UID) {
		f.writeSeen(row)
	}
	w.Raw(")\r\n")
}

// writeSeen adds what was not asked for to the line of a message that has just
// become \Seen: FLAGS (RFC 3501 section 6.4.5), and for an aware client UID and
// MODSEQ (RFC 7162 section 3.2.4).
func (f *fetch) writeSeen(row *Row) {
	extra := []itemKind{itemFlags}
	if f.s.tellsModSeq() {
		extra = []itemKind{itemUID, itemFlags, itemModSeq}
	}
	for _, kind := range extra {
		if !f.has(kind) {
			f.s.w.Raw(" ")
			f.writeItem(&fetchItem{kind: kind}, nil, row)
		}
	}
}

func (f *fetch) writeItem(it *fetchItem, p *piece, row *Row) {
	w := f.s.w
	switch it.kind {
	case itemUID:
		w.Raw("UID ")
		w.Num(uint64(row.UID))
	case itemFlags:
		f.s.writeFlagList(row)
	case itemModSeq:
		f.s.writeModSeq(row)
	case itemDate:
		w.Raw("INTERNALDATE ")
		w.Bytes(f.s.scratch[p.from:p.to])
	case itemSize:
		w.Raw("RFC822.SIZE ")
		w.Num(uint64(p.size))
	case itemEnvelope:
		w.Raw("ENVELOPE ")
		w.Bytes(f.s.scratch[p.from:p.to])
	case itemBody:
		w.Raw("BODY ")
		w.Bytes(f.s.scratch[p.from:p.to])
	case itemBodyStructure:
		w.Raw("BODYSTRUCTURE ")
		w.Bytes(f.s.scratch[p.from:p.to])
	case itemSection:
		w.Raw(it.label)
		w.Raw(" ")
		f.writeBody(it, p)
	default:
		f.writeDetail(it, p)
	}
}

// writeBody streams a section. A source that fails in the middle ends the
// session: the client counts the bytes.
func (f *fetch) writeBody(it *fetchItem, p *piece) {
	var size int64
	switch {
	case p.missing:
		f.s.w.Raw("NIL")
		return
	case p.ready:
		size = int64(p.to - p.from)
	default:
		size = p.body.Size()
	}
	switch it.section.Kind {
	case message.SectionAll, message.SectionText:
		f.s.sum.BodyCount++
		f.s.sum.BodyBytes += size
	default:
		f.s.sum.HdrCount++
		f.s.sum.HdrBytes += size
	}
	if p.ready {
		f.s.w.LiteralBytes(f.s.scratch[p.from:p.to])
		return
	}
	f.s.w.Literal(size, p.body)
	var short *wire.SourceError
	if errors.As(f.s.w.Err(), &short) {
		f.s.logFailure("FETCH", short)
	}
}

// downgrade rewrites what scratch has from there on for a client that has not
// enabled UTF-8 where it could (RFC 6855 section 8).
func (f *fetch) downgrade(from int) {
	if f.s.p.offersUTF8 && !f.s.p.utf8 {
		f.s.scratch = append(f.s.scratch[:from], wire.Downgrade(f.s.scratch[from:])...)
	}
}
