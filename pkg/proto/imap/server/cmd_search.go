package server

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/message/collate"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// SEARCH: RFC 3501 section 6.4.4, with the results of RFC 4731 (ESEARCH) and
// the MODSEQ key of RFC 7162 section 3.1.5.
//
//	search = "SEARCH" [SP "RETURN" SP "(" [opt *(SP opt)] ")"]
//	         [SP "CHARSET" SP astring] 1*(SP search-key)
func parseSearch(p *parser, uid bool) runner {
	c := &searchCmd{uid: uid, root: key{op: opAnd}}
	if p.on&featureRev2 != 0 { // RFC 9051 section 6.4.4
		c.extended, c.results = true, resultAll
	}
	p.SP()
	first := p.searchWord()
	if first == "RETURN" {
		c.extended, c.results = true, 0
		p.SP()
		p.List(func() { c.returnOption(p) })
		if c.results == 0 {
			c.results = resultAll
		}
		p.SP()
		first = p.searchWord()
	}
	if first == "CHARSET" {
		p.SP()
		if p.on&featureUTF8 != 0 {
			p.Fail("CHARSET is not allowed with UTF8=ACCEPT") // RFC 6855 section 3
		}
		if cs := p.AString(); p.Ok() && !strings.EqualFold(cs, "UTF-8") && !strings.EqualFold(cs, "US-ASCII") {
			p.Refuse(&wire.SyntaxError{No: true, Code: "BADCHARSET (UTF-8 US-ASCII)", Text: "Unknown charset"})
		}
		p.SP()
		first = p.searchWord()
	}
	for {
		c.root.kids = append(c.root.kids, p.searchKey(first))
		if !p.Ok() || p.AtEnd() {
			return c
		}
		p.SP()
		first = p.searchWord()
	}
}

type searchCmd struct {
	uid      bool
	extended bool // ESEARCH was asked for
	results  searchResult
	root     key
}

type searchResult uint8

const (
	resultMin searchResult = 1 << iota
	resultMax
	resultAll
	resultCount
)

func (c *searchCmd) returnOption(p *parser) {
	switch p.Word() {
	case "MIN":
		c.results |= resultMin
	case "MAX":
		c.results |= resultMax
	case "ALL":
		c.results |= resultAll
	case "COUNT":
		c.results |= resultCount
	default:
		p.Fail("Unknown SEARCH return option")
	}
}

// searchWord reads the name of a search key; "" when a set or a parenthesis
// stands there instead.
func (p *parser) searchWord() string {
	switch c := p.Peek(); {
	case c >= '0' && c <= '9', c == '*', c == '(':
		return ""
	}
	return p.Word()
}

// searchKey reads the key that begins with word.
func (p *parser) searchKey(word string) key {
	defer p.Deeper()()
	if word == "" {
		if p.Peek() != '(' {
			return key{op: opSet, set: p.Set()}
		}
		k := key{op: opAnd}
		p.List(func() { k.kids = append(k.kids, p.searchKey(p.searchWord())) })
		if p.Ok() && len(k.kids) == 0 {
			p.Fail("Empty search group")
		}
		return k
	}
	if k, found := plainKeys(word); found {
		return k
	}
	if !slices.Contains(argKeys(), word) {
		p.Fail("Unknown search key " + word[:min(len(word), 32)])
		return key{}
	}
	p.SP()
	switch word {
	case "NOT":
		return not(p.searchKey(p.searchWord()))
	case "OR":
		a := p.searchKey(p.searchWord())
		p.SP()
		return key{op: opOr, kids: []key{a, p.searchKey(p.searchWord())}}
	case "UID":
		return key{op: opUID, set: p.Set()}
	case "MODSEQ":
		return p.modSeqKey()
	case "KEYWORD", "UNKEYWORD":
		k := key{op: opKeyword, name: string(p.Flag())}
		if word == "UNKEYWORD" {
			return not(k)
		}
		return k
	}
	return p.valueKey(word)
}

// modSeqKey reads [entry-name SP entry-type SP] mod-sequence. All flags of a
// message have one MODSEQ here, so which of them is meant makes no difference
// (RFC 7162 section 3.1.5).
func (p *parser) modSeqKey() key {
	if p.Peek() == '"' {
		if !strings.HasPrefix(p.String(), "/flags/") {
			p.Fail("Unknown metadata item")
		}
		p.SP()
		if t := p.Word(); p.Ok() && t != "ALL" && t != "PRIV" && t != "SHARED" {
			p.Fail("Unknown type of a metadata item")
		}
		p.SP()
	}
	return key{op: opModSeq, n: p.Number64()}
}

// valueKey reads keys with a date, a size or a string.
func (p *parser) valueKey(word string) key {
	switch word {
	case "BEFORE", "ON", "SINCE":
		return key{op: opDate, rel: relation(word), date: p.Date()}
	case "SENTBEFORE", "SENTON", "SENTSINCE":
		return key{op: opSent, rel: relation(word[4:]), date: p.Date()}
	case "LARGER":
		return key{op: opSize, rel: 1, n: p.Number64()}
	case "SMALLER":
		return key{op: opSize, rel: -1, n: p.Number64()}
	case "BCC", "CC", "FROM", "SUBJECT", "TO":
		return key{op: opHeader, name: word, needle: p.needle()}
	case "HEADER":
		name := p.AString()
		p.SP()
		return key{op: opHeader, name: name, needle: p.needle()}
	case "BODY":
		return key{op: opBody, needle: p.needle()}
	}
	return key{op: opText, needle: p.needle()} // TEXT
}

// argKeys are the keys that have an argument.
func argKeys() []string {
	return []string{
		"NOT", "OR", "UID", "KEYWORD", "UNKEYWORD", "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE",
		"LARGER", "SMALLER", "MODSEQ", "BCC", "CC", "FROM", "SUBJECT", "TO", "HEADER", "BODY", "TEXT",
	}
}

// needle reads a string to look for, folded.
func (p *parser) needle() string {
	s := p.AString()
	if !utf8.ValidString(s) {
		p.Fail("Search string is not valid UTF-8")
	}
	return collate.String(s)
}

// relation orders a date to a key: -1 before, 0 on, 1 on or after.
func relation(word string) int {
	return map[string]int{"BEFORE": -1, "ON": 0, "SINCE": 1}[word]
}

// narrow: a search that asks for no flags does not mind if they change, and
// UID SEARCH counts messages when its keys do.
func (c *searchCmd) narrow(e effects, _ *view) effects {
	if !c.root.has(opFlag, opKeyword, opModSeq) {
		e &^= readsFlags
	}
	if c.root.has(opSet) {
		e |= countsMessages
	}
	return e
}

// run searches the view as it is now, whatever other commands make of it
// meanwhile: message numbers in the arguments mean those before any EXPUNGE
// that is sent before the end (RFC 9051 section 5.5).
func (c *searchCmd) run(ctx context.Context, s *call) reply {
	v := *s.view
	if !c.root.prepare(&v) {
		return badSet("SEARCH")
	}
	if c.root.has(opModSeq) {
		if !v.modseq {
			return noModSeq()
		}
		s.becomeAware()
	}
	var found wire.Set
	var high uint64
	s.away(func() { found, high = c.search(ctx, s, &v) })
	switch {
	case s.stopped(ctx):
		return none()
	case c.extended:
		c.writeResults(s, found, high)
		return ok("Search completed.")
	}
	s.w.Raw("* SEARCH")
	for _, g := range found {
		for n := uint64(g.From); n <= uint64(g.To); n++ {
			s.w.Raw(" ")
			s.w.Num(n)
		}
	}
	if len(found) > 0 && high > 0 {
		s.w.Raw(" (MODSEQ ")
		s.w.Num(high)
		s.w.Raw(")")
	}
	s.w.CRLF()
	return ok("Search completed.")
}

// search returns the numbers or the UIDs of the messages that match, and, if
// MODSEQ was a key, the highest MODSEQ of those that the results name.
func (c *searchCmd) search(ctx context.Context, s *call, v *view) (found wire.Set, modseq uint64) {
	var high highest
	m := &matching{ctx: ctx, s: s, v: v}
	defer m.release()
	set, byUID := c.candidates(v)
	v.eachRow(set, byUID, func(i int) bool {
		if !m.matches(i, &c.root) {
			return ctx.Err() == nil
		}
		n := uint32(i + 1)
		if c.uid {
			n = m.row.UID
		}
		found.Add(n)
		high.add(m.row.ModSeq)
		return !c.extended || c.results != resultMin // the first is enough
	})
	return found, high.of(c)
}

// highest collects the MODSEQs of what a search finds.
type highest struct{ first, last, all uint64 }

func (h *highest) add(modseq uint64) {
	if h.first == 0 {
		h.first = modseq
	}
	h.last, h.all = modseq, max(h.all, modseq)
}

// of is the MODSEQ to tell, 0 for none: the highest of the messages that the
// results name, which may be the first, the last or both (RFC 4731 section 3.2).
func (h *highest) of(c *searchCmd) uint64 {
	switch {
	case !c.root.has(opModSeq):
		return 0
	case !c.extended || c.results&^(resultMin|resultMax) != 0:
		return h.all
	case c.results == resultMin:
		return h.first
	case c.results == resultMax:
		return h.last
	}
	return max(h.first, h.last)
}

// candidates narrows the messages to look at by a set that the search names.
func (c *searchCmd) candidates(v *view) (set wire.Set, byUID bool) {
	for _, k := range c.root.kids {
		if k.op == opSet || k.op == opUID {
			return k.set, k.op == opUID
		}
	}
	if n := uint32(v.pin.Len()); n > 0 {
		return wire.Set{{From: 1, To: n}}, false
	}
	return nil, false
}

// writeResults: RFC 4731 section 3.1. Without a match only COUNT is told.
func (c *searchCmd) writeResults(s *call, found wire.Set, high uint64) {
	s.w.Raw("* ESEARCH (TAG ")
	s.w.String(s.tag)
	s.w.Raw(")")
	if c.uid {
		s.w.Raw(" UID")
	}
	num := func(name string, n uint32) {
		s.w.Raw(name)
		s.w.Num(uint64(n))
	}
	if len(found) > 0 {
		if c.results&resultMin != 0 {
			num(" MIN ", found[0].From)
		}
		if c.results&resultMax != 0 {
			num(" MAX ", found[len(found)-1].To)
		}
		if c.results&resultAll != 0 {
			s.w.Raw(" ALL ")
			s.w.Set(found)
		}
	}
	if c.results&resultCount != 0 {
		num(" COUNT ", uint32(found.Len()))
	}
	if len(found) > 0 && high > 0 {
		s.w.Raw(" MODSEQ ")
		s.w.Num(high)
	}
	s.w.CRLF()
}

// key is a node of a search program.
type key struct {
	op     op
	cost   uint8
	rel    int // of opDate, opSent, opSize
	flags  System
	name   string // keyword or header field
	needle string // folded
	set    wire.Set
	date   time.Time
	n      int64
	kids   []key
}

type op uint8

const (
	opAll op = iota
	opAnd
	opOr
	opNot
	opSet
	opUID
	opFlag
	opKeyword
	opRecent
	opModSeq
	opDate
	opSize
	opSent
	opHeader
	opBody
	opText
)

func not(k key) key { return key{op: opNot, kids: []key{k}} }

// plainKeys are the keys without an argument.
func plainKeys(word string) (key, bool) {
	flag := func(f System) key { return key{op: opFlag, flags: f} }
	recent := key{op: opRecent}
	k, found := map[string]key{
		"ALL":      {op: opAll},
		"ANSWERED": flag(Answered), "UNANSWERED": not(flag(Answered)),
		"DELETED": flag(Deleted), "UNDELETED": not(flag(Deleted)),
		"DRAFT": flag(Draft), "UNDRAFT": not(flag(Draft)),
		"FLAGGED": flag(Flagged), "UNFLAGGED": not(flag(Flagged)),
		"SEEN": flag(Seen), "UNSEEN": not(flag(Seen)),
		"RECENT": recent, "OLD": not(recent),
		"NEW": {op: opAnd, kids: []key{recent, not(flag(Seen))}},
	}[word]
	return k, found
}

// prepare resolves sets for the view and puts cheap keys before dear ones. It
// is false when a sequence number does not exist.
func (k *key) prepare(v *view) bool {
	var valid bool
	switch k.op {
	case opSet, opUID:
		if k.set, valid = v.resolve(k.set, k.op == opUID); !valid {
			return false
		}
	case opDate, opSize:
		k.cost = 1
	case opSent, opHeader:
		k.cost = 2
	case opBody, opText:
		k.cost = 3
	}
	for i := range k.kids {
		if !k.kids[i].prepare(v) {
			return false
		}
		k.cost = max(k.cost, k.kids[i].cost)
	}
	if k.op != opNot {
		slices.SortStableFunc(k.kids, func(a, b key) int { return int(a.cost) - int(b.cost) })
	}
	return true
}

// has reports whether a key of one of these kinds is in the program.
func (k *key) has(ops ...op) bool {
	return slices.Contains(ops, k.op) || slices.ContainsFunc(k.kids, func(kid key) bool { return kid.has(ops...) })
}

// keywordIs compares keywords as STORE does: without regard to case.
func keywordIs(row Row, name string) bool {
	if bit := systemFlag(imap.Flag(name)); bit != 0 {
		return row.System&bit != 0
	}
	return slices.ContainsFunc(row.Keywords, func(k string) bool { return strings.EqualFold(k, name) })
}
