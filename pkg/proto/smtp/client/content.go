package client

import (
	"io"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// smtpMaxLine is the longest line RFC 5321 section 4.5.3.1.6 lets us send,
// without CRLF.
const smtpMaxLine = 998

// content sends the message and the final dot. If reading it fails, the
// connection is closed without a dot: half a message must not look whole.
func (t *sending) content(content io.Reader) error {
	c := t.c
	src := &fail.Reader{R: content}
	dots := wire.NewDotWriter(c.out, c.maxLine())
	if c.block == nil {
		c.block = make([]byte, blockSize)
	}
	_, err := io.CopyBuffer(dots, src, c.block)
	if src.Err != nil {
		c.Close()
		return &ContentError{Err: src.Err}
	}
	if err != nil {
		return c.flush(t.ctx, StageContent) // returns the error that stuck
	}
	_ = dots.Close() // its error sticks, too
	return c.flush(t.ctx, StageContent)
}

func (c *Conn) maxLine() int {
	switch {
	case c.cfg.MaxLine > 0:
		return c.cfg.MaxLine
	case c.cfg.MaxLine < 0 || c.cfg.LMTP:
		return 0
	}
	return smtpMaxLine
}
