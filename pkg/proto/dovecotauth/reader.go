package dovecotauth

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// ErrLineTooLong says that the peer sent more than MaxLine bytes without LF.
var ErrLineTooLong = fail.New(fail.Invalid, "auth protocol line is longer than %d bytes", MaxLine)

// bufferSize takes the longest line with its CR and LF.
const bufferSize = MaxLine + 2

type buffer [bufferSize]byte

// Buffers is the memory that many Readers share. The zero value is ready.
type Buffers struct{ pool sync.Pool }

func (b *Buffers) get() *buffer {
	if p, ok := b.pool.Get().(*buffer); ok {
		return p
	}
	return new(buffer)
}

// Reader reads lines from a peer nobody trusts with our memory. While it waits
// for one it holds no buffer, only what came of an unfinished line, if the
// source is a connection of the operating system.
type Reader struct {
	src     io.Reader
	raw     syscall.RawConn // nil: src is no connection, and the buffer is kept
	attempt func(fd uintptr) bool
	from    *Buffers

	buf        *buffer // nil while waiting
	start, end int     // what is unread of it
	seen       int     // so much after start has no LF
	rest       []byte  // the unfinished line, while there is no buffer
	n          int     // what attempt read
	err        error
}

// NewReader returns a Reader on src with buffers of its own.
func NewReader(src io.Reader) *Reader { return new(Buffers).NewReader(src) }

// NewReader returns a Reader on src that shares b.
func (b *Buffers) NewReader(src io.Reader) *Reader {
	r := &Reader{src: src, from: b}
	if conn, ok := src.(syscall.Conn); ok {
		if raw, err := conn.SyscallConn(); err == nil {
			r.raw, r.attempt = raw, r.try
		}
	}
	return r
}

// Next reads and parses one line. io.EOF means the stream ended between lines,
// io.ErrUnexpectedEOF inside one. A CR before the LF is dropped, as Dovecot does.
func (r *Reader) Next() (Line, error) {
	raw, err := r.Raw()
	if err != nil {
		return Line{}, err
	}
	return Parse(raw)
}

// Raw is Next without parsing, for Check and Cut. The line is good until the
// next call.
func (r *Reader) Raw() ([]byte, error) {
	for {
		if line, ok := r.line(); ok {
			if len(line) > MaxLine {
				return nil, ErrLineTooLong
			}
			return line, nil
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// Await waits until there is something to read. It is for who has been waiting
// in Raw until a deadline passed.
func (r *Reader) Await() error {
	if r.buf != nil {
		return nil
	}
	return r.fill()
}

// Ready reports whether Raw would not wait.
func (r *Reader) Ready() bool {
	return r.buf != nil && bytes.IndexByte(r.buf[r.start+r.seen:r.end], '\n') >= 0
}

func (r *Reader) line() ([]byte, bool) {
	if r.buf == nil {
		return nil, false
	}
	i := bytes.IndexByte(r.buf[r.start+r.seen:r.end], '\n')
	if i < 0 {
		r.seen = r.end - r.start
		return nil, false
	}
	end := r.start + r.seen + i
	line := r.buf[r.start:end:end]
	r.start, r.seen = end+1, 0
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, true
}

// fill waits for more bytes, at the end of what is unread.
func (r *Reader) fill() error {
	if r.buf != nil {
		if r.end-r.start > MaxLine+1 {
			return ErrLineTooLong
		}
		r.park()
	}
	n, err := r.read()
	if n > 0 {
		r.end += n
		return nil
	}
	if r.buf != nil {
		r.park()
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case len(r.rest) > 0:
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

// read leaves r.buf set when it got something. No bytes and no error is the
// end of the stream.
func (r *Reader) read() (int, error) {
	if r.raw == nil {
		r.unpark()
		return r.src.Read(r.buf[r.end:])
	}
	r.n, r.err = 0, nil
	if err := r.raw.Read(r.attempt); err != nil {
		return 0, err
	}
	return r.n, r.err
}

// park gives the buffer back and keeps what is unread of it.
func (r *Reader) park() {
	r.rest = append(r.rest[:0], r.buf[r.start:r.end]...)
	if len(r.rest) == 0 {
		r.rest = nil
	}
	r.from.pool.Put(r.buf)
	r.buf = nil
}

// unpark gets a buffer and puts back what was kept.
func (r *Reader) unpark() {
	r.buf = r.from.get()
	r.start, r.end = 0, copy(r.buf[:], r.rest)
	r.rest = r.rest[:0]
}

// try reads what is there, into a buffer that it gets when there is something.
func (r *Reader) try(fd uintptr) bool {
	r.unpark()
	for {
		r.n, r.err = unix.Read(int(fd), r.buf[r.end:])
		if !errors.Is(r.err, unix.EINTR) {
			break
		}
	}
	if errors.Is(r.err, unix.EAGAIN) {
		r.n, r.err = 0, nil
		r.park()
		return false
	}
	if r.err != nil {
		r.n, r.err = 0, os.NewSyscallError("read", r.err)
	}
	return true
}
