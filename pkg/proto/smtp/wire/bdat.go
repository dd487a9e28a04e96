package wire

import "io"

// Chunks reads content that came by BDAT (RFC 3030), across its chunks. The
// octets of a chunk are counted as sent; line ends are normalised as in Data,
// also where a chunk ends between CR and LF.
type Chunks struct {
	r     *Reader
	size  int64 // of the current chunk
	left  int64 // of it, not read yet
	cr    bool  // the last octet read was a CR that has not been delivered
	start bool
	bare  bool
	stray bool // see plainRun
	lit   [2]byte
}

// Reset begins a message on r.
func (c *Chunks) Reset(r *Reader) { *c = Chunks{r: r, start: true} }

// Start begins a chunk of n octets.
func (c *Chunks) Start(n int64) { c.size, c.left = n, n }

// Size returns the octets of the chunk.
func (c *Chunks) Size() int64 { return c.size }

// Left returns how many octets of the chunk were not read yet.
func (c *Chunks) Left() int64 { return c.left }

// Bare reports whether a bare LF was seen so far.
func (c *Chunks) Bare() bool { return c.bare }

// Next returns the next run of content; io.EOF is the end of the chunk.
func (c *Chunks) Next() ([]byte, error) {
	for {
		run, err := c.step()
		if len(run) > 0 || err != nil {
			return run, err
		}
	}
}

// End returns what is due after the last chunk, so that content that is not
// empty ends in CRLF. It returns nil when nothing is due.
func (c *Chunks) End() []byte {
	switch {
	case c.cr: // "…CR": the CR becomes the line end
	case c.start:
		return nil
	}
	c.cr, c.start = false, true
	return c.lineEnd()
}

// Skip drops up to everything of the chunk that is left.
func (c *Chunks) Skip() error {
	for c.left > 0 {
		if err := c.r.need(1); err != nil {
			return err
		}
		n := min(int64(c.r.Buffered()), c.left)
		c.r.skip(int(n))
		c.left -= n
	}
	return nil
}

func (c *Chunks) step() ([]byte, error) {
	if c.left == 0 {
		return nil, io.EOF
	}
	if err := c.r.need(1); err != nil {
		return nil, err
	}
	b := c.r.Peek()
	b = b[:min(int64(len(b)), c.left)]
	if c.cr {
		return c.afterCR(b[0]), nil
	}
	if n, start := plainRun(b, false, c.start, &c.stray); n > 0 {
		c.take(n)
		c.start = start
		return b[:n], nil
	}
	if b[0] == '\n' {
		c.take(1)
		c.bare, c.start = true, true
		return c.lineEnd(), nil
	}
	// A CR. Its successor may be in the next read or in the next chunk.
	c.take(1)
	c.cr = true
	return nil, nil
}

// afterCR decides about a CR when the octet after it is known.
func (c *Chunks) afterCR(next byte) []byte {
	c.cr = false
	if next == '\n' {
		c.take(1)
		c.start = true
		return c.lineEnd()
	}
	c.start = false
	c.lit[0] = ' '
	return c.lit[:1]
}

func (c *Chunks) take(n int) {
	c.r.skip(n)
	c.left -= int64(n)
}

func (c *Chunks) lineEnd() []byte {
	c.lit = [2]byte{'\r', '\n'}
	return c.lit[:]
}
