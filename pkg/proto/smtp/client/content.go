package client

import (
	"errors"
	"io"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// smtpMaxLine is the longest line RFC 5321 section 4.5.3.1.6 lets us send,
// without CRLF.
const smtpMaxLine = 998

// content sends the message and the final dot. If reading it fails, the
// connection is closed without a dot: half a message must not look whole.
func (t *sending) content(content io.Reader) error {
	c := t.c
	src := &source{r: content}
	dots := wire.NewDotWriter(c.out, c.maxLine())
	if c.block == nil {
		c.block = make([]byte, blockSize)
	}
	_, err := io.CopyBuffer(dots, src, c.block)
	if src.err != nil {
		c.Close()
		return &ContentError{Err: src.err}
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

// source remembers the error of a reader, to tell it from one of the network.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
