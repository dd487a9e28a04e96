package server

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// APPEND: RFC 3501 section 6.3.11, with APPENDUID of RFC 4315 section 3 and
// several messages at once (MULTIAPPEND, RFC 3502).
//
//	append = "APPEND" SP mailbox 1*append-message
func parseAppend(p *parser, _ bool) runner {
	c := &appendCmd{name: p.mailbox()}
	c.begin(p, true)
	return c
}

type appendCmd struct {
	name string
	upload
}

func (c *appendCmd) names() []*string { return []*string{&c.name} }

func (c *appendCmd) uploads() *upload { return &c.upload }

func (c *appendCmd) run(ctx context.Context, s *call) reply {
	done, refused := receive(ctx, s, &c.upload, "APPEND", c.name, func(ctx context.Context, m Messages) (Appended, error) {
		return s.start.Account.Append(ctx, c.name, m)
	})
	if len(done.UIDs) == 0 {
		return refused
	}
	return okCode(appendUID(done), "Append completed.")
}

// upload is the messages in the arguments of APPEND and REPLACE. Their
// literals are left unread: they go to the Account as streams, and what stands
// behind a literal is known only when it has been read.
//
//	append-message = [SP flag-list] [SP date-time] SP
//	                 (literal / "UTF8" SP "(" literal8 ")")    (RFC 3502, RFC 6855)
type upload struct {
	p       *parser
	several bool    // more messages may follow (MULTIAPPEND)
	now     arrival // announced last; not read yet, or not to its end
	fresh   bool    // now has not been given away
	count   int     // of messages so far
	ended   bool    // the end of the command has been read
	empty   bool    // a message of no bytes cancels all (RFC 3502 section 6.3.11)
}

// arrival is one message before its bytes have come.
type arrival struct {
	flags []imap.Flag
	date  time.Time
	body  *wire.Literal
	utf8  bool // it is in the parentheses of UTF8 (…)
}

// maxUpload bounds the messages of one MULTIAPPEND.
const maxUpload = 10000

var (
	errEmptyMessage = errors.New("a message of no bytes")
	errManyMessages = fail.New(fail.Invalid, "more than %d messages in one command", maxUpload)
)

// begin reads the arguments up to the first literal.
func (u *upload) begin(p *parser, several bool) {
	u.p, u.several = p, several
	p.SP()
	u.announce()
}

// announce reads what stands before a literal, and its size.
func (u *upload) announce() {
	p := u.p
	u.now, u.fresh = arrival{}, true
	if p.Peek() == '(' {
		u.now.flags = p.Flags()
		p.SP()
	}
	if p.Peek() == '"' {
		u.now.date = p.DateTime()
		p.SP()
	}
	if c := p.Peek(); p.offersUTF8 && (c == 'U' || c == 'u') {
		if u.now.utf8 = p.Word() == "UTF8"; !u.now.utf8 {
			p.Fail("Literal expected")
		}
		p.SP()
		if p.Byte('('); p.Peek() != '~' {
			p.Fail("Literal8 expected")
		}
	}
	u.now.body = p.Stream(p.max)
}

// Next is a Messages.
func (u *upload) next() (*Message, error) {
	switch {
	case !u.p.Ok():
		return nil, fail.Wrap(fail.Invalid, u.p.Err(), "message %d", u.count+1)
	case u.ended:
		return nil, nil
	case !u.fresh:
		return nil, errors.New("the message before has not been read")
	case u.now.body.Size() == 0:
		u.empty = true
		return nil, errEmptyMessage
	case u.count == maxUpload:
		return nil, errManyMessages
	}
	u.fresh = false
	u.count++
	return &Message{Flags: u.now.flags, Date: u.now.date, Size: u.now.body.Size(), Body: u.arriving()}, nil
}

// arriving reads a literal and then what follows it: the end of the command,
// or the announcement of another message. Only when that is right does it
// report io.EOF: a command that goes on differently is not the one we know,
// and nothing must be kept of it.
type arriving struct {
	u      *upload
	lit    *wire.Literal
	header *asciiHeader // nil when any header will do
	over   bool
}

func (u *upload) arriving() *arriving {
	b := &arriving{u: u, lit: u.now.body}
	if u.p.offersUTF8 && !u.p.utf8 {
		b.header = &asciiHeader{bol: true}
	}
	return b
}

func (b *arriving) Read(p []byte) (int, error) {
	if b.over {
		return 0, io.EOF
	}
	n, err := b.lit.Read(p)
	if b.header != nil && !b.header.accepts(p[:n]) {
		return 0, errHeader
	}
	if err != io.EOF { //nolint:errorlint // the literal's own end
		return n, err
	}
	b.over = true
	if b.u.follow(); !b.u.p.Ok() {
		return n, fail.Wrap(fail.Invalid, b.u.p.Err(), "after the message")
	}
	return n, io.EOF
}

// follow reads what stands behind a literal.
func (u *upload) follow() {
	if u.now.utf8 {
		u.p.Byte(')')
	}
	if u.several && u.p.More() {
		u.announce()
		return
	}
	u.p.End()
	u.ended = true
}

// drain reads the rest of a command that was refused, so that the text of a
// message is never taken for a command. Of a literal that waits to be asked
// for nothing comes, and with it the command has ended.
func (u *upload) drain() {
	for u.p.Ok() && !u.ended {
		if sent, err := u.now.body.Drain(); err != nil || !sent {
			return
		}
		u.follow()
	}
}

// reply is the answer to a command whose messages went to the account.
func (u *upload) reply(s *call, verb, name string, err error) reply {
	switch {
	case !u.p.Ok():
		return none() // an error of the reader is told by the loop
	case u.empty:
		return no("", "Can't save a zero byte message.")
	case errors.Is(err, errHeader):
		return no("", "The header of the message is not ASCII, and UTF8=ACCEPT is not enabled.")
	case errors.Is(err, errManyMessages):
		return no(imap.ResponseCodeLimit, "Too many messages in one command.")
	}
	return s.tryCreate(verb, name, err)
}

// appendUID is the response code of RFC 4315 section 3, with a set of UIDs for
// several messages (RFC 3502).
func appendUID(a Appended) string {
	var set wire.Set
	for _, uid := range a.UIDs {
		set.Add(uid)
	}
	return string(set.Append([]byte("APPENDUID " + strconv.FormatUint(uint64(a.UIDValidity), 10) + " ")))
}

// streams marks the commands that read on to the end of their line themselves.
type streams interface{ uploads() *upload }

// receive has put take the messages, and reads the command to its end.
func receive(ctx context.Context, s *call, u *upload, verb, name string, put func(context.Context, Messages) (Appended, error)) (Appended, reply) {
	if r, bad := s.checkName(name); bad {
		u.drain()
		return Appended{}, r
	}
	if u.now.body.Size() == 0 { // before the account is asked
		u.drain()
		return Appended{}, no("", "Can't save a zero byte message.")
	}
	done, err := put(ctx, u.next)
	if err == nil && u.p.Ok() {
		s.made(name, done.UIDs)
		return done, reply{}
	}
	r := u.reply(s, verb, name, err)
	u.drain()
	return Appended{}, r
}

// errHeader is of a header that is not ASCII, where it must be.
var errHeader = fail.New(fail.Invalid, "8-bit header")

// asciiHeader looks at a message as it passes, up to the end of its header
// (RFC 6855 section 4).
type asciiHeader struct {
	over bool
	bol  bool // at the beginning of a line, or behind its CR
}

func (h *asciiHeader) accepts(p []byte) bool {
	for _, c := range p {
		switch {
		case h.over:
			return true
		case c >= 0x80:
			return false
		case c == '\n':
			h.over, h.bol = h.bol, true
		case c != '\r':
			h.bol = false
		}
	}
	return true
}
