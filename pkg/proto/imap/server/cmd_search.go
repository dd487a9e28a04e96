package server

import (
	"context"
	"slices"
	"strings"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// SEARCH: RFC 3501 section 6.4.4, with the results of RFC 4731 (ESEARCH), one
// of which is that the result is kept as "$" (RFC 5182, SEARCHRES), and the
// MODSEQ key of RFC 7162 section 3.1.5.
//
//	search = "SEARCH" [SP "RETURN" SP "(" [opt *(SP opt)] ")"]
//	         [SP "CHARSET" SP astring] 1*(SP search-key)
func parseSearch(p *parser, uid bool) runner {
	c := &searchCmd{query{uid: uid, stages: 1}}
	if p.on&featureRev2 != 0 { // RFC 9051 section 6.4.4
		c.extended, c.results = true, resultAll
	}
	p.charset = ""
	p.SP()
	first := p.searchWord()
	if first == "RETURN" {
		c.returns(p)
		first = p.searchWord()
	}
	if first == "CHARSET" {
		p.SP()
		if p.on&featureUTF8 != 0 {
			p.Fail("CHARSET is not allowed with UTF8=ACCEPT") // RFC 6855 section 3
		}
		c.inCharset(p)
		first = p.searchWord()
	}
	c.keys(p, first)
	c.first = c.results&^resultSave == resultMin
	return c
}

type searchCmd struct{ query }

// query is what SEARCH, SORT and THREAD have in common.
type query struct {
	uid        bool
	extended   bool // ESEARCH was asked for
	results    searchResult
	badCharset bool
	first      bool // the first match is enough
	root       key

	stages int // of the work: finding, and looking at what was found
	told   *progress
}

type searchResult uint8

const (
	resultMin searchResult = 1 << iota
	resultMax
	resultAll
	resultCount
	resultSave
)

// returns reads what follows RETURN, and the space behind it.
func (q *query) returns(p *parser) {
	q.extended, q.results = true, 0
	p.SP()
	p.List(func() {
		switch p.Word() {
		case "MIN":
			q.results |= resultMin
		case "MAX":
			q.results |= resultMax
		case "ALL":
			q.results |= resultAll
		case "COUNT":
			q.results |= resultCount
		case "SAVE":
			q.results |= resultSave
		default:
			p.Fail("Unknown SEARCH return option")
		}
	})
	if q.results == 0 {
		q.results = resultAll
	}
	p.SP()
}

// inCharset reads the charset of the strings that follow, and the space
// behind it. One that we do not know is answered when the command runs: it
// may have had a result to save.
func (q *query) inCharset(p *parser) {
	p.charset = p.AString()
	if _, known := message.ToUTF8(p.charset, ""); !known {
		q.badCharset, p.charset = true, ""
	}
	p.SP()
}

// narrow: a search that asks for no flags does not mind if they change, and
// UID SEARCH counts messages when its keys do.
func (q *query) narrow(e effects, _ *view) effects {
	if !q.root.has(opFlag, opKeyword, opModSeq) {
		e &^= readsFlags
	}
	if q.root.has(opSet) {
		e |= countsMessages
	}
	if q.results&resultSave != 0 {
		e |= writesSaved
	}
	return e
}

func (c *searchCmd) run(ctx context.Context, s *call) reply {
	v, rows, failed := c.find(ctx, s)
	switch {
	case failed != nil:
		return *failed
	case c.extended:
		return c.answer(s, v, rows, ok("Search completed."))
	}
	s.w.Raw("* SEARCH")
	c.writeNumbers(s, v, rows)
	return ok("Search completed.")
}

// find returns the rows of v that match, in order, v being the view as it was
// when the command began, whatever other commands have made of it meanwhile:
// message numbers in the arguments mean those before any EXPUNGE that is sent
// before the end (RFC 9051 section 5.5).
func (q *query) find(ctx context.Context, s *call) (v *view, rows []int32, failed *reply) {
	fail := func(r reply) (*view, []int32, *reply) { return nil, nil, &r }
	if q.badCharset {
		if q.results&resultSave != 0 { // RFC 5182 section 2.1
			s.view.saved = nil
		}
		return fail(no(badCharset(), "Unknown charset."))
	}
	now := *s.view
	v = &now
	q.root.prepare(v)
	if q.root.has(opModSeq) {
		if !v.modseq {
			return fail(noModSeq())
		}
		s.becomeAware()
	}
	q.told = s.progress(v.pin.Len(), q.stages)
	s.away(func() { rows = q.search(ctx, s, v) })
	if s.stopped(ctx) {
		return fail(none())
	}
	return v, rows, nil
}

func badCharset() imap.ResponseCode {
	return imap.ResponseCode("BADCHARSET (" + strings.Join(message.Charsets(), " ") + ")")
}

// search returns the rows that match.
func (q *query) search(ctx context.Context, s *call, v *view) []int32 {
	f := newFinding(ctx, s, v, q)
	defer f.release()
	return f.run(q.rows(v), q.first)
}

// rows are the rows to look at.
func (q *query) rows(v *view) Bits {
	rows := newBits(v.pin.Len())
	set, byUID := q.candidates(v)
	for _, g := range set {
		rows.fill(bounds(v.pin, g, byUID))
	}
	return rows
}

// candidates narrows the messages to look at by a set that the search names.
func (q *query) candidates(v *view) (set wire.Set, byUID bool) {
	for _, k := range q.root.kids {
		if k.op == opSet || k.op == opUID {
			return k.set, k.op == opUID
		}
	}
	if n := uint32(v.pin.Len()); n > 0 {
		return wire.Set{{From: 1, To: n}}, false
	}
	return nil, false
}

// number is what the answer calls a row of v.
func (q *query) number(v *view, row int32) uint32 {
	switch {
	case !q.uid:
		return uint32(row) + 1
	case v.rowUIDs != nil:
		return v.rowUIDs[row]
	}
	return v.pin.At(int(row)).UID
}

// writeNumbers writes the rest of a line of numbers.
func (q *query) writeNumbers(s *call, v *view, rows []int32) {
	for _, i := range rows {
		s.w.SpaceNum(uint64(q.number(v, i)))
	}
	if high := q.highModSeq(v, rows); high > 0 {
		s.w.Raw(" (MODSEQ ")
		s.w.Num(high)
		s.w.Raw(")")
	}
	s.w.CRLF()
}

// highModSeq is the MODSEQ to tell, 0 for none: the highest of the messages
// that the answer names, if MODSEQ was a key (RFC 7162 section 3.1.5, RFC 4731
// section 3.2).
func (q *query) highModSeq(v *view, rows []int32) (high uint64) {
	if !q.root.has(opModSeq) {
		return 0
	}
	for _, i := range q.chosen(rows) {
		row, _ := v.row(int(i))
		high = max(high, row.ModSeq)
	}
	return high
}

// chosen are those of rows that a result names: all, or the first and the
// last, when nothing else was asked for.
func (q *query) chosen(rows []int32) []int32 {
	few := q.extended && q.results&(resultAll|resultCount) == 0 && q.results&(resultMin|resultMax) != 0
	if !few || len(rows) == 0 {
		return rows
	}
	var some []int32
	if q.results&resultMin != 0 {
		some = append(some, rows[0])
	}
	if last := rows[len(rows)-1]; q.results&resultMax != 0 && !slices.Contains(some, last) {
		some = append(some, last)
	}
	return some
}

// answer saves and writes what was asked for, and returns done, unless it is
// too much to be saved. rows are in the order of the answer: the lowest and the
// highest are the first and the last.
func (q *query) answer(s *call, v *view, rows []int32, done reply) reply {
	if q.results&resultSave != 0 && !q.save(s, v, rows) {
		return no("NOTSAVED", "The result is in too many pieces to be saved.")
	}
	if q.results != resultSave { // RFC 5182 section 1: nothing else was asked for
		q.writeResults(s, v, rows)
	}
	return done
}

// maxSaved bounds what a session holds for "$", in ranges of eight bytes. It
// is beyond what half of a mailbox of 100 000 messages comes to.
const maxSaved = 64 << 10

// save makes "$" what was found, or the one or two of it that are told (RFC
// 5182 section 2.4). It is false, and "$" empty, when that is too much
// (section 2.5).
func (q *query) save(s *call, v *view, rows []int32) bool {
	rows = q.chosen(rows)
	if !slices.IsSorted(rows) {
		rows = slices.Sorted(slices.Values(rows))
	}
	var saved wire.Set
	for _, i := range rows {
		saved.Add(v.pin.At(int(i)).UID)
	}
	s.view.saved = nil
	if len(saved) > s.srv.maxSaved {
		return false
	}
	s.view.saved = slices.Clip(saved)
	return true
}

// writeResults: RFC 4731 section 3.1. Without a match only COUNT is told. The
// set is in the order of rows, and ranges are in it where that is ascending
// (RFC 5267 section 3.2).
func (q *query) writeResults(s *call, v *view, rows []int32) {
	s.w.Raw("* ESEARCH (TAG ")
	s.w.String(s.tag)
	s.w.Raw(")")
	if q.uid {
		s.w.Raw(" UID")
	}
	num := func(asked searchResult, name string, n uint32) {
		if q.results&asked != 0 {
			s.w.Raw(name)
			s.w.Num(uint64(n))
		}
	}
	if n := len(rows); n > 0 {
		num(resultMin, " MIN ", q.number(v, rows[0]))
		num(resultMax, " MAX ", q.number(v, rows[n-1]))
		if q.results&resultAll != 0 {
			var set wire.Set
			for _, i := range rows {
				set.Add(q.number(v, i))
			}
			s.w.Raw(" ALL ")
			s.w.Set(set)
		}
	}
	num(resultCount, " COUNT ", uint32(len(rows)))
	if high := q.highModSeq(v, rows); high > 0 {
		s.w.Raw(" MODSEQ ")
		s.w.Num(high)
	}
	s.w.CRLF()
}
