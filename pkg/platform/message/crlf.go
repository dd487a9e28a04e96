package message

import (
	"bytes"
	"errors"
	"io"
)

// blockSize is how much of a stored message is read at a time.
const blockSize = 32 << 10

// CRLFReader reads a range of a stored message with every line end as CRLF.
// It allocates its buffer at the first Read.
type CRLFReader struct {
	src      io.ReaderAt
	pos, end int64
	buf      []byte // stored bytes not yet delivered
	block    []byte
	cr       bool // the byte delivered last is a CR
	owed     bool // the CR of a line end is delivered, its LF is not
	verbatim bool // buf is all there is, and as it shall be
}

// NewCRLFReader reads [start, end) of src.
func NewCRLFReader(src io.ReaderAt, start, end int64) *CRLFReader {
	return &CRLFReader{src: src, pos: start, end: end}
}

// fill makes buf hold at least one byte or returns an error.
func (r *CRLFReader) fill() error {
	if len(r.buf) > 0 {
		return nil
	}
	left := r.end - r.pos
	if left <= 0 {
		return io.EOF
	}
	if r.block == nil {
		r.block = make([]byte, min(left, blockSize))
	}
	n, err := r.src.ReadAt(r.block[:min(left, int64(len(r.block)))], r.pos)
	r.pos += int64(n)
	r.buf = r.block[:n]
	if n > 0 {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF // the file is shorter than it was
	}
	return err
}

// Read fills p with converted bytes.
func (r *CRLFReader) Read(p []byte) (int, error) {
	if r.verbatim {
		n := copy(p, r.buf)
		if r.buf = r.buf[n:]; n == 0 && len(p) > 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	n := 0
	for n < len(p) {
		if len(r.buf) == 0 && !r.owed && len(p)-n >= directSize {
			k, err := r.direct(p[n:])
			if n += k; err != nil {
				if n > 0 && errors.Is(err, io.EOF) {
					err = nil
				}
				return n, err
			}
			continue
		}
		if r.owed {
			p[n] = '\n'
			n++
			r.owed, r.cr = false, false
			continue
		}
		if err := r.fill(); err != nil {
			if n > 0 && errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		n += r.copyLines(p[n:])
		if len(r.buf) == 0 && n > 0 && n >= len(p)/2 {
			break // enough; do not start another block for a few bytes
		}
	}
	return n, nil
}

// directSize is from how much room on direct is used.
const directSize = 256

// direct reads into the upper part of p and moves line by line down, where
// there is room for the CRs: no other memory is needed.
func (r *CRLFReader) direct(p []byte) (int, error) {
	left := r.end - r.pos
	if left <= 0 {
		return 0, io.EOF
	}
	from := len(p) - int(min(left, int64(len(p)-len(p)/48)))
	n, err := r.src.ReadAt(p[from:], r.pos)
	if n == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the file is shorter than it was
		}
		return 0, err
	}
	w, at, end := 0, from, from+n
	for at < end {
		i := bytes.IndexByte(p[at:end], '\n')
		line := i
		if i < 0 {
			line = end - at
		}
		if line > 0 {
			copy(p[w:], p[at:at+line])
			w, at = w+line, at+line
			r.cr = p[w-1] == '\r'
		}
		if i < 0 {
			break
		}
		if !r.cr {
			if w == at {
				break // no room for one more CR before the LF
			}
			p[w] = '\r'
			w++
		}
		p[w] = '\n'
		w, at, r.cr = w+1, at+1, false
	}
	r.pos += int64(at - from)
	return w, nil
}

// copyLines delivers buffered lines, as far as they fit into p.
func (r *CRLFReader) copyLines(p []byte) int {
	w, buf, cr := 0, r.buf, r.cr // not in r: a store of a pointer for each line costs more than finding it
	for len(buf) > 0 && w < len(p) {
		i := bytes.IndexByte(buf, '\n')
		text := buf
		if i >= 0 {
			text = buf[:i]
		}
		n := copy(p[w:], text)
		if n > 0 {
			w, buf = w+n, buf[n:]
			cr = p[w-1] == '\r'
		}
		if n < len(text) || i < 0 || w == len(p) {
			break
		}
		buf = buf[1:]
		if !cr {
			p[w] = '\r'
			if w++; w == len(p) {
				r.owed = true
				break
			}
		}
		p[w] = '\n'
		w, cr = w+1, false
	}
	r.buf, r.cr = buf, cr
	return w
}

// Discard skips n converted bytes and returns how many there were.
func (r *CRLFReader) Discard(n int64) (int64, error) {
	if r.verbatim {
		k := min(n, int64(len(r.buf)))
		r.buf = r.buf[k:]
		return k, nil
	}
	var done int64
	for done < n {
		if r.owed {
			r.owed, r.cr = false, false
			done++
			continue
		}
		if err := r.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return done, err
		}
		if size := int64(len(r.buf)) + bareLF(r.buf, r.cr); size <= n-done {
			r.cr = r.buf[len(r.buf)-1] == '\r'
			r.buf = nil
			done += size
			continue
		}
		var small [512]byte
		done += int64(r.copyLines(small[:min(n-done, int64(len(small)))]))
	}
	return done, nil
}

// bareLF counts the LFs of b that no CR precedes; cr is about the byte before b.
func bareLF(b []byte, cr bool) int64 {
	n := int64(bytes.Count(b, []byte{'\n'}))
	if n == 0 {
		return 0
	}
	if cr && b[0] == '\n' {
		n--
	}
	return n - int64(bytes.Count(b, []byte("\r\n")))
}

// LFWriter turns CRLF into LF on the way to w, as Maildir stores lines, and
// counts. A CR without an LF stays.
type LFWriter struct {
	w     io.Writer
	held  bool // a CR that may begin a CRLF
	cr    bool // the byte written last is a CR
	size  int64
	vsize int64
}

// NewLFWriter writes to w.
func NewLFWriter(w io.Writer) *LFWriter { return &LFWriter{w: w} }

// Write converts and writes p. It counts p as written when it holds back a CR.
func (l *LFWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		rest := p[written:]
		if l.held {
			l.held = false
			if rest[0] != '\n' {
				if err := l.put([]byte{'\r'}); err != nil {
					return written, err
				}
			}
		}
		run := bytes.Index(rest, []byte("\r\n"))
		switch {
		case run >= 0:
		case rest[len(rest)-1] == '\r':
			run = len(rest) - 1
		default:
			run = len(rest)
		}
		if err := l.put(rest[:run]); err != nil {
			return written, err
		}
		written += run
		if run < len(rest) {
			l.held = true
			written++
		}
	}
	return written, nil
}

func (l *LFWriter) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := l.w.Write(b)
	l.size += int64(n)
	l.vsize += int64(n) + bareLF(b[:n], l.cr)
	if n > 0 {
		l.cr = b[n-1] == '\r'
	}
	return err
}

// Flush writes a CR that was the last byte so far. Call it once, at the end.
func (l *LFWriter) Flush() error {
	if !l.held {
		return nil
	}
	l.held = false
	return l.put([]byte{'\r'})
}

// Size is the number of bytes written, VSize the same with CRLF line ends.
func (l *LFWriter) Size() int64 { return l.size }

// VSize is Size with every line end counted as CRLF.
func (l *LFWriter) VSize() int64 { return l.vsize }

// Count reads r to its end and returns its size, its size with CRLF line ends,
// and the number of line ends.
func Count(r io.Reader) (size, vsize, lines int64, err error) {
	buf := make([]byte, blockSize)
	cr := false
	for {
		n, err := r.Read(buf)
		if n > 0 {
			b := buf[:n]
			size += int64(n)
			vsize += int64(n) + bareLF(b, cr)
			lines += int64(bytes.Count(b, []byte{'\n'}))
			cr = b[n-1] == '\r'
		}
		if errors.Is(err, io.EOF) {
			return size, vsize, lines, nil
		}
		if err != nil {
			return size, vsize, lines, err
		}
	}
}
