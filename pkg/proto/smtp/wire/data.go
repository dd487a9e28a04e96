package wire

import "io"

// Data reads content that came after DATA (RFC 5321 section 4.5.2): dots are
// unstuffed, every line ends in CRLF. It ends behind CRLF "." CRLF and consumes
// nothing after that.
type Data struct {
	r        *Reader
	start    bool // at the start of a line
	prevBare bool // the line before ended in a bare LF
	bare     bool
	stray    bool // see plainRun
	lit      [2]byte
	rest     []byte
	err      error
}

// Reset begins a message on r.
func (d *Data) Reset(r *Reader) { *d = Data{r: r, start: true} }

// Bare reports whether a bare LF was seen so far.
func (d *Data) Bare() bool { return d.bare }

// Next returns the next run of content; see Body. A connection that ends
// inside the message gives io.ErrUnexpectedEOF.
func (d *Data) Next() ([]byte, error) {
	for d.err == nil {
		run, err := d.step()
		if len(run) > 0 {
			return run, nil
		}
		d.err = err
	}
	return nil, d.err
}

// Read implements io.Reader.
func (d *Data) Read(p []byte) (int, error) {
	return readBody(p, &d.rest, d.Next, func() bool { return d.r.Buffered() > 0 })
}

func (d *Data) step() ([]byte, error) {
	if err := d.r.need(1); err != nil {
		return nil, err
	}
	b := d.r.Peek()
	if d.start && b[0] == '.' {
		return nil, d.dot()
	}
	if n, start := plainRun(b, true, d.start, &d.stray); n > 0 {
		d.r.skip(n)
		d.start, d.prevBare = start, false
		return b[:n], nil
	}
	if b[0] == '\n' {
		d.r.skip(1)
		d.bare, d.prevBare, d.start = true, true, true
		d.lit = [2]byte{'\r', '\n'}
		return d.lit[:], nil
	}
	// A CR; plainRun takes it when LF follows.
	if len(b) == 1 {
		return nil, d.r.need(2)
	}
	d.r.skip(1)
	d.start = false
	d.lit[0] = ' '
	return d.lit[:1], nil
}

// dot handles a dot at the start of a line: the end of data, a line that
// touches a bare LF and is dropped, or a stuffed dot.
func (d *Data) dot() error {
	if err := d.r.need(2); err != nil {
		return err
	}
	if b := d.r.Peek(); b[1] == '\n' {
		d.r.skip(2)
		d.bare, d.prevBare = true, true
		return nil
	} else if b[1] == '\r' {
		if err := d.r.need(3); err != nil {
			return err
		}
		if d.r.Peek()[2] == '\n' {
			d.r.skip(3)
			if !d.prevBare {
				return io.EOF
			}
			d.prevBare = false
			return nil
		}
	}
	d.r.skip(1)
	d.start = false
	return nil
}
