package server

import (
	"strconv"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// FETCH: RFC 3501 section 6.4.5.
//
//	fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" /
//	        fetch-att / "(" fetch-att *(SP fetch-att) ")")
//	        [SP "(" fetch-modifier *(SP fetch-modifier) ")"]
func parseFetch(p *parser, uid bool) runner {
	c := &fetchCmd{uid: uid}
	p.SP()
	c.set = p.Set()
	p.SP()
	if p.Peek() == '(' {
		p.List(func() {
			if p.Peek() == '(' && c.endsWithPreview() {
				p.List(func() { c.lazily(p, p.Word()) })
				return
			}
			c.item(p, p.Item())
		})
	} else {
		c.itemOrMacro(p, p.Item())
	}
	if p.Ok() && len(c.items) == 0 {
		p.Fail("No fetch items are given")
	}
	for more := true; more && p.More(); {
		c.lazy = false
		p.List(func() { c.modifier(p) })
		more = c.lazy // that was PREVIEW's own list
	}
	if c.vanished && !c.changed {
		p.Fail("VANISHED needs CHANGEDSINCE")
	}
	if uid && !c.has(itemUID) { // RFC 3501 section 6.4.8
		c.items = append([]fetchItem{{kind: itemUID}}, c.items...)
	}
	return c
}

// modifier: RFC 7162 sections 3.1.4.1 and 3.2.6.
//
//	fetch-modifier = "CHANGEDSINCE" SP mod-sequence-value / "VANISHED"
func (c *fetchCmd) modifier(p *parser) {
	switch name := p.Word(); {
	case name == "CHANGEDSINCE" && !c.changed:
		p.SP()
		c.changed, c.since = true, uint64(p.Number64())
		if !c.has(itemModSeq) {
			c.add(itemModSeq)
		}
	case name == "VANISHED" && c.uid && !c.vanished:
		c.vanished = true
	case c.endsWithPreview():
		c.lazily(p, name)
	default:
		p.Fail("Unknown FETCH modifier")
	}
}

// narrow: flags matter when they are asked for, and change when \Seen is set.
// A client takes the MODSEQs that it has heard of by the end of any command for
// those up to which it knows all, so none ends while they are told.
func (c *fetchCmd) narrow(e effects, v *view) effects {
	if c.has(itemModSeq) {
		return e | alone
	}
	if !c.has(itemFlags) {
		e &^= readsFlags
	}
	if !c.seen || v == nil || v.readOnly {
		e &^= writesFlags
	}
	return e
}

type itemKind uint8

const (
	itemUID itemKind = iota
	itemFlags
	itemModSeq
	itemDate
	itemSize
	itemEnvelope
	itemBody          // BODY without a section
	itemBodyStructure // BODYSTRUCTURE
	itemSection       // BODY[…] and the RFC822 items
)

type fetchItem struct {
	kind    itemKind
	label   string // of itemSection, as it stands in the answer
	section message.Section
	partial bool
	off, n  int64
}

type fetchCmd struct {
	uid     bool
	set     wire.Set
	items   []fetchItem
	content bool // some item may need more than a row
	seen    bool // some item sets \Seen
	lazy    bool // the list of modifiers just read was PREVIEW's

	changed  bool // only messages with a MODSEQ above since
	since    uint64
	vanished bool // and which were expunged since
}

// maxItems bounds one FETCH: each item is work for each message.
const maxItems = 128

func (c *fetchCmd) has(k itemKind) bool {
	for _, it := range c.items {
		if it.kind == k {
			return true
		}
	}
	return false
}

func (c *fetchCmd) add(kinds ...itemKind) {
	for _, k := range kinds {
		c.items = append(c.items, fetchItem{kind: k})
	}
}

// itemOrMacro reads what stands alone: the macros may not be in a list.
func (c *fetchCmd) itemOrMacro(p *parser, name string) {
	switch name {
	case "ALL":
		c.add(itemFlags, itemDate, itemSize, itemEnvelope)
	case "FAST":
		c.add(itemFlags, itemDate, itemSize)
	case "FULL":
		c.add(itemFlags, itemDate, itemSize, itemEnvelope, itemBody)
	default:
		c.item(p, name)
		return
	}
	c.content = true
}

func (c *fetchCmd) item(p *parser, name string) {
	if len(c.items) == maxItems {
		p.Fail("Too many fetch items")
		return
	}
	switch name {
	case "UID":
		c.add(itemUID)
		return
	case "FLAGS":
		c.add(itemFlags)
		return
	case "MODSEQ":
		c.add(itemModSeq)
		return
	case "INTERNALDATE":
		c.add(itemDate)
	case "RFC822.SIZE":
		c.add(itemSize)
	case "ENVELOPE":
		c.add(itemEnvelope)
	case "BODYSTRUCTURE":
		c.add(itemBodyStructure)
	case "BODY":
		if p.Peek() != '[' {
			c.add(itemBody)
			break
		}
		c.seen = true
		c.bodySection(p)
	case "BODY.PEEK":
		c.bodySection(p)
	case "RFC822":
		c.seen = true
		c.rfc822(name, message.SectionAll)
	case "RFC822.HEADER":
		c.rfc822(name, message.SectionHeader)
	case "RFC822.TEXT":
		c.seen = true
		c.rfc822(name, message.SectionText)
	default:
		if !c.detail(p, name) {
			p.Fail("Unknown fetch item")
		}
	}
	c.content = true
}

func (c *fetchCmd) rfc822(label string, kind message.SectionKind) {
	c.items = append(c.items, fetchItem{kind: itemSection, label: label, section: message.Section{Kind: kind}})
}

// bodySection reads "[section]" and "<origin.count>". The answer names the
// origin only (RFC 3501 section 7.4.2).
func (c *fetchCmd) bodySection(p *parser) {
	it := fetchItem{kind: itemSection, section: p.Section()}
	it.label = string(wire.AppendSection([]byte("BODY"), it.section))
	it.readPartial(p)
	c.items = append(c.items, it)
}

// readPartial reads "<origin.count>", if it is there.
func (it *fetchItem) readPartial(p *parser) {
	if !p.Take('<') {
		return
	}
	it.partial = true
	it.off = int64(p.Number())
	p.Byte('.')
	it.n = int64(p.Number())
	p.Byte('>')
	if p.Ok() && it.n == 0 {
		p.Fail("Invalid partial range")
	}
	it.label += "<" + strconv.FormatInt(it.off, 10) + ">"
}
