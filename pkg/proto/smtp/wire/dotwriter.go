package wire

import (
	"bufio"
	"bytes"
	"unicode/utf8"
)

// DotWriter writes content for DATA: dots stuffed, every line ended by CRLF.
// An LF without CR ends a line, a CR without LF becomes a space, so that what
// leaves us can smuggle nothing.
type DotWriter struct {
	w     *bufio.Writer
	max   int  // octets of a line; 0: no limit
	col   int  // octets of the current line
	cr    bool // the last octet was a CR, not written yet
	chunk bool // for BDAT: dots are dots, and nothing marks the end
}

// NewDotWriter returns a writer to w. Lines longer than maxLine octets (0: no
// limit) are broken by CRLF and a space, as Postfix does for the 998 octets of
// RFC 5321 section 4.5.3.1.6.
func NewDotWriter(w *bufio.Writer, maxLine int) *DotWriter { return &DotWriter{w: w, max: maxLine} }

// NewChunkWriter returns a writer of the same lines for BDAT (RFC 3030), whose
// count says where the content ends.
func NewChunkWriter(w *bufio.Writer, maxLine int) *DotWriter {
	return &DotWriter{w: w, max: maxLine, chunk: true}
}

// Write implements io.Writer.
func (d *DotWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if n := d.plain(p); n > 0 {
			if _, err := d.w.Write(p[:n]); err != nil {
				return 0, err
			}
			p = p[n:]
			continue
		}
		if d.cr {
			d.cr = false
			if p[0] != '\n' {
				d.text(" ")
			}
		}
		lf := bytes.IndexByte(p, '\n')
		line := p
		if lf >= 0 {
			line, p = p[:lf], p[lf+1:]
		} else {
			p = nil
		}
		if l := len(line); l > 0 && line[l-1] == '\r' {
			line = line[:l-1]
			d.cr = lf < 0
		}
		d.line(line)
		if lf >= 0 {
			if _, err := d.w.WriteString("\r\n"); err != nil {
				return 0, err
			}
			d.col = 0
		}
	}
	return total, nil
}

// plain returns how many octets of p are whole lines that leave as they are.
func (d *DotWriter) plain(p []byte) (n int) {
	if d.col > 0 || d.cr {
		return 0
	}
	for n < len(p) && (p[n] != '.' || d.chunk) {
		line := p[n:]
		end := bytes.IndexByte(line, '\n') - 1
		if end < 0 || line[end] != '\r' || d.max > 0 && end > d.max || bytes.IndexByte(line[:end], '\r') >= 0 {
			return n
		}
		n += end + 2
	}
	return n
}

// Close ends the last line if need be and writes the end of data, but for BDAT.
// It does not flush.
func (d *DotWriter) Close() error {
	if d.col > 0 || d.cr {
		d.w.WriteString("\r\n") //nolint:errcheck // bufio keeps the error
	}
	d.col, d.cr = 0, false
	end := ".\r\n"
	if d.chunk {
		end = ""
	}
	_, err := d.w.WriteString(end)
	return err
}

// line writes a piece of a line that holds no LF.
func (d *DotWriter) line(b []byte) {
	for len(b) > 0 {
		cr := bytes.IndexByte(b, '\r')
		if cr < 0 {
			d.piece(b)
			return
		}
		d.piece(b[:cr])
		d.text(" ")
		b = b[cr+1:]
	}
}

func (d *DotWriter) text(s string) { d.piece([]byte(s)) }

// piece writes octets without line ends. Errors stay in the bufio.Writer and
// come back from its next call.
func (d *DotWriter) piece(b []byte) {
	if len(b) == 0 {
		return
	}
	if d.col == 0 && b[0] == '.' && !d.chunk {
		d.w.WriteByte('.') //nolint:errcheck // see above
	}
	for d.max > 0 && d.col+len(b) > d.max {
		n := breakPoint(b, d.max-d.col)
		d.w.Write(b[:n])         //nolint:errcheck // see above
		d.w.WriteString("\r\n ") //nolint:errcheck // see above
		b = b[n:]
		d.col = 1
	}
	d.w.Write(b) //nolint:errcheck // see above
	d.col += len(b)
}

// breakPoint returns where to cut b, at most at n: before a character, or at n
// where there is none.
func breakPoint(b []byte, n int) int {
	for i := n; i > max(0, n-utf8.UTFMax); i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return n
}
