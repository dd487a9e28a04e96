package wire

import (
	"bytes"
	"io"
)

// BareLF is what happens to content with an LF that does not follow a CR.
type BareLF uint8

// The policies. None of them lets a bare LF end a message, and a CR that is
// not part of a CRLF becomes a space under both.
const (
	// NormalizeBareLF takes a bare LF as CRLF; a line of one dot that touches a
	// bare LF is dropped.
	NormalizeBareLF BareLF = iota
	// RejectBareLF is for the caller to refuse the message after it was read;
	// the content reads as with NormalizeBareLF.
	RejectBareLF
)

// Body is message content as a stream. Next is the cheapest way to read it,
// Read is made of it.
type Body interface {
	// Next returns the next run of content, never empty. It is valid until the
	// next call. io.EOF is the end of the message.
	Next() ([]byte, error)
	// Bare reports whether a bare LF was seen so far.
	Bare() bool
}

// plainRun returns how many octets at the start of b are content that needs
// no change, and whether the octet after them starts a line. start says that
// of b's first octet. The run stops before a bare LF, a stray CR, a CR whose
// successor is not in b, and, with dots, before a dot that starts a line.
// stray is kept for the next run: a message that had a stray CR may have many.
func plainRun(b []byte, dots, start bool, stray *bool) (n int, atStart bool) {
	if !*stray {
		if n, *stray = wholeLines(b, dots, start); n > 0 {
			start = true
		}
	}
	for n < len(b) {
		if start && dots && b[n] == '.' {
			break
		}
		line := b[n:]
		lf := bytes.IndexByte(line, '\n')
		if lf >= 0 {
			line = line[:lf]
		}
		text := line
		if l := len(line); l > 0 && line[l-1] == '\r' {
			text = line[:l-1]
		}
		if cr := bytes.IndexByte(text, '\r'); cr >= 0 {
			return n + cr, start && cr == 0
		}
		if lf == len(text) || lf < 0 {
			return n + len(text), start && len(text) == 0
		}
		n += lf + 1
		start = true
	}
	return n, start
}

// wholeLines is the usual part of plainRun: how many octets at the start of b
// are lines that need no change. A stray CR is looked for in all of them
// together, which takes half of the time of looking in each line; when there is
// one, the answer is 0.
func wholeLines(b []byte, dots, start bool) (n int, stray bool) {
	lines := 0
	for n < len(b) && !(dots && start && b[n] == '.') {
		lf := bytes.IndexByte(b[n:], '\n')
		if lf < 1 || b[n+lf-1] != '\r' {
			break
		}
		n += lf + 1
		lines++
		start = true
	}
	if bytes.Count(b[:n], []byte{'\r'}) != lines {
		return 0, true
	}
	return n, false
}

// readBody implements io.Reader on Next: rest is what earlier calls left.
func readBody(p []byte, rest *[]byte, next func() ([]byte, error), more func() bool) (int, error) {
	n := 0
	for n < len(p) {
		if len(*rest) == 0 {
			if n > 0 && !more() {
				return n, nil
			}
			run, err := next()
			if err != nil {
				if n > 0 && err == io.EOF {
					return n, nil // comes again
				}
				return n, err
			}
			*rest = run
		}
		c := copy(p[n:], *rest)
		*rest = (*rest)[c:]
		n += c
	}
	return n, nil
}
