package cache

import (
	"bytes"
	"strings"

	"github.com/postcote/postcote/pkg/platform/message"
)

// Which header fields are kept: all but those that only servers and filters
// read and that make up most of a header, and but what is unusually long. The
// names of those that are left out are kept, so that it is known of any field
// whether it can be answered for. See docs/decisions/0013.
const (
	maxField  = 4 << 10  // one field
	maxFields = 16 << 10 // all of them
)

// bulky reports whether a field is one of those that no mail reader asks for.
func bulky(name string) bool {
	for _, b := range [...]string{
		"Received", "X-Received", "Received-SPF", "DKIM-Signature", "DomainKey-Signature", "Authentication-Results",
		"ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "X-Google-DKIM-Signature", "X-Gm-Message-State",
		"X-Google-Smtp-Source", "X-MS-Exchange-AntiSpam-MessageData-0", "X-MS-Exchange-AntiSpam-MessageData-1",
		"X-Microsoft-Antispam-Message-Info", "X-Forefront-Antispam-Report", "X-MS-Exchange-CrossTenant-Id",
		"X-Spam-Report", "X-Spam-Checker-Version", "Autocrypt", "Face", "X-Face",
	} {
		if len(b) == len(name) && strings.EqualFold(b, name) {
			return true
		}
	}
	return false
}

// setFields takes the fields to keep from a header.
func (e *Entry) setFields(h message.Header) {
	e.fields, e.left = e.fields[:0], e.left[:0]
	if h.Truncated {
		return
	}
	e.has |= hasFields
	for f := range h.Fields() {
		if !bulky(f.Name) && len(f.Raw) <= maxField && len(e.fields)+len(f.Raw) <= maxFields {
			e.fields = append(e.fields, f.Raw...)
			if f.Raw[len(f.Raw)-1] != '\n' {
				e.fields = append(e.fields, '\n')
			}
			continue
		}
		if !e.isLeft(f.Name) {
			e.left = append(append(e.left, strings.ToLower(f.Name)...), '\n')
		}
	}
	if len(e.left) > maxFields { // a header made to be in the way
		e.has, e.fields, e.left = e.has&^hasFields, e.fields[:0], e.left[:0]
	}
}

// isLeft reports whether fields of one of these names were left out.
func (e *Entry) isLeft(names ...string) bool {
	lengths := uint64(0) // of the names: most have another one
	for _, n := range names {
		lengths |= 1 << (len(n) % 64)
	}
	for rest := e.left; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			i = len(rest)
		}
		if lengths>>(i%64)&1 != 0 {
			for _, n := range names {
				if len(n) == i && strings.EqualFold(string(rest[:i]), n) {
					return true
				}
			}
		}
		rest = rest[min(i+1, len(rest)):]
	}
	return false
}

// Fields returns the header fields, as stored, among which are all of these
// names. false: they are not all kept, the message must be asked.
func (e *Entry) Fields(names ...string) ([]byte, bool) {
	if e.has&hasFields == 0 {
		return nil, false
	}
	return e.fields, !e.isLeft(names...)
}
