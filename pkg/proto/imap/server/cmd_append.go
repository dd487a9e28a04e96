package server

import (
	"context"
	"io"
	"strconv"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// APPEND: RFC 3501 section 6.3.11, with APPENDUID of RFC 4315 section 3.
//
//	append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal
//
// The literal is left unread: it goes to the Account as a stream.
func parseAppend(p *parser, _ bool) runner {
	c := &appendCmd{name: p.mailbox()}
	p.SP()
	if p.Peek() == '(' {
		c.flags = p.Flags()
		p.SP()
	}
	if p.Peek() == '"' {
		c.date = p.DateTime()
		p.SP()
	}
	c.body = p.Stream(p.max)
	return c
}

type appendCmd struct {
	name  string
	flags []imap.Flag
	date  time.Time
	body  *wire.Literal
}

func (c *appendCmd) run(ctx context.Context, s *call) reply {
	body := &whole{lit: c.body, r: s.r}
	r := c.store(ctx, s, body)
	if !s.r.Ok() || body.ended {
		return r // an error of the reader is told by the loop
	}
	if sent, err := c.body.Drain(); err == nil && sent {
		s.r.End()
	}
	return r
}

func (c *appendCmd) store(ctx context.Context, s *call, body io.Reader) reply {
	if r, bad := s.checkName(c.name); bad {
		return r
	}
	if c.body.Size() == 0 {
		return no("", "Can't save a zero byte message.")
	}
	done, err := s.start.Account.Append(ctx, c.name, Message{Flags: c.flags, Date: c.date, Size: c.body.Size(), Body: body})
	switch {
	case !s.r.Ok():
		return none()
	case err != nil:
		return s.tryCreate("APPEND", c.name, err)
	}
	code := "APPENDUID " + strconv.FormatUint(uint64(done.UIDValidity), 10) + " " + strconv.FormatUint(uint64(done.UID), 10)
	return okCode(code, "Append completed.")
}

// whole reads the literal and then the end of the line. Only when both are
// right does it report io.EOF: a command that goes on differently is not the
// one we know, and nothing must be kept of it.
type whole struct {
	lit   *wire.Literal
	r     *wire.Reader
	ended bool
}

func (b *whole) Read(p []byte) (int, error) {
	n, err := b.lit.Read(p)
	if err != io.EOF || b.ended { //nolint:errorlint // the literal's own end
		return n, err
	}
	b.ended = true
	if b.r.End(); !b.r.Ok() {
		return n, fail.Wrap(fail.Invalid, b.r.Err(), "after the message")
	}
	return n, io.EOF
}
