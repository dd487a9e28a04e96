package server

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/collate"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// maxKeys bounds one search: each key is work for each message.
const maxKeys = 1000

// keys reads one or more search keys, the first of which begins with word.
func (q *query) keys(p *parser, word string) {
	p.keys, p.raw = 0, q.badCharset
	q.root = key{op: opAnd}
	for {
		q.root.kids = append(q.root.kids, p.searchKey(word))
		if !p.More() {
			return
		}
		word = p.searchWord()
	}
}

// searchWord reads the name of a search key; "" when a set or a parenthesis
// stands there instead.
func (p *parser) searchWord() string {
	switch c := p.Peek(); {
	case c >= '0' && c <= '9', c == '*', c == '$', c == '(':
		return ""
	}
	return p.Word()
}

// searchKey reads the key that begins with word.
func (p *parser) searchKey(word string) key {
	defer p.Deeper()()
	if p.keys++; p.keys > maxKeys {
		p.Fail("Too many search keys")
	}
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
		return p.orKey()
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

// orKey reads the two keys of OR. Clients that look for one of many things
// send a chain of them, which is no nesting here.
func (p *parser) orKey() key {
	k := key{op: opOr}
	for p.Ok() {
		k.kids = append(k.kids, p.searchKey(p.searchWord()))
		p.SP()
		word := p.searchWord()
		if word != "OR" || len(k.kids) > maxKeys {
			k.kids = append(k.kids, p.searchKey(word))
			break
		}
		p.SP()
	}
	return k
}

// valueKey reads keys with a date, a size or a string.
func (p *parser) valueKey(word string) key {
	switch word {
	case "BEFORE", "ON", "SINCE":
		return key{op: opDate, rel: relation(word), date: p.Date()}
	case "SENTBEFORE", "SENTON", "SENTSINCE":
		return key{op: opSent, rel: relation(word[4:]), date: p.Date()}
	case "OLDER", "YOUNGER": // RFC 5032
		k := key{op: opAge, rel: map[string]int{"OLDER": -1, "YOUNGER": 1}[word], n: p.Number64()}
		if p.Ok() && (k.n == 0 || k.n > 1<<32-1) {
			p.Fail("Invalid interval")
		}
		return k
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
	if k, found := p.detailKey(word); found {
		return k
	}
	return key{op: opText, needle: p.needle()} // TEXT
}

// argKeys are the keys that have an argument.
func argKeys() []string {
	return append(detailKeys(),
		"NOT", "OR", "UID", "KEYWORD", "UNKEYWORD", "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE",
		"OLDER", "YOUNGER", "LARGER", "SMALLER", "MODSEQ", "BCC", "CC", "FROM", "SUBJECT", "TO", "HEADER", "BODY", "TEXT",
	)
}

// needle reads a string to look for, in the form that is compared.
func (p *parser) needle() string {
	s, _ := message.ToUTF8(p.charset, p.AString())
	if !utf8.ValidString(s) && !p.raw {
		p.Fail("Search string is not valid in its charset")
	}
	return collate.String(s)
}

// relation orders a date to a key: -1 before, 0 on, 1 on or after.
func relation(word string) int {
	return map[string]int{"BEFORE": -1, "ON": 0, "SINCE": 1}[word]
}

// key is a node of a search program.
type key struct {
	op     op
	cost   uint8
	rel    int // of opDate, opAge, opSent, opSize
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
	opAge
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
		"ALL": {op: opAll}, "SAVEDATESUPPORTED": {op: opAll},
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

// prepare resolves sets for the view and puts cheap keys before dear ones.
func (k *key) prepare(v *view) {
	switch k.op {
	case opSet:
		k.set = v.searched(k.set)
	case opUID:
		k.set, _ = v.resolve(k.set, true)
	case opDate, opAge, opSize:
		k.cost = 1
	case opSent, opHeader:
		k.cost = 2
	case opBody, opText:
		k.cost = 3
	}
	for i := range k.kids {
		k.kids[i].prepare(v)
		k.cost = max(k.cost, k.kids[i].cost)
	}
	if k.op != opNot {
		slices.SortStableFunc(k.kids, func(a, b key) int { return int(a.cost) - int(b.cost) })
	}
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
