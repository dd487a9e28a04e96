package message

import (
	"bufio"
	"bytes"
	"io"
)

// MaxMemory is up to what size a message is read at once.
const MaxMemory = 256 << 10

// Memory holds one message after the other, as they are stored, each up to
// MaxMemory bytes long. It is read like the file that the message came from.
type Memory struct {
	b   []byte
	pos int
}

// Buffer is where the next message may be put: it overwrites the last one.
func (m *Memory) Buffer() []byte { return m.b[:0] }

// Set makes text the message.
func (m *Memory) Set(text []byte) { m.b, m.pos = text, 0 }

// Trim does not keep what one large message has taken.
func (m *Memory) Trim() {
	if cap(m.b) > MaxMemory/2 {
		*m = Memory{}
	}
}

// Bytes is the message, until the next Set.
func (m *Memory) Bytes() []byte { return m.b }

// Size is the length of the message.
func (m *Memory) Size() int64 { return int64(len(m.b)) }

// ReadAt implements io.ReaderAt.
func (m *Memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Read implements io.Reader, from the start of the message to its end.
func (m *Memory) Read(p []byte) (int, error) {
	n := copy(p, m.b[m.pos:])
	if m.pos += n; n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// text is the message, never nil.
func (m *Memory) text() []byte {
	if m.b == nil {
		return []byte{}
	}
	return m.b
}

// part is a piece of it.
func (m *Memory) part(start, end int64) *Memory {
	end = min(max(end, 0), m.Size())
	return &Memory{b: m.b[min(max(start, 0), end):end:end]}
}

// Close does nothing.
func (m *Memory) Close() error { return nil }

// source is what a parser reads: a Memory where it is, or a stream.
type source struct {
	memory []byte // nil: the stream
	pos    int    // in memory
	stream *bufio.Reader
}

func (s *source) reset(r io.Reader) {
	if m, ok := r.(*Memory); ok {
		s.memory, s.pos = m.text(), 0
		return
	}
	s.memory = nil
	if s.stream == nil {
		s.stream = bufio.NewReaderSize(r, 16<<10)
	} else {
		s.stream.Reset(r)
	}
}

// line is bufio.Reader.ReadSlice: the next line, or what fits the buffer, or
// the rest and io.EOF.
func (s *source) line() ([]byte, error) {
	if s.memory == nil {
		return s.stream.ReadSlice('\n')
	}
	rest := s.memory[s.pos:]
	i := bytes.IndexByte(rest, '\n')
	if i < 0 {
		s.pos = len(s.memory)
		return rest, io.EOF
	}
	s.pos += i + 1
	return rest[:i+1], nil
}

// buffered is what can be looked at before it is taken.
func (s *source) buffered() []byte {
	if s.memory != nil {
		return s.memory[s.pos:]
	}
	b, _ := s.stream.Peek(s.stream.Buffered()) // never fails for what is buffered
	return b
}

// skip takes n bytes of those that are buffered.
func (s *source) skip(n int) {
	if s.memory != nil {
		s.pos += n
		return
	}
	_, _ = s.stream.Discard(n)
}
