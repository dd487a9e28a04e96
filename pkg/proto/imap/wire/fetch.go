package wire

import imap "github.com/emersion/go-imap/v2"

// Section names a part of a message, as in BODY[1.2.HEADER.FIELDS (From)]
// (RFC 3501 section 6.4.5). The zero value is the whole message.
type Section struct {
	Part      []int              // part numbers, empty: the message itself
	Specifier imap.PartSpecifier // HEADER, TEXT, MIME, or none
	Fields    []string           // HEADER.FIELDS (…), as the client wrote them
	Not       bool               // HEADER.FIELDS.NOT (…)
}
