package header

import (
	"bytes"
	"cmp"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Rules say what an Editor does. The zero value only looks.
type Rules struct {
	Drop       []string // canonical lower-case names of fields to remove
	AddMissing bool     // add Date, From and Message-ID, or Resent-Date and so on, where they are missing
	Limit      int      // bytes of a header block that is held for editing; 0: MaxBlock

	// Rewrite is given each field that stays, its name in lower case and its
	// value from behind the colon to the line end; changed says that out is to
	// stand in its place. nil: nothing is rewritten.
	Rewrite func(name, value string) (out string, changed bool, err error)
	// Touches reports, by their lower-case names, which fields Rewrite wants to
	// see; the others cost nothing. nil: all.
	Touches func(name []byte) bool

	// Only for AddMissing:
	Sender      func() (addr.Address, error) // value of From; asked only when it is missing
	MessageID   string                       // "<id@host>"
	Date        time.Time
	Undisclosed string // field for a message that names no recipient; empty for none
}

// Dropped are the fields that are usually removed: Return-Path is the final
// delivery agent's to write (RFC 5321 section 4.4), and Bcc would tell every
// recipient about the blind ones (RFC 5322 section 3.6.3).
func Dropped() []string {
	return []string{"return-path", "bcc", "resent-bcc", "content-length"}
}

// Found is what a message's header held, and what is to be done about it.
type Found struct {
	Hops      int    // Received fields
	MessageID string // value of Message-ID as it stands, printable, at most 250 bytes; "" when missing
	ResentID  string // the same of Resent-Message-ID

	// Edited says that Block, with its closing empty line if there was one,
	// stands for the first Skip bytes of the message.
	Edited bool
	Block  []byte
	Skip   int64
	// TooLarge says that the header would have to be edited but is longer
	// than Rules.Limit.
	TooLarge bool
	// Err is the first error of Rules.Rewrite, whose field was left as it is, or
	// of Rules.Sender.
	Err error

	resent bool
	seen   seen
}

// seen are the fields that need not be added.
type seen uint8

const (
	messageID seen = 1 << iota
	date
	from
	resentMessageID
	resentDate
	resentFrom
	visible // To, Cc, or one of the resent ones

	resentShift = 3 // from a field to its resent one
)

// noted are the fields that count for what is missing. One of them that is
// removed counts, too.
var noted = map[string]struct {
	is     seen
	resent bool
}{
	"message-id": {is: messageID}, "date": {is: date}, "from": {is: from}, "to": {is: visible}, "cc": {is: visible},
	"resent-message-id": {resentMessageID, true}, "resent-date": {resentDate, true}, "resent-from": {resentFrom, true},
	"resent-to": {visible, true}, "resent-cc": {visible, true}, "resent-bcc": {0, true}, "resent-sender": {0, true}, "resent-reply-to": {0, true},
}

// mailerDaemon is the author of a message without a sender.
const mailerDaemon = "MAILER-DAEMON"

// MaxBlock is the usual limit of the header block that is held for editing.
// Honest headers are a few kilobytes; Postfix cuts single fields at 100 KiB.
const MaxBlock = 256 << 10

const (
	usualBlock = 2 << 10  // room for the header of most messages
	maxSpare   = 16 << 10 // of memory that an editor may keep for its next message
)

// maxPending caps the unfinished line that is held between two writes.
const maxPending = 2048

const maxMessageID = 250

type state uint8

const (
	atLine state = iota // at the start of a header line
	inLine              // inside a header line whose fate is decided
	inBody
)

// Editor looks at a message that is written to it. Finish must be called at
// its end. Not safe for concurrent use.
type Editor struct {
	rules   Rules
	found   Found
	state   state
	drop    bool    // the current field is removed
	id      *string // in found: where the value of the current field is kept; or nil
	seen    bool    // a header field has been seen
	full    bool    // the block has reached its limit
	pending []byte  // start of a line that has not ended yet
	name    []byte  // of the current field, in lower case
	at      int     // where the current field begins in the block
	spare   []byte  // memory of the block
}

// NewEditor makes an editor.
func NewEditor(rules Rules) *Editor { return &Editor{rules: rules} }

// Editors are editors to be used again, with the memory they have. The zero
// value is ready.
type Editors struct{ pool sync.Pool }

// Get returns an editor for the next message.
func (s *Editors) Get(rules Rules) *Editor {
	e, _ := s.pool.Get().(*Editor)
	if e == nil {
		return NewEditor(rules)
	}
	*e = Editor{rules: rules, pending: e.pending[:0], name: e.name[:0], spare: e.spare}
	return e
}

// Put takes an editor back. Found.Block of it must not be used any more.
func (s *Editors) Put(e *Editor) {
	if cap(e.spare) > maxSpare {
		e.spare = nil
	}
	if cap(e.pending) > maxSpare {
		e.pending = nil
	}
	e.rules, e.found = Rules{}, Found{}
	s.pool.Put(e)
}

// Finish ends the message and returns what was found.
func (e *Editor) Finish() Found {
	if e.state != inBody && len(e.pending) > 0 {
		e.line(e.pending)
	}
	if e.state != inBody {
		e.state = inBody
		e.endField()
		e.additions()
	}
	e.found.TooLarge = e.full && e.found.Edited
	if e.found.Block != nil {
		e.spare = e.found.Block[:0]
	}
	if !e.found.Edited || e.full {
		e.found.Block = nil
	}
	return e.found
}

// Write looks at the next piece of the message. It never fails.
func (e *Editor) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && e.state != inBody {
		i := bytes.IndexByte(p, '\n')
		whole := i >= 0
		if !whole {
			i = len(p) - 1
		}
		e.piece(p[:i+1], whole)
		p = p[i+1:]
	}
	return n, nil
}

// piece takes bytes up to a line end, or up to the end of a write.
func (e *Editor) piece(p []byte, whole bool) {
	switch {
	case e.state == inLine:
		if whole {
			e.state = atLine
		}
		e.keep(p)
		return
	case len(e.pending) == 0 && whole:
		e.line(p)
		return
	}
	e.pending = append(e.pending, p...)
	if !whole && len(e.pending) < maxPending {
		return
	}
	e.line(e.pending)
	e.pending = e.pending[:0]
	if !whole && e.state == atLine {
		e.state = inLine
	}
}

// line takes a header line, or the first maxPending bytes of a longer one.
func (e *Editor) line(p []byte) {
	if p[0] == ' ' || p[0] == '\t' {
		if !e.seen {
			e.endHeader(p)
			return
		}
		e.addID(p[:min(len(p), maxPending)])
		e.keep(p)
		return
	}
	// However it was cut on the way, a line is read by its first bytes.
	name, value, ok := field(p[:min(len(p), maxPending)])
	if !ok {
		e.endHeader(p)
		return
	}
	e.endField()
	e.seen = true
	e.name = appendLower(e.name[:0], name)
	e.at = len(e.found.Block)
	e.note(e.name, value)
	e.keep(p)
}

// endHeader begins the body with line p: the empty line that ends a header,
// or text that is no header field, before which an empty line is missing.
func (e *Editor) endHeader(p []byte) {
	e.state = inBody
	e.endField()
	e.drop = false
	e.additions()
	if len(bytes.TrimRight(p, "\r\n")) == 0 {
		e.keep(p)
		return
	}
	e.found.Edited = true
	e.block([]byte("\r\n"))
}

// endField rewrites the field that is complete now.
func (e *Editor) endField() {
	if e.rules.Rewrite == nil || !e.seen || e.drop || e.full || e.found.Err != nil {
		return
	}
	if e.rules.Touches != nil && !e.rules.Touches(e.name) {
		return
	}
	text := e.found.Block[e.at:]
	colon := bytes.IndexByte(text, ':')
	if colon < 0 {
		return
	}
	out, changed, err := e.rules.Rewrite(string(e.name), string(text[colon+1:]))
	if e.found.Err = err; err != nil || !changed {
		return
	}
	e.found.Edited = true
	e.found.Block = e.found.Block[:e.at+colon+1]
	e.block([]byte(out))
}

func (e *Editor) note(name, value []byte) {
	e.id, e.drop = nil, false
	switch string(name) {
	case "received":
		e.found.Hops++
	case "message-id":
		e.id = unless(&e.found.MessageID)
	case "resent-message-id":
		e.id = unless(&e.found.ResentID)
	}
	if e.rules.AddMissing {
		n := noted[string(name)]
		e.found.seen |= n.is
		e.found.resent = e.found.resent || n.resent
	}
	for _, d := range e.rules.Drop {
		e.drop = e.drop || d == string(name)
	}
	e.addID(value)
}

// unless is where to keep an identifier, nil when there is one: the first counts.
func unless(id *string) *string {
	if *id != "" {
		return nil
	}
	return id
}

// keep accounts for bytes of the header and holds them unless they go.
func (e *Editor) keep(p []byte) {
	e.found.Skip += int64(len(p))
	if e.drop {
		e.found.Edited = true
		return
	}
	e.block(p)
}

// block appends to the edited header while there is room.
func (e *Editor) block(p []byte) {
	if e.full || len(e.found.Block)+len(p) > cmp.Or(e.rules.Limit, MaxBlock) {
		e.full = true
		return
	}
	if e.found.Block == nil {
		if e.spare == nil {
			e.spare = make([]byte, 0, usualBlock)
		}
		e.found.Block, e.spare = e.spare[:0], nil
	}
	e.found.Block = append(e.found.Block, p...)
}

func (e *Editor) addID(p []byte) {
	if e.id == nil {
		return
	}
	s := *e.id + printable(strings.TrimSpace(string(p)))
	*e.id = s[:min(len(s), maxMessageID)]
}

// additions appends the missing fields of a submission: those of who sent a
// message on, if somebody did (RFC 5322 section 3.6.6), or else the author's.
func (e *Editor) additions() {
	if !e.rules.AddMissing {
		return
	}
	prefix, id, lacks := "", &e.found.MessageID, func(f seen) bool { return e.found.seen&f == 0 }
	if e.found.resent {
		prefix, id, lacks = "Resent-", &e.found.ResentID, func(f seen) bool { return e.found.seen&(f<<resentShift) == 0 }
	}
	var b strings.Builder
	if lacks(messageID) {
		*id = e.rules.MessageID
		b.WriteString(prefix + "Message-Id: " + e.rules.MessageID + "\r\n")
	}
	if lacks(date) {
		b.WriteString(prefix + "Date: " + Date(e.rules.Date) + "\r\n")
	}
	if lacks(from) {
		b.WriteString(prefix + "From: " + e.sender() + "\r\n")
	}
	if e.rules.Undisclosed != "" && e.found.seen&visible == 0 {
		b.WriteString(e.rules.Undisclosed + "\r\n")
	}
	if b.Len() > 0 {
		e.found.Edited = true
		e.block([]byte(b.String()))
	}
}

// sender is who a message without From is from.
func (e *Editor) sender() string {
	if e.rules.Sender == nil {
		return mailerDaemon
	}
	a, err := e.rules.Sender()
	if err != nil && e.found.Err == nil {
		e.found.Err = err
	}
	if a.Null() {
		return mailerDaemon
	}
	return a.String()
}

// Field reports whether text is one line "Name: value".
func Field(text string) bool {
	_, _, ok := field([]byte(text))
	return ok && !strings.ContainsAny(text, "\r\n")
}

// field splits "Name: value". White space before the colon is obsolete but
// seen in the wild (RFC 5322 section 4.5.1).
func field(p []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(p, ':')
	if i <= 0 {
		return nil, nil, false
	}
	n := bytes.TrimRight(p[:i], " \t")
	if len(n) == 0 {
		return nil, nil, false
	}
	for _, c := range n {
		if c <= ' ' || c >= 0x7f {
			return nil, nil, false
		}
	}
	return n, p[i+1:], true
}

func appendLower(dst, name []byte) []byte {
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
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
