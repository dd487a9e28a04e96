package header

import (
	"bytes"
	"io"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Rules say what an Editor does. The zero value only looks.
type Rules struct {
	Drop       []string // canonical lower-case names of fields to remove
	AddMissing bool     // add Date, From and Message-ID where they are missing

	// Only for AddMissing:
	Sender    addr.Address // value of From; no From is added for the null sender
	MessageID string       // "<id@host>"
	Date      time.Time
}

// Relayed are the fields removed from mail of other servers: Return-Path is
// the final delivery agent's to write (RFC 5321 section 4.4).
func Relayed() []string { return []string{"return-path"} }

// Submitted are the fields removed from submissions, where Bcc would tell
// every recipient about the blind ones (RFC 5322 section 3.6.3).
func Submitted() []string {
	return []string{"return-path", "bcc", "resent-bcc", "content-length"}
}

// Found is what the header held.
type Found struct {
	Hops      int    // Received fields
	MessageID string // value of Message-ID as it stands, printable, at most 250 bytes; "" when missing
	date      bool
	from      bool
}

// maxPending caps the unfinished line that is held between two writes.
const maxPending = 2048

const maxMessageID = 250

type state uint8

const (
	atLine state = iota // at the start of a header line
	inLine              // inside a header line whose fate is decided
	inBody
)

// Editor writes the edited message to its destination. Close must be called
// at the end of the message. Not safe for concurrent use.
type Editor struct {
	dst     io.Writer
	rules   Rules
	found   Found
	state   state
	drop    bool   // the current field is removed
	msgid   bool   // the current field is Message-ID
	seen    bool   // a header field has been seen
	pending []byte // start of a line that has not ended yet
}

// NewEditor makes an editor in front of dst.
func NewEditor(dst io.Writer, rules Rules) *Editor { return &Editor{dst: dst, rules: rules} }

// Found reports what the header held; complete once the body has begun.
func (e *Editor) Found() Found { return e.found }

// Write takes the next piece of the message.
func (e *Editor) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && e.state != inBody {
		i := bytes.IndexByte(p, '\n')
		whole := i >= 0
		if !whole {
			i = len(p) - 1
		}
		if err := e.piece(p[:i+1], whole); err != nil {
			return 0, err
		}
		p = p[i+1:]
	}
	if len(p) == 0 {
		return n, nil
	}
	if _, err := e.dst.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

// Close ends the message: a message that is all header gets its additions.
func (e *Editor) Close() error {
	if e.state == inBody {
		return nil
	}
	if len(e.pending) > 0 {
		if err := e.line(e.pending); err != nil {
			return err
		}
		e.pending = nil
	}
	if e.state == inBody {
		return nil
	}
	e.state = inBody
	return e.additions()
}

// piece takes bytes up to a line end, or up to the end of a write.
func (e *Editor) piece(p []byte, whole bool) error {
	switch {
	case e.state == inLine:
		if whole {
			e.state = atLine
		}
		return e.emit(p)
	case len(e.pending) == 0 && whole:
		return e.line(p)
	}
	e.pending = append(e.pending, p...)
	if !whole && len(e.pending) < maxPending {
		return nil
	}
	line := e.pending
	e.pending = e.pending[:0]
	err := e.line(line)
	if !whole && e.state == atLine {
		e.state = inLine
	}
	return err
}

// line takes a header line, or the first maxPending bytes of a longer one.
func (e *Editor) line(p []byte) error {
	if p[0] == ' ' || p[0] == '\t' {
		if e.seen {
			return e.emit(p)
		}
		return e.endHeader(p)
	}
	name, value, ok := field(p)
	if !ok {
		return e.endHeader(p)
	}
	e.seen = true
	e.note(name, value)
	return e.emit(p)
}

// endHeader begins the body with line p: the empty line that ends a header,
// or text that is no header field, before which an empty line is missing.
func (e *Editor) endHeader(p []byte) error {
	e.state = inBody
	if err := e.additions(); err != nil {
		return err
	}
	if len(bytes.TrimRight(p, "\r\n")) > 0 {
		if _, err := io.WriteString(e.dst, "\r\n"); err != nil {
			return err
		}
	}
	_, err := e.dst.Write(p)
	return err
}

func (e *Editor) note(name string, value []byte) {
	e.msgid, e.drop = false, false
	switch name {
	case "received":
		e.found.Hops++
	case "message-id":
		e.msgid = e.found.MessageID == ""
	case "date":
		e.found.date = true
	case "from":
		e.found.from = true
	}
	for _, d := range e.rules.Drop {
		e.drop = e.drop || d == name
	}
	if e.msgid {
		e.addMessageID(value)
	}
}

func (e *Editor) emit(p []byte) error {
	if e.msgid && (p[0] == ' ' || p[0] == '\t') {
		e.addMessageID(p)
	}
	if e.drop {
		return nil
	}
	_, err := e.dst.Write(p)
	return err
}

func (e *Editor) addMessageID(p []byte) {
	s := e.found.MessageID + printable(strings.TrimSpace(string(p)))
	e.found.MessageID = s[:min(len(s), maxMessageID)]
}

// additions writes the missing fields of a submission.
func (e *Editor) additions() error {
	if !e.rules.AddMissing {
		return nil
	}
	var b strings.Builder
	if e.found.MessageID == "" {
		e.found.MessageID = e.rules.MessageID
		b.WriteString("Message-Id: " + e.rules.MessageID + "\r\n")
	}
	if !e.found.date {
		b.WriteString("Date: " + Date(e.rules.Date) + "\r\n")
	}
	if !e.found.from && !e.rules.Sender.Null() {
		b.WriteString("From: " + e.rules.Sender.String() + "\r\n")
	}
	_, err := io.WriteString(e.dst, b.String())
	return err
}

// field splits "Name: value". White space before the colon is obsolete but
// seen in the wild (RFC 5322 section 4.5.1).
func field(p []byte) (name string, value []byte, ok bool) {
	i := bytes.IndexByte(p, ':')
	if i <= 0 {
		return "", nil, false
	}
	n := bytes.TrimRight(p[:i], " \t")
	if len(n) == 0 {
		return "", nil, false
	}
	for _, c := range n {
		if c <= ' ' || c >= 0x7f {
			return "", nil, false
		}
	}
	return strings.ToLower(string(n)), p[i+1:], true
}

// printable replaces what must not reach a log line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}
