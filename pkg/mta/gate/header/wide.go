package header

import (
	"bytes"
	"unicode/utf8"
)

// Wide finds out whether a message that is written to it needs SMTPUTF8 (RFC
// 6531 section 3.1): whether a field of its header, of the header of one of its
// parts, or of a message in it, is not ASCII. What a boundary may be is taken
// for one, so it may say yes where no was right, and never the other way round.
// The zero value is ready. Not safe for concurrent use.
type Wide struct {
	fields  wideState
	nested  bool   // a message in the part follows its header
	line    []byte // begin of a line that has not ended
	long    bool   // of such a line, more than line holds has come
	needed  bool
	invalid bool // fields that are not ASCII are not UTF-8 either
}

type wideState uint8

const (
	inFields  wideState = iota // the header, as messages begin
	inContent                  // text, until what may be a boundary
)

// maxWideLine is how much of a line is held.
const maxWideLine = 2 << 10

// Needed reports whether a header is not ASCII; UTF8 that it is UTF-8.
func (w *Wide) Needed() bool { return w.needed }

// UTF8 reports whether what is needed is valid.
func (w *Wide) UTF8() bool { return w.needed && !w.invalid }

// Write looks at the next piece of the message. It never fails.
func (w *Wide) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.hold(p)
			return n, nil
		}
		line := p[:i]
		if len(w.line) > 0 || w.long || len(line) > maxWideLine {
			w.hold(line)
			line = w.line
		}
		w.look(line, w.long)
		w.line, w.long = w.line[:0], false
		p = p[i+1:]
	}
	return n, nil
}

// hold keeps a piece of a line. What does not fit is looked at as it is.
func (w *Wide) hold(p []byte) {
	if room := maxWideLine - len(w.line); room < len(p) {
		w.long = true
		if w.fields == inFields && !ascii(p[room:]) {
			w.needed = true
		}
		p = p[:room]
	}
	w.line = append(w.line, p...)
}

// look takes a line; cut says that its end is missing, and with it perhaps the
// end of a character.
func (w *Wide) look(line []byte, cut bool) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	switch {
	case w.fields == inContent:
		if bytes.HasPrefix(line, []byte("--")) {
			w.fields = inFields
		}
	case len(line) == 0:
		if w.fields = inContent; w.nested {
			w.fields = inFields
		}
		w.nested = false
	case !ascii(line):
		w.needed = true
		w.invalid = w.invalid || !cut && !utf8.Valid(line)
	default:
		w.nested = w.nested || bytes.Contains(bytes.ToLower(line), []byte("message/"))
	}
}

func ascii(p []byte) bool {
	for _, c := range p {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
