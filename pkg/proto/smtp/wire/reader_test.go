package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func lineReader(src io.Reader) *Reader { return NewReader(src, NewBuffers(64)) }

func TestReadLine(t *testing.T) {
	type line struct {
		text string
		bare bool
		err  error
	}
	long := strings.Repeat("x", 1000)
	for _, c := range []struct {
		name, in string
		want     []line
	}{
		{"crlf", "NOOP\r\nQUIT\r\n", []line{{text: "NOOP"}, {text: "QUIT"}, {err: io.EOF}}},
		{"bare lf", "NOOP\nQUIT\r\n", []line{{text: "NOOP", bare: true}, {text: "QUIT"}, {err: io.EOF}}},
		{"empty", "\r\n\n", []line{{}, {bare: true}, {err: io.EOF}}},
		{"only one CR is taken", "a\r\r\n", []line{{text: "a\r"}, {err: io.EOF}}},
		{"unfinished", "QUI", []line{{err: io.ErrUnexpectedEOF}}},
		{"exactly the cap", "0123456789\r\nQUIT\r\n", []line{{text: "0123456789"}, {text: "QUIT"}, {err: io.EOF}}},
		{"one more", "0123456789a\r\nQUIT\r\n", []line{{err: ErrLineTooLong}, {text: "QUIT"}, {err: io.EOF}}},
		{"longer than the buffer", long + "\r\nQUIT\r\n", []line{{err: ErrLineTooLong}, {text: "QUIT"}, {err: io.EOF}}},
		{"longer, unfinished", long, []line{{err: io.ErrUnexpectedEOF}}},
	} {
		for name, src := range map[string]io.Reader{
			"at once": strings.NewReader(c.in), "by octets": iotest.OneByteReader(strings.NewReader(c.in)),
		} {
			r := lineReader(src)
			for i, want := range c.want {
				got, err := r.ReadLine(10)
				if string(got) != want.text || err != want.err || err == nil && r.BareLF() != want.bare {
					t.Errorf("%s, %s: line %d = %q %v bare=%v, want %+v", c.name, name, i, got, err, r.BareLF(), want)
				}
			}
		}
	}
}

// endless never ends its line.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.n += int64(len(p))
	return len(p), nil
}

func TestFlood(t *testing.T) {
	src := &endless{}
	_, err := NewReader(src, NewBuffers(1<<16)).ReadLine(100)
	if !errors.Is(err, ErrFlood) || src.n < MaxDrain || src.n > MaxDrain+1<<17 {
		t.Fatalf("%v after %d octets", err, src.n)
	}
}

// While it waits for a line that has not begun, a reader holds no buffer.
type idleSource struct {
	in   *strings.Reader
	r    *Reader
	t    *testing.T
	idle int
}

func (s *idleSource) Read(p []byte) (int, error) { return s.in.Read(p) }

func (s *idleSource) ReadIdle(bufs *Buffers) (*[]byte, int, error) {
	if s.r.own != nil {
		s.t.Error("a buffer is held while idle")
	}
	s.idle++
	if s.in.Len() == 0 {
		return nil, 0, io.EOF
	}
	b := bufs.Get()
	n, err := s.in.Read((*b)[:8])
	return b, n, err
}

func TestIdleHoldsNoBuffer(t *testing.T) {
	src := &idleSource{in: strings.NewReader("NOOP 1\r\nQUIT 22\r\n"), t: t}
	src.r = lineReader(src)
	for _, want := range []string{"NOOP 1", "QUIT 22"} {
		if got, err := src.r.ReadLine(20); string(got) != want || err != nil {
			t.Fatalf("%q %v", got, err)
		}
	}
	if _, err := src.r.ReadLine(20); err != io.EOF || src.idle != 3 || src.r.own != nil {
		t.Fatalf("%v, idle %d times, buffer %v", err, src.idle, src.r.own)
	}
}

func TestReadLineAllocates(t *testing.T) {
	in := bytes.Repeat([]byte("MAIL FROM:<someone@example.org> BODY=8BITMIME\r\n"), 100)
	src := bytes.NewReader(in)
	r := NewReader(src, NewBuffers(4096))
	n := testing.AllocsPerRun(50, func() {
		src.Reset(in)
		for {
			if _, err := r.ReadLine(2048); err != nil {
				return
			}
		}
	})
	if n > 0 {
		t.Errorf("%v allocations for 100 lines", n)
	}
}

func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\r\nbb\n\r\n"), 3)
	f.Fuzz(func(t *testing.T, in []byte, limit int) {
		limit = 1 + (limit&0xff)%40
		r := lineReader(bytes.NewReader(in))
		for {
			line, err := r.ReadLine(limit)
			if err == ErrLineTooLong {
				continue
			}
			if err != nil {
				return
			}
			if len(line) > limit || bytes.IndexByte(line, '\n') >= 0 {
				t.Fatalf("line %q", line)
			}
		}
	})
}
