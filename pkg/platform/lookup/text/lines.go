package text

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Limits cap what a table may hold; a zero takes its default.
type Limits struct {
	Size    int64 // bytes of the source
	Line    int   // bytes of a logical line
	Entries int   // entries, rules
}

// The defaults of Limits.
const (
	maxSize    = 1 << 30
	maxLine    = 1 << 20
	maxEntries = 50_000_000
)

// WithDefaults fills in what is unset.
func (l Limits) WithDefaults() Limits {
	if l.Size <= 0 {
		l.Size = maxSize
	}
	if l.Line <= 0 {
		l.Line = maxLine
	}
	if l.Entries <= 0 {
		l.Entries = maxEntries
	}
	return l
}

// Problem is something wrong with a line that does not make the other lines
// useless.
type Problem struct {
	Source string // the file, or the table as it was written
	Line   int    // where the logical line starts, from 1; 0: of the whole
	Text   string
}

// String is how people are told.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Source + ": " + p.Text
	}
	return fmt.Sprintf("%s, line %d: %s", p.Source, p.Line, p.Text)
}

// Warn takes problems; it may be called concurrently.
type Warn func(Problem)

// Lines reads logical lines: comments (a # comes first) and empty lines do not
// count, and a line that starts with white space goes on with the one before
// it, across such lines, too.
type Lines struct {
	Source string
	Limits Limits

	warn   Warn
	in     *bufio.Reader
	number int    // physical lines read
	ahead  []byte // the first physical line of the next logical one
	aheadN int
	line   []byte
	start  int
	size   int64
	count  int
}

// NewLines reads from in; warn may be nil.
func NewLines(source string, in io.Reader, limits Limits, warn Warn) *Lines {
	if warn == nil {
		warn = func(Problem) {}
	}
	return &Lines{Source: source, Limits: limits.WithDefaults(), warn: warn, in: bufio.NewReaderSize(in, 64<<10)}
}

// Next returns the next logical line, which is good until the call after,
// without white space around it. io.EOF comes after the last one; other
// errors: fail.Invalid for more than Limits allow, else the reader's.
func (l *Lines) Next() ([]byte, error) {
	l.line, l.start = append(l.line[:0], l.ahead...), l.aheadN
	l.ahead = l.ahead[:0]
	for {
		raw, err := l.physical()
		if errors.Is(err, io.EOF) {
			if l.start == 0 {
				return nil, io.EOF
			}
			return l.take()
		}
		if err != nil {
			return nil, err
		}
		text := bytes.TrimLeft(raw, " \t\r\v\f")
		switch {
		case len(text) == 0 || text[0] == '#':
		case len(text) < len(raw) && l.start == 0:
			l.WarnAt(l.number, "the first line must not start with white space")
		case len(text) < len(raw):
			if l.line = append(l.line, raw...); len(l.line) > l.Limits.Line {
				return nil, l.tooLong()
			}
		case l.start == 0:
			l.line, l.start = append(l.line, raw...), l.number
		default:
			l.ahead, l.aheadN = append(l.ahead, raw...), l.number
			return l.take()
		}
	}
}

func (l *Lines) take() ([]byte, error) {
	if l.count++; l.count > l.Limits.Entries {
		return nil, fail.New(fail.Invalid, "%s has more than %d entries", l.Source, l.Limits.Entries)
	}
	if len(l.ahead) == 0 {
		l.aheadN = 0
	}
	return bytes.TrimSpace(l.line), nil
}

// physical returns the next line without its end.
func (l *Lines) physical() ([]byte, error) {
	l.number++
	raw, err := l.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		raw, err = l.long(raw)
	}
	if l.size += int64(len(raw)); l.size > l.Limits.Size {
		return nil, fail.New(fail.Invalid, "%s is larger than %d bytes", l.Source, l.Limits.Size)
	}
	if errors.Is(err, io.EOF) && len(raw) > 0 {
		return raw, nil
	}
	return bytes.TrimSuffix(raw, []byte("\n")), err
}

// long reads the rest of a line that is longer than the buffer.
func (l *Lines) long(part []byte) ([]byte, error) {
	all := bytes.Clone(part)
	for {
		part, err := l.in.ReadSlice('\n')
		if all = append(all, part...); len(all) > l.Limits.Line {
			return nil, l.tooLong()
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return all, err
		}
	}
}

func (l *Lines) tooLong() error {
	return fail.New(fail.Invalid, "%s, line %d: is longer than %d bytes", l.Source, l.number, l.Limits.Line)
}

// Number is where the line that Next returned starts, from 1.
func (l *Lines) Number() int { return l.start }

// Warnf reports a problem with the line that Next returned.
func (l *Lines) Warnf(format string, args ...any) {
	l.WarnAt(l.start, fmt.Sprintf(format, args...))
}

// WarnAt reports a problem with another line.
func (l *Lines) WarnAt(line int, text string) { l.warn(Problem{l.Source, line, text}) }
