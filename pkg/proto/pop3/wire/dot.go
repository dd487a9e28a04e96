package wire

import (
	"bytes"
	"errors"
	"io"
)

// Body copies a message as a multi-line reply body: CRLF lines, a dot put
// before a line that begins with one, "." at the end (RFC 1939 section 3).
// The header and the first lines body lines are sent; lines < 0 sends all.
// Bare LF becomes CRLF.
func (c *Conn) Body(r io.Reader, lines int) error {
	d := dotter{c: c, left: lines, bol: true}
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		if d.add(buf[:n]) {
			break
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if !d.bol {
		c.write([]byte("\r\n"))
	}
	c.write([]byte(".\r\n"))
	return nil
}

// dotter is the state between two chunks.
type dotter struct {
	c      *Conn
	left   int // body lines still to send, < 0: all
	bol    bool
	inBody bool
	cr     bool // the last byte was CR
	length int  // of the current line so far
}

// add sends a chunk; it reports true when no more is wanted.
func (d *dotter) add(b []byte) (done bool) {
	for len(b) > 0 {
		if d.bol && d.inBody && d.left == 0 {
			return true
		}
		if d.bol && b[0] == '.' {
			d.c.write([]byte{'.'})
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
	d.c.write(b)
	d.bol = false
	d.cr = b[len(b)-1] == '\r'
	d.length += len(b)
}

func (d *dotter) endLine() {
	if d.cr {
		d.c.write([]byte{'\n'})
	} else {
		d.c.write([]byte("\r\n"))
	}
	switch {
	case d.inBody && d.left > 0:
		d.left--
	case !d.inBody && (d.length == 0 || d.length == 1 && d.cr):
		d.inBody = true
	}
	d.bol, d.cr, d.length = true, false, 0
}
