package cache

import (
	"encoding/binary"

	"github.com/postcote/postcote/pkg/platform/message"
)

// A part is: kind; varints: the bytes between its header and the end of what
// was before it, the length of its header, of its body, their sizes with CRLF,
// lines of header and body; unless it has children: type, subtype, encoding,
// charset, each a length and bytes. Then its children: their number and they,
// or the embedded message.
const (
	partLeaf = iota
	partMultipart
	partMessage
)

// maxParts and maxDepth cap what is read back: a parser that made the parts
// had caps of its own.
const (
	maxParts = 20_000
	maxDepth = 200
)

func appendParts(dst []byte, p *message.Part, at int64) []byte {
	kind := byte(partLeaf)
	switch {
	case len(p.Children) > 0:
		kind = partMultipart
	case p.Message != nil:
		kind = partMessage
	}
	dst = append(dst, kind)
	for _, n := range [...]int64{
		p.HeaderStart - at, p.BodyStart - p.HeaderStart, p.BodyEnd - p.BodyStart,
		p.HeaderVSize, p.BodyVSize, p.HeaderLines, p.BodyLines,
	} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	if kind != partMultipart {
		for _, s := range [...]string{p.Type, p.Subtype, p.Encoding, p.Param("charset")} {
			dst = binary.AppendUvarint(dst, uint64(len(s)))
			dst = append(dst, s...)
		}
	}
	switch kind {
	case partMultipart:
		dst = binary.AppendUvarint(dst, uint64(len(p.Children)))
		at := p.BodyStart
		for _, c := range p.Children {
			dst = appendParts(dst, c, at)
			at = c.BodyEnd
		}
	case partMessage:
		dst = appendParts(dst, p.Message, p.BodyStart)
	}
	return dst
}

func parseParts(b []byte) (*message.Part, bool) {
	r := partReader{b: b}
	p := r.part(0, 0)
	if r.bad || len(r.b) != 0 {
		return nil, false
	}
	p.Envelope = []byte{}
	return p, true
}

type partReader struct {
	b   []byte
	n   int
	bad bool
}

func (r *partReader) num() int64 {
	n, k := binary.Uvarint(r.b)
	if k <= 0 || n > 1<<40 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[k:]
	return int64(n)
}

func (r *partReader) text() string {
	n := r.num()
	if n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *partReader) part(at int64, depth int) *message.Part {
	p := &message.Part{}
	if r.n++; r.n > maxParts || depth > maxDepth || len(r.b) == 0 {
		r.bad, r.b = true, nil
		return p
	}
	kind := r.b[0]
	r.b = r.b[1:]
	p.HeaderStart = at + r.num()
	p.BodyStart = p.HeaderStart + r.num()
	p.BodyEnd = p.BodyStart + r.num()
	p.HeaderVSize, p.BodyVSize, p.HeaderLines, p.BodyLines = r.num(), r.num(), r.num(), r.num()
	if kind != partMultipart {
		p.Type, p.Subtype, p.Encoding = r.text(), r.text(), r.text()
		if c := r.text(); c != "" {
			p.Params = []message.Param{{Name: "charset", Value: c}}
		}
	}
	switch kind {
	case partLeaf:
	case partMultipart:
		p.Type, p.Subtype = "multipart", "mixed"
		at := p.BodyStart
		for n := r.num(); n > 0 && !r.bad; n-- {
			c := r.part(at, depth+1)
			p.Children = append(p.Children, c)
			at = c.BodyEnd
		}
	case partMessage:
		p.Message = r.part(p.BodyStart, depth+1)
		p.Message.Envelope = []byte{}
	default:
		r.bad = true
	}
	return p
}
