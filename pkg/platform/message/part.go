package message

import "iter"

// Param is one parameter of a Content-Type or Content-Disposition field, in
// the order and with the spelling of the message.
type Param struct{ Name, Value string }

// Part is one node of a message's structure. The root is the message itself.
type Part struct {
	// Offsets into the message as stored. The header block with its empty
	// line is [HeaderStart, BodyStart), the body [BodyStart, BodyEnd). The
	// line end before a boundary belongs to the boundary (RFC 2046 5.1.1).
	HeaderStart, BodyStart, BodyEnd int64

	HeaderVSize int64 // header block with its empty line, line ends as CRLF
	BodyVSize   int64 // body, line ends as CRLF
	BodyLines   int64 // line ends in the body
	HeaderLines int64 // line ends in the header block

	Type, Subtype     string // as written; "" when the field is missing or unusable
	Params            []Param
	ID                string // Content-ID
	Description       string // Content-Description, encoded words left as they are
	Encoding          string // Content-Transfer-Encoding; "" when missing
	MD5               string // Content-MD5
	Disposition       string // "" when missing
	DispositionParams []Param
	Languages         []string
	Location          string

	Envelope []byte  // of a message (the root, a child of message/rfc822): IMAP wire bytes
	Children []*Part // of a multipart
	Message  *Part   // of message/rfc822: the embedded message
}

// ContentType returns type and subtype in lower case with the defaults of
// RFC 2045 section 5.2 filled in.
func (p *Part) ContentType() (typ, subtype string) {
	if p.Type == "" {
		return "text", "plain"
	}
	return lower(p.Type), lower(p.Subtype)
}

// IsMultipart reports whether p was read as a multipart (one without a
// boundary is not).
func (p *Part) IsMultipart() bool { return len(p.Children) > 0 }

// Param returns the value of a Content-Type parameter, RFC 2231 pieces joined
// but not decoded, and "" when there is none.
func (p *Part) Param(name string) string { return findParam(p.Params, name) }

// Size is the number of bytes of the part as stored, header included.
func (p *Part) Size() int64 { return p.BodyEnd - p.HeaderStart }

// VSize is the number of bytes of the part with CRLF line ends.
func (p *Part) VSize() int64 { return p.HeaderVSize + p.BodyVSize }

// Walk yields p and all parts below it, parents first.
func (p *Part) Walk() iter.Seq[*Part] {
	return func(yield func(*Part) bool) { p.walk(yield) }
}

func (p *Part) walk(yield func(*Part) bool) bool {
	if !yield(p) {
		return false
	}
	for _, c := range p.Children {
		if !c.walk(yield) {
			return false
		}
	}
	return p.Message == nil || p.Message.walk(yield)
}
