package postfixcmd

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	maxHeader = 1 << 20
	blockSize = 64 << 10
)

// lines reads standard input with lines ended by CRLF. Lines come with LF or
// CRLF, the last perhaps with neither.
type lines struct {
	in      *bufio.Reader
	dotEnds bool   // a line "." is the end
	inLine  bool   // the last piece did not end its line
	cr      bool   // a CR was held back at the end of the last piece
	rest    []byte // not handed out yet
	buf     []byte
	err     error
}

func newLines(r io.Reader, dotEnds bool) *lines {
	return &lines{in: bufio.NewReaderSize(r, blockSize), dotEnds: dotEnds}
}

// next is the next line, or a piece of a long one, valid until the next call.
func (l *lines) next() ([]byte, error) {
	if l.err != nil {
		return nil, l.err
	}
	piece, err := l.in.ReadSlice('\n')
	whole := err == nil
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		if l.err = err; !errors.Is(err, io.EOF) || len(piece) == 0 && !l.inLine {
			return nil, err
		}
		whole = true
	}
	if l.dotEnds && !l.inLine && whole && string(bytes.TrimRight(piece, "\r\n")) == "." {
		l.err = io.EOF
		return nil, io.EOF
	}
	l.buf = l.buf[:0]
	if l.cr {
		l.buf = append(l.buf, '\r')
	}
	l.buf = append(l.buf, piece...)
	l.cr, l.inLine = false, !whole
	if !whole {
		if n := len(l.buf) - 1; l.buf[n] == '\r' {
			l.buf, l.cr = l.buf[:n], true
		}
		return l.buf, nil
	}
	n := len(l.buf)
	if n > 0 && l.buf[n-1] == '\n' {
		n--
	}
	if n > 0 && l.buf[n-1] == '\r' {
		n--
	}
	l.buf = append(l.buf[:n], "\r\n"...)
	return l.buf, nil
}

// Read implements io.Reader.
func (l *lines) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		line, err := l.next()
		if err != nil {
			return 0, err
		}
		l.rest = line
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// field is one header field: its name in lower case and its bytes, with the
// line ends.
type field struct {
	name string
	raw  []byte
}

type header struct{ fields []field }

func (h *header) has(name string) bool { return len(h.values(name)) > 0 }

// values are the unfolded values of all fields of a name.
func (h *header) values(name string) []string {
	var list []string
	for _, f := range h.fields {
		if f.name == name {
			_, value, _ := strings.Cut(string(f.raw), ":")
			list = append(list, strings.ReplaceAll(value, "\r\n", ""))
		}
	}
	return list
}

// readMessage reads the header and what it says to the letter, and returns a
// reader of the whole message.
func readMessage(r io.Reader, l *letter, origin string) (io.Reader, error) {
	in := newLines(r, l.dotEnds)
	h, first, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	if l.fromHeader {
		list, err := headerRecipients(h, origin)
		if err != nil {
			return nil, err
		}
		l.rcpts = append(l.rcpts, list...)
	}
	var head bytes.Buffer
	for _, f := range h.fields {
		head.Write(f.raw)
	}
	if !h.has("from") && !l.sender.Null() && l.fullName != "" {
		head.WriteString("From: " + phrase(l.fullName) + " " + l.sender.Path() + "\r\n")
	}
	for _, b := range head.Bytes() {
		l.eightBit = l.eightBit || b >= 0x80
	}
	head.WriteString("\r\n")
	head.Write(first)
	return io.MultiReader(&head, in), nil
}

// readHeader reads up to the empty line. first is the line that made the
// header end without one.
func readHeader(in *lines) (h *header, first []byte, err error) {
	h = &header{}
	size := 0
	for {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return h, nil, nil
		case err != nil:
			return nil, nil, fail.Wrap(fail.Temporary, err, "error reading input")
		case string(line) == "\r\n":
			return h, nil, nil
		case len(h.fields) == 0 && mailboxMark(line):
			continue
		}
		if size += len(line); size > maxHeader {
			return nil, nil, fail.New(fail.Invalid, "the header is larger than %d bytes", maxHeader)
		}
		if line[0] == ' ' || line[0] == '\t' || !bytes.HasSuffix(line, []byte("\n")) || in.continues(h) {
			if n := len(h.fields); n > 0 {
				h.fields[n-1].raw = append(h.fields[n-1].raw, line...)
				continue
			}
		}
		name, ok := fieldName(line)
		if !ok {
			return h, bytes.Clone(line), nil
		}
		h.fields = append(h.fields, field{name, bytes.Clone(line)})
	}
}

// continues reports whether the last field is a line whose end has not come.
func (l *lines) continues(h *header) bool {
	n := len(h.fields)
	return n > 0 && !bytes.HasSuffix(h.fields[n-1].raw, []byte("\n"))
}

// mailboxMark is the line that mbox files put before a message; programs pipe
// them into sendmail as they are.
func mailboxMark(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

func fieldName(line []byte) (string, bool) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return "", false
	}
	name := strings.ToLower(strings.TrimRight(string(line[:i]), " \t"))
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", false
	}
	return name, true
}

// phrase is a display name as RFC 5322 section 3.2.5 wants it.
func phrase(name string) string {
	name = oneLine(name)
	for i := range len(name) {
		if name[i] >= 0x80 {
			return mime.QEncoding.Encode("utf-8", name)
		}
	}
	if !strings.ContainsAny(name, `()<>[]:;@\,."`) {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}
