package server

import (
	"context"
	"slices"
	"sort"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// view is what a client believes about its selected mailbox.
//
// Two snapshots make it up. Sequence numbers are those of pin: message n is
// row n-1 of it. Flags and new keywords were told as they are in told, which
// is pin or newer. The two differ only while an EXPUNGE may not be sent.
type view struct {
	mb       Mailbox
	name     string
	readOnly bool
	pin      Snapshot
	told     Snapshot
	recent   wire.Set // UIDs that are \Recent in this session; replaced, never changed in place
	saved    wire.Set // UIDs: "$", the result of the last search that was saved (RFC 5182)
	changing *call    // is changing flags: only it may tell of changes until it has told of its own
	keywords int      // how many keywords FLAGS has named
	rowUIDs  []uint32 // of all rows, in a search that has found many; else nil
	modseq   bool     // MODSEQs are kept here: RFC 7162 section 3.1.2

	// Where NOTIFY has turned changes of flags off, quiet is the last snapshot
	// of which the client knows them all; else nil.
	quiet Snapshot
	fresh wire.Set // UIDs that the client has just been told of, and nothing of them
	own   wire.Set // UIDs that it has made itself, since the last that were told
}

// newView pins the mailbox as it is. SELECT claims the \Recent messages,
// EXAMINE only shows those that nobody has claimed.
func newView(ctx context.Context, mb Mailbox, name string, readOnly bool) (*view, error) {
	v := &view{mb: mb, name: name, readOnly: readOnly}
	v.pin = mb.Snapshot()
	v.told = v.pin
	if v.pin.Info().ReadOnly {
		v.readOnly = true
	}
	if !v.readOnly {
		return v, v.claim(ctx)
	}
	v.peekRecent()
	return v, nil
}

// peekRecent shows what nobody has claimed as \Recent, without claiming it.
func (v *view) peekRecent() {
	if n := v.pin.Info().Recent; n > 0 && n <= v.pin.Len() {
		v.recent = wire.Set{{From: v.pin.At(v.pin.Len() - n).UID, To: v.lastUID()}}
	}
}

// claim makes unclaimed messages \Recent here, up to the last one of pin.
func (v *view) claim(ctx context.Context) error {
	first, err := v.mb.ClaimRecent(ctx)
	if last := v.lastUID(); err == nil && first > 0 && first <= last {
		v.recent = append(v.recent, wire.Range{From: first, To: last}).Resolve(last)
	}
	return err
}

// lastUID is the highest UID the client knows, 0 in an empty mailbox.
func (v *view) lastUID() uint32 { return v.pin.Info().LastUID }

// numRecent counts the \Recent messages that are still there.
func (v *view) numRecent() int {
	n := 0
	for _, g := range v.recent {
		from, to := v.pin.Find(g.From), v.pin.Find(g.To)
		if to < v.pin.Len() && v.pin.At(to).UID == g.To {
			to++
		}
		n += to - from
	}
	return n
}

// row returns message i of pin with its newest told flags. A message that has
// been expunged meanwhile keeps the flags it had; alive is false for it.
func (v *view) row(i int) (row Row, alive bool) {
	row = v.pin.At(i)
	if v.told == v.pin {
		return row, row.UID != 0
	}
	if j := v.told.Find(row.UID); j < v.told.Len() {
		if r := v.told.At(j); r.UID == row.UID {
			return r, true
		}
	}
	return row, false
}

// index returns the row of pin that has the UID.
func (v *view) index(uid uint32) (int, bool) {
	i := v.pin.Find(uid)
	return i, i < v.pin.Len() && v.pin.At(i).UID == uid
}

// now is the row by now of what was row i of snap, an older pin or this one:
// -1 when the client was told that the message is gone.
func (v *view) now(snap Snapshot, i int) int {
	if snap == v.pin {
		return i
	}
	if n, known := v.index(snap.At(i).UID); known {
		return n
	}
	return -1
}

// sync tells the client what has changed since it was last told, except the
// flags of messages that skip returns true for (nil: none). Without expunge,
// or while another command counts messages, those that are gone stay in the
// view, and none are added behind them. NOTIFY may have turned either off.
func (v *view) sync(ctx context.Context, s *call, expunge bool, skip func(Row) bool) {
	if v.changing != nil && v.changing != s {
		return
	}
	count, from := s.hearsCount(), v.told
	expunge = expunge && count && !s.counting(s)
	if v.quiet != nil && s.hears(wantsFlags) {
		from, v.quiet = v.quiet, nil
	}
	cur := v.mb.Snapshot()
	if cur == from && (cur == v.pin || !expunge) {
		return
	}
	flags := cur.Changes(from)
	gone := flags.Gone
	if v.pin != from {
		gone = cur.Changes(v.pin).Gone
	}
	v.tellKeywords(s.session, cur)
	if (expunge || count && len(gone) == 0) && !v.delays(s, cur) {
		v.tellGone(s.session, gone)
		v.tellNew(ctx, s, cur)
	}
	v.told = cur
	if !s.hears(wantsFlags) {
		if v.quiet == nil && len(flags.Changed) > 0 {
			v.quiet = from
		}
		return
	}
	for _, i := range flags.Changed {
		row := cur.At(i)
		if n, there := v.index(row.UID); there && (skip == nil || !skip(row)) {
			s.writeFlags(n, row, s.has(featureRev2) || s.notify != nil) // RFC 9051 section 7.5.2, RFC 5465 section 5.1
		}
	}
}

// delays reports whether the client is not to hear of new messages now; of
// those that went before them neither, as numbers go.
func (v *view) delays(s *call, cur Snapshot) bool {
	if !s.works(DelayNewmail) || s.spec != nil && (s.spec.name == "NOOP" || s.spec.name == "CHECK") {
		return false
	}
	n := cur.Len()
	return n > 0 && cur.At(n-1).UID > v.lastUID()
}

// current reports whether the client knows all there is to know of the mailbox.
func (v *view) current() bool {
	if v.quiet != nil || v.pin != v.told {
		return false
	}
	cur := v.mb.Snapshot() // may be another by who claims what is \Recent
	d := cur.Changes(v.told)
	return cur == v.told || len(d.Gone)+len(d.Changed) == 0 && cur.Len() == v.told.Len()
}

// sameFlags compares what a client sees of the flags of two rows.
func sameFlags(a, b Row) bool {
	if a.System != b.System || len(a.Keywords) != len(b.Keywords) {
		return false
	}
	for _, k := range a.Keywords {
		if !slices.Contains(b.Keywords, k) {
			return false
		}
	}
	return true
}

// tellGone sends EXPUNGE for rows of pin, or VANISHED. Each one moves the
// numbers of those behind it (RFC 3501 section 7.4.1).
func (v *view) tellGone(s *session, gone []int) {
	if len(gone) == 0 {
		return
	}
	s.news.gone = true
	if s.vanishes() {
		var uids wire.Set
		for _, i := range gone {
			uids.Add(v.pin.At(i).UID)
		}
		s.writeVanished("", uids)
		return
	}
	for k, i := range gone {
		s.w.Raw("* ")
		s.w.Num(uint64(i + 1 - k))
		s.w.Raw(" EXPUNGE\r\n")
	}
}

// tellNew makes cur the view and says how many messages it has.
func (v *view) tellNew(ctx context.Context, s *call, cur Snapshot) {
	last := v.lastUID()
	v.pin = cur
	if v.lastUID() <= last {
		return // an EXPUNGE has said how many there are
	}
	if v.readOnly {
		v.peekRecent()
	} else if err := v.claim(ctx); err != nil {
		s.logFailure("RECENT", err)
	}
	v.tellExists(s.session)
	if s.notify != nil && s.notify.fetch != nil {
		for i := v.pin.Find(last + 1); i < v.pin.Len(); i++ {
			if uid := v.pin.At(i).UID; uid != 0 && !v.own.Contains(uid) {
				v.fresh.Add(uid)
			}
		}
	}
	v.own = nil
}

func (v *view) tellExists(s *session) {
	s.w.Raw("* ")
	s.w.Num(uint64(v.pin.Len()))
	s.w.Raw(" EXISTS\r\n")
	if s.has(featureRev2) { // which has no \Recent
		return
	}
	s.w.Raw("* ")
	s.w.Num(uint64(v.numRecent()))
	s.w.Raw(" RECENT\r\n")
}

// tellKeywords announces keywords that the client has not heard of, before a
// FETCH names them.
func (v *view) tellKeywords(s *session, cur Snapshot) {
	info := cur.Info()
	if len(info.Keywords) == v.keywords {
		return
	}
	v.tellFlags(s, info)
}

func (v *view) tellFlags(s *session, info Info) {
	v.keywords = len(info.Keywords)
	s.w.Raw("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft")
	for _, k := range info.Keywords {
		s.w.Raw(" ")
		s.w.Raw(k)
	}
	s.w.Raw(")\r\n* OK [PERMANENTFLAGS (")
	if v.readOnly {
		s.w.Raw(")] Read-only mailbox.\r\n")
		return
	}
	s.w.Raw("\\Answered \\Flagged \\Deleted \\Seen \\Draft")
	for _, k := range info.Keywords {
		s.w.Raw(" ")
		s.w.Raw(k)
	}
	if info.NewKeywords {
		s.w.Raw(" \\*")
	}
	s.w.Raw(")] Flags permitted.\r\n")
}

// writeFlags writes a FETCH with the flags of row n (from 0) of the view: with
// the UID for a UID command, and with UID and MODSEQ for an aware client.
func (s *session) writeFlags(n int, row Row, uid bool) {
	s.w.Raw("* ")
	s.w.Num(uint64(n + 1))
	s.w.Raw(" FETCH (")
	modseq := s.tellsModSeq()
	if uid || modseq {
		s.w.Raw("UID ")
		s.w.Num(uint64(row.UID))
		s.w.Raw(" ")
	}
	s.writeFlagList(&row)
	if modseq {
		s.w.Raw(" ")
		s.writeModSeq(&row)
	}
	s.w.Raw(")\r\n")
}

// writeNewModSeq tells an aware client the MODSEQ of a message whose flags it
// knows.
func (s *session) writeNewModSeq(n int, row Row) {
	s.w.Raw("* ")
	s.w.Num(uint64(n + 1))
	s.w.Raw(" FETCH (UID ")
	s.w.Num(uint64(row.UID))
	s.w.Raw(" ")
	s.writeModSeq(&row)
	s.w.Raw(")\r\n")
}

func (s *session) writeModSeq(row *Row) {
	s.news.sent = max(s.news.sent, row.ModSeq)
	s.w.Raw("MODSEQ (")
	s.w.Num(row.ModSeq)
	s.w.Raw(")")
}

// writeVanished writes VANISHED; kind is "" or "(EARLIER) ".
func (s *session) writeVanished(kind string, uids wire.Set) {
	s.w.Raw("* VANISHED ")
	s.w.Raw(kind)
	s.w.Set(uids)
	s.w.CRLF()
}

// systemNames are the system flags in the order of their bits.
func systemNames() [5]string {
	return [5]string{"\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"}
}

// writeFlagList writes "FLAGS (…)". It does not allocate: a mailbox of
// 100 000 messages is listed with it.
func (s *session) writeFlagList(row *Row) {
	s.w.Raw("FLAGS (")
	sep := ""
	for i, name := range systemNames() {
		if row.System&(1<<i) != 0 {
			s.w.Raw(sep)
			s.w.Raw(name)
			sep = " "
		}
	}
	if !s.has(featureRev2) && s.view.recent.Contains(row.UID) {
		s.w.Raw(sep)
		s.w.Raw("\\Recent")
		sep = " "
	}
	for _, k := range row.Keywords {
		s.w.Raw(sep)
		s.w.Raw(k)
		sep = " "
	}
	s.w.Raw(")")
}

// seqSet resolves a set of sequence numbers to rows of the view, ascending.
// A number that no message has is the client's mistake.
func (v *view) seqSet(set wire.Set) (rows wire.Set, ok bool) {
	n := uint32(v.pin.Len())
	if n == 0 { // "1:*" of an empty mailbox is no mistake
		for _, g := range set {
			ok = g.From == wire.Star || g.To == wire.Star
		}
		return nil, ok
	}
	rows = set.Resolve(n)
	if len(rows) == 0 || rows[0].From == 0 || rows[len(rows)-1].To > n {
		return nil, false
	}
	return rows, true
}

// searched resolves the sequence numbers of a search key to rows, ascending.
// Numbers that no message has match nothing, as with Dovecot and in the examples
// of RFC 4731: they are a mistake in other commands only.
func (v *view) searched(set wire.Set) wire.Set {
	if set.IsSaved() {
		return v.resolveSaved(false)
	}
	n := uint32(v.pin.Len())
	if n == 0 {
		return nil
	}
	rows := set.Resolve(n)
	rows = rows[:sort.Search(len(rows), func(i int) bool { return rows[i].From > n })]
	if last := len(rows) - 1; last >= 0 {
		rows[last].To = min(rows[last].To, n)
	}
	return rows
}

// eachRow calls fn for every message of the set that the view has now, in
// order, until it returns false. It is for numbers that seqSet or Resolve prepared.
func (v *view) eachRow(set wire.Set, uid bool, fn func(i int) bool) {
	pin := v.pin // fn may let others replace it
	for _, g := range set {
		from, to := bounds(pin, g, uid)
		for i := from; i < to; i++ {
			if !fn(i) {
				return
			}
		}
	}
}

// bounds are the rows from <= i < to of snap that a range names.
func bounds(snap Snapshot, g wire.Range, uid bool) (from, to int) {
	if !uid {
		return int(g.From) - 1, int(g.To)
	}
	from, to = snap.Find(g.From), snap.Find(g.To)
	if to < snap.Len() && snap.At(to).UID == g.To {
		to++
	}
	return from, to
}

// changedSince returns the UIDs of those messages of a set whose MODSEQ, as far
// as the client was told, is above modseq. It costs as much as there are.
func (v *view) changedSince(set wire.Set, uid bool, modseq uint64) wire.Set {
	var out wire.Set
	for _, g := range set {
		from, to := bounds(v.pin, g, uid)
		if from >= to {
			continue
		}
		first, last := v.pin.At(from).UID, v.pin.At(to-1).UID
		from, to = bounds(v.told, wire.Range{From: first, To: last}, true)
		for i := range v.told.ChangedSince(modseq, from, to) {
			uid := v.told.At(i).UID
			if _, known := v.index(uid); known {
				out.Add(uid)
			}
		}
	}
	return out
}

// uids returns the UIDs of the messages that the set names.
func (v *view) uids(set wire.Set, uid bool) wire.Set {
	var out wire.Set
	v.eachRow(set, uid, func(i int) bool {
		if u := v.pin.At(i).UID; u != 0 {
			out.Add(u)
		}
		return true
	})
	return out
}

// resolve prepares the set of a command: sequence numbers are checked, UIDs
// need not exist (RFC 3501 section 6.4.8).
func (v *view) resolve(set wire.Set, uid bool) (wire.Set, bool) {
	if set.IsSaved() {
		return v.resolveSaved(uid), true
	}
	if !uid {
		return v.seqSet(set)
	}
	last := v.lastUID()
	if last == 0 {
		return nil, true
	}
	return slices.Clip(set.Resolve(last)), true
}

// resolveSaved is "$": those of the saved messages that are still in the view.
// None is a set like any other (RFC 5182 section 2.1).
func (v *view) resolveSaved(uid bool) (set wire.Set) {
	v.eachRow(v.saved, true, func(i int) bool {
		if uid {
			set.Add(v.pin.At(i).UID)
		} else {
			set.Add(uint32(i + 1))
		}
		return true
	})
	return set
}
