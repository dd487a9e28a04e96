package wire

import (
	"bytes"
	"errors"
	"io"
)

// BodyOptions say how much of a message is sent, and how.
type BodyOptions struct {
	// Lines of the body behind the header; below 0 the whole message.
	Lines int
	// NoNULs sends 0x80 for each NUL, because old Outlooks hang on NUL.
	NoNULs bool
	// EndHeader adds the empty line to a message that has none, because
	// Outlook Express and Netscape wait for it.
	EndHeader bool
}

// Body copies a message as a multi-line reply body: CRLF lines, a dot put
// before a line that begins with one, "." at the end (RFC 1939 section 3).
// Bare LF becomes CRLF. sent counts all but the last line.
func (c *Conn) Body(r io.Reader, o BodyOptions) (sent int64, err error) {
	chunk := c.pools.chunk()
	defer c.pools.chunks.Put(chunk)
	d := dotter{opt: o, left: o.Lines, bol: true, out: chunk.out[:0]}
	for done := false; !done; {
		n, err := r.Read(chunk.in)
		done = d.add(chunk.in[:n])
		if errors.Is(err, io.EOF) {
			done = true
		} else if err != nil {
			return sent, err
		}
		if done {
			d.finish()
		}
		sent += int64(len(d.out))
		c.write(d.out)
		d.out = d.out[:0]
	}
	chunk.out = d.out
	c.write([]byte(".\r\n"))
	return sent, nil
}

// chunk is what one Body works in.
type chunk struct{ in, out []byte }

// chunkSize holds most messages whole.
const chunkSize = 32 << 10

func (p *Pools) chunk() *chunk {
	if c, ok := p.chunks.Get().(*chunk); ok {
		return c
	}
	return &chunk{in: make([]byte, chunkSize), out: make([]byte, 0, chunkSize+chunkSize/8)}
}

// dotter is the state between two chunks.
type dotter struct {
	opt    BodyOptions
	out    []byte
	left   int // body lines still to send, < 0: all
	bol    bool
	inBody bool
	cr     bool // the last byte was CR
	length int  // of the current line so far
}

// add converts a chunk; it reports true when no more is wanted.
func (d *dotter) add(b []byte) (done bool) {
	for len(b) > 0 {
		if d.bol && d.inBody && d.left == 0 {
			return true
		}
		if d.bol && b[0] == '.' {
			d.out = append(d.out, '.')
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			d.part(b)
			return false
		}
		d.part(b[:i])
		d.endLine()
		b = b[i+1:]
	}
	return d.bol && d.inBody && d.left == 0
}

func (d *dotter) part(b []byte) {
	if len(b) == 0 {
		return
	}
	start := len(d.out)
	d.out = append(d.out, b...)
	d.bol = false
	d.cr = b[len(b)-1] == '\r'
	d.length += len(b)
	if !d.opt.NoNULs {
		return
	}
	for text := d.out[start:]; ; {
		i := bytes.IndexByte(text, 0)
		if i < 0 {
			return
		}
		text[i] = 0x80
		text = text[i+1:]
	}
}

func (d *dotter) endLine() {
	if !d.cr {
		d.out = append(d.out, '\r')
	}
	d.out = append(d.out, '\n')
	switch {
	case d.inBody && d.left > 0:
		d.left--
	case !d.inBody && (d.length == 0 || d.length == 1 && d.cr):
		d.inBody = true
	}
	d.bol, d.cr, d.length = true, false, 0
}

// finish ends an unfinished line, and a header that nobody ended.
func (d *dotter) finish() {
	if !d.bol {
		d.out = append(d.out, "\r\n"...)
	}
	if d.opt.EndHeader && !d.inBody {
		d.out = append(d.out, "\r\n"...)
	}
}
