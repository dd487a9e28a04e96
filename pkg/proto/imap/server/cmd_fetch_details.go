package server

import (
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// The items that extensions have added to FETCH.
const (
	itemBinary     itemKind = iota + 64 // BINARY[…]: RFC 3516
	itemBinarySize                      // BINARY.SIZE[…]
	itemPreview                         // PREVIEW: RFC 8970
	itemSaveDate                        // SAVEDATE: RFC 8514
	itemEmailID                         // EMAILID: RFC 8474
	itemThreadID                        // THREADID
)

// detail reads an item of an extension. It is false for a name that is none.
func (c *fetchCmd) detail(p *parser, name string) bool {
	switch name {
	case "BINARY":
		c.seen = true
		c.binary(p, itemBinary, "BINARY")
	case "BINARY.PEEK":
		c.binary(p, itemBinary, "BINARY")
	case "BINARY.SIZE":
		c.binary(p, itemBinarySize, "BINARY.SIZE")
	case "PREVIEW":
		c.add(itemPreview)
	case "SAVEDATE":
		c.add(itemSaveDate)
	case "EMAILID":
		c.add(itemEmailID)
	case "THREADID":
		c.add(itemThreadID)
	default:
		return false
	}
	return true
}

// binary reads "[part]" and, but for BINARY.SIZE, "<origin.count>". Nothing of
// a section but a part number may stand there (RFC 3516 section 7).
func (c *fetchCmd) binary(p *parser, kind itemKind, label string) {
	it := fetchItem{kind: kind, section: p.Section()}
	if p.Ok() && it.section.Kind != message.SectionAll {
		p.Fail("A part number is all that BINARY takes")
	}
	it.label = string(wire.AppendSection([]byte(label), it.section))
	if kind == itemBinary {
		it.readPartial(p)
	}
	c.items = append(c.items, it)
}

// endsWithPreview: what stands in parentheses next may be of PREVIEW.
func (c *fetchCmd) endsWithPreview() bool {
	return len(c.items) > 0 && c.items[len(c.items)-1].kind == itemPreview
}

// lazily takes a modifier of PREVIEW. What LAZY allows, NIL where the text is
// not at hand, is not needed: it takes the reading of one file at most.
func (c *fetchCmd) lazily(p *parser, name string) {
	if c.lazy = name == "LAZY"; !c.lazy {
		p.Fail("Unknown modifier of PREVIEW")
	}
}

// prepareDetail makes the piece of an item of an extension.
func (f *fetch) prepareDetail(p *piece, it *fetchItem, content Content) error {
	d, ok := content.(Details)
	if !ok {
		return fail.New(fail.Permanent, "the mailbox knows no %s", it.label)
	}
	var err error
	var text string
	switch it.kind {
	case itemBinary, itemBinarySize:
		return f.openBinary(p, it, d)
	case itemPreview:
		text, err = d.Preview(f.ctx)
		p.text = text
	case itemSaveDate:
		var at time.Time
		if at, err = d.Saved(f.ctx); err == nil && !at.IsZero() {
			f.s.scratch = wire.AppendDateTime(f.s.scratch, at)
		}
	case itemEmailID:
		text, err = d.EmailID(f.ctx)
		f.s.scratch = append(f.s.scratch, text...)
	case itemThreadID:
		text, err = threadID(f.ctx, d)
		f.s.scratch = append(f.s.scratch, text...)
	}
	return err
}

func (f *fetch) openBinary(p *piece, it *fetchItem, d Details) error {
	body, err := d.Binary(f.ctx, it.section.Path)
	switch {
	case fail.Is(err, fail.Invalid):
		p.missing, p.size = true, 0
		return nil
	case fail.Is(err, fail.Permanent):
		f.unknown = true
		return err
	case err != nil:
		return err
	}
	if it.partial {
		if err := body.Partial(it.off, it.n); err != nil {
			return err
		}
	}
	p.body, p.size, p.nul = body, body.Size(), body.HasNUL()
	return nil
}

// writeDetail sends an item of an extension.
func (f *fetch) writeDetail(it *fetchItem, p *piece) {
	w := f.s.w
	switch it.kind {
	case itemBinary:
		w.Raw(it.label)
		w.Raw(" ")
		if p.nul { // RFC 3516 section 4.2: only a literal8 may carry it
			w.Raw("~")
		}
		f.writeBody(it, p)
	case itemBinarySize:
		w.Raw(it.label)
		w.Raw(" ")
		w.Num(uint64(p.size))
	case itemPreview:
		w.Raw("PREVIEW ")
		w.String(p.text)
	case itemSaveDate:
		w.Raw("SAVEDATE ")
		f.writeOrNil(p)
	case itemEmailID:
		w.Raw("EMAILID (")
		w.Bytes(f.s.scratch[p.from:p.to])
		w.Raw(")")
	case itemThreadID:
		w.Raw("THREADID (")
		w.Bytes(f.s.scratch[p.from:p.to])
		w.Raw(")")
	}
}

func (f *fetch) writeOrNil(p *piece) {
	if p.from == p.to {
		f.s.w.Raw("NIL")
		return
	}
	f.s.w.Bytes(f.s.scratch[p.from:p.to])
}

// unknownCTE answers BINARY for a part whose encoding nobody knows (RFC 3516
// section 4.3).
func unknownCTE() reply {
	return no("UNKNOWN-CTE", "A part has an encoding that is not known.")
}
