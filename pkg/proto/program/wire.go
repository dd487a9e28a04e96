package program

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Caps of the protocol.
const (
	maxLine    = 4096
	maxLines   = 20100
	maxChunk   = 64 << 10
	maxOutput  = 64 << 10
	maxPerCall = 10000
)

// Request is what is to be delivered.
type Request struct {
	Command string // name of a command in the helper's configuration
	Text    string // of an alias: what stands behind the bar; it names the command
	File    string // of an alias: the path
	Ask     string // in place of a delivery, see Forward

	Sender     string // empty for the null sender
	Recipients []Recipient
	NextHop    string
	QueueID    string
	Size       int64

	ClientName, ClientAddress, ClientHelo, ClientProtocol string
	ClientPort                                            string
	SASLUser, SASLMethod                                  string
	EnvelopeID                                            string
}

// Recipient is one of them.
type Recipient struct{ Address, Original string }

// fields are the single values by name.
func (r *Request) fields() []struct {
	name string
	at   *string
} {
	return []struct {
		name string
		at   *string
	}{
		{"command", &r.Command},
		{"text", &r.Text},
		{"file", &r.File},
		{"ask", &r.Ask},
		{"sender", &r.Sender},
		{"nexthop", &r.NextHop},
		{"queue_id", &r.QueueID},
		{"client_name", &r.ClientName},
		{"client_address", &r.ClientAddress},
		{"client_helo", &r.ClientHelo},
		{"client_protocol", &r.ClientProtocol},
		{"client_port", &r.ClientPort},
		{"envid", &r.EnvelopeID},
		{"sasl_username", &r.SASLUser},
		{"sasl_method", &r.SASLMethod},
	}
}

// Append writes the lines of the request, with the empty one at the end.
func (r *Request) Append(b []byte) []byte {
	line := func(name, value string) {
		if value != "" {
			b = append(append(append(b, name...), '='), escape(value)...)
			b = append(b, '\n')
		}
	}
	for _, f := range r.fields() {
		line(f.name, *f.at)
	}
	line("size", strconv.FormatInt(r.Size, 10))
	for _, rc := range r.Recipients {
		line("recipient", rc.Address)
		line("original", rc.Original)
	}
	return append(b, '\n')
}

const hex = "0123456789ABCDEF"

func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '%' || c == 0x7f {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}

// Receive reads a request; body is the message behind it, which ends with
// io.EOF only if it is whole. Errors: fail.Invalid for what is no request.
func Receive(in *bufio.Reader) (r Request, body io.Reader, err error) {
	for n := 0; ; n++ {
		line, err := readLine(in)
		if err != nil {
			return r, nil, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, "=")
		if value, ok2 := unescape(value); !ok || !ok2 || n >= maxLines || !r.set(name, value) {
			return r, nil, fail.New(fail.Invalid, "request line %.60q is not understood", line)
		}
	}
	if len(r.Recipients) == 0 {
		return r, nil, fail.New(fail.Invalid, "the request has no recipient")
	}
	return r, &chunks{in: in}, nil
}

func (r *Request) set(name, value string) bool {
	switch name {
	case "size":
		n, err := strconv.ParseInt(value, 10, 64)
		r.Size = n
		return err == nil && n >= 0
	case "recipient":
		r.Recipients = append(r.Recipients, Recipient{Address: value})
		return len(r.Recipients) <= maxPerCall
	case "original":
		if len(r.Recipients) == 0 {
			return false
		}
		r.Recipients[len(r.Recipients)-1].Original = value
		return true
	}
	for _, f := range r.fields() {
		if f.name == name {
			*f.at = value
			return true
		}
	}
	return false
}

func readLine(in *bufio.Reader) (string, error) {
	var b []byte
	for {
		c, err := in.ReadByte()
		if err != nil {
			return "", fail.Wrap(fail.Unavailable, err, "reading a line")
		}
		if c == '\n' {
			return string(b), nil
		}
		if b = append(b, c); len(b) > maxLine {
			return "", fail.New(fail.Invalid, "a line is longer than %d bytes", maxLine)
		}
	}
}

// chunks reads a message.
type chunks struct {
	in   *bufio.Reader
	left int
	err  error
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		line, err := readLine(c.in)
		if err != nil {
			c.err = io.ErrUnexpectedEOF
			return 0, c.err
		}
		n, err := strconv.ParseUint(line, 10, 32)
		switch {
		case err != nil || n > maxChunk:
			c.err = fail.New(fail.Invalid, "chunk size %.20q", line)
			return 0, c.err
		case n == 0:
			c.err = io.EOF
			return 0, io.EOF
		}
		c.left = int(n)
	}
	n, err := c.in.Read(p[:min(len(p), c.left)])
	c.left -= n
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		c.err = err
	}
	return n, err
}

// writeChunks sends a message.
func writeChunks(w *bufio.Writer, body io.Reader) error {
	buf := make([]byte, maxChunk)
	for {
		n, err := io.ReadFull(body, buf)
		if n > 0 {
			_, _ = w.WriteString(strconv.Itoa(n) + "\n")
			if _, werr := w.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			_, err := w.WriteString("0\n")
			return errors.Join(err, w.Flush())
		case err != nil:
			return errCut{err}
		}
	}
}

// errCut says that the message itself could not be read.
type errCut struct{ error }

// Reply is how a program ended.
type Reply struct {
	Exit   int
	Output string
}

// Append writes the reply.
func (r Reply) Append(b []byte) []byte {
	b = append(b, "exit "+strconv.Itoa(r.Exit)+"\n"...)
	return append(b, r.Output[:min(len(r.Output), maxOutput)]...)
}

func readReply(in *bufio.Reader) (Reply, error) {
	line, err := readLine(in)
	if err != nil {
		return Reply{}, err
	}
	text, ok := strings.CutPrefix(line, "exit ")
	n, err := strconv.Atoi(text)
	if !ok || err != nil {
		return Reply{}, fail.New(fail.Unavailable, "the helper answered %.40q", line)
	}
	// A helper that has not read the whole message resets the connection
	// behind its answer: what there is of the output will do.
	out, _ := io.ReadAll(io.LimitReader(in, maxOutput))
	return Reply{n, string(out)}, nil
}
