package expand

import (
	"errors"
	"io"
	"math"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// inMemory is how much of an expanded message is held in memory.
const inMemory = 64 << 10

// File is an open message. ReadAt reads bytes as stored.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Options are what expanding may cost, and where to.
type Options struct {
	MaxSize  int64 // bytes of an expanded message; 0 means 1 GiB
	MaxRatio int64 // of expanded bytes to stored ones, above 1 MiB; 0 means 1000
	// Spool makes a file that has no name any more.
	Spool func() (disk.File, error)
}

func (o *Options) fill() {
	if o.MaxSize == 0 {
		o.MaxSize = 1 << 30
	}
	if o.MaxRatio == 0 {
		o.MaxRatio = 1000
	}
}

// limit is how large a file of stored bytes may become.
func (o *Options) limit(stored int64) int64 {
	const free = 1 << 20
	if stored > math.MaxInt64/o.MaxRatio {
		return o.MaxSize
	}
	return min(o.MaxSize, max(free, stored*o.MaxRatio))
}

// Plain reports whether a file with this text, or this beginning of it, is a
// plain message.
func Plain(text []byte) bool {
	_, ok := kindOf(text[:min(len(text), headLen)])
	return !ok
}

// Open returns f itself when it is a plain message, else what it expands to;
// closing that closes f. After an error f is closed. Corrupt: it is damaged, or
// expands to more than it may.
func Open(f File, o Options) (File, error) {
	var head [headLen]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, closing(f, err)
	}
	k, ok := kindOf(head[:n])
	if !ok {
		return f, nil
	}
	o.fill()
	e, err := expand(k, f, o)
	if cerr := f.Close(); err == nil && cerr != nil {
		err = errors.Join(cerr, e.Close())
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Size returns how large the message in f is, expanding it if need be without
// keeping any of it. Corrupt as in Open. f stays open.
func Size(f File, o Options) (int64, error) {
	var head [headLen]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	k, ok := kindOf(head[:n])
	if !ok {
		return f.Size(), nil
	}
	o.fill()
	o.Spool = func() (disk.File, error) { return &void{}, nil }
	e, err := expand(k, f, o)
	if err != nil {
		return 0, err
	}
	return e.Size(), nil
}

// void is a spool that keeps nothing.
type void struct{ disk.File }

func (*void) Write(p []byte) (int, error) { return len(p), nil }
func (*void) Close() error                { return nil }

func closing(f File, err error) error { return errors.Join(err, f.Close()) }

// expand reads all of f.
func expand(k kind, f File, o Options) (*expanded, error) {
	src := &fail.Reader{R: io.NewSectionReader(f, 0, f.Size())}
	e := &expanded{}
	limit := o.limit(f.Size())
	r, err := k.open(src)
	if err == nil {
		if c, ok := r.(io.Closer); ok {
			defer c.Close()
		}
		err = e.fill(io.LimitReader(r, limit+1), o)
	}
	if err == nil && e.Size() > limit {
		err = fail.New(fail.Corrupt, "%d bytes of %s expand to more than %d", f.Size(), k.name, limit)
	}
	switch {
	case err == nil:
		return e, nil
	case src.Err != nil: // the disk's
		err = fail.Wrap(fail.Temporary, src.Err, "reading a compressed message")
	case e.spoolErr == nil && !fail.Is(err, fail.Corrupt):
		err = fail.Wrap(fail.Corrupt, err, "a message compressed by %s", k.name)
	}
	return nil, errors.Join(err, e.Close())
}

// expanded is an expanded message: its beginning in memory, the rest in a file.
type expanded struct {
	head     []byte
	rest     disk.File // nil: head is all
	size     int64
	spoolErr error
}

func (e *expanded) fill(r io.Reader, o Options) error {
	var err error
	if e.head, err = io.ReadAll(io.LimitReader(r, inMemory)); err != nil {
		return err
	}
	if e.size = int64(len(e.head)); e.size < inMemory {
		return nil
	}
	var one [1]byte
	if _, err := io.ReadFull(r, one[:]); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	if e.rest, e.spoolErr = o.Spool(); e.spoolErr != nil {
		return e.spoolErr
	}
	w := &sink{e}
	if _, err = w.Write(one[:]); err == nil {
		_, err = io.Copy(w, r)
	}
	return err
}

// sink writes behind what is there and remembers errors of the spool, to tell
// them from those of the message.
type sink struct{ e *expanded }

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.e.rest.Write(p)
	s.e.size += int64(n)
	if err != nil {
		kind := fail.Temporary
		if disk.IsFull(err) {
			kind = fail.Full
		}
		s.e.spoolErr = fail.Wrap(kind, err, "expanding a message")
		err = s.e.spoolErr
	}
	return n, err
}

// Size is the number of bytes of the message.
func (e *expanded) Size() int64 { return e.size }

// ReadAt implements io.ReaderAt.
func (e *expanded) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fail.New(fail.Invalid, "reading at %d", off)
	}
	n := 0
	if off < int64(len(e.head)) {
		n = copy(p, e.head[off:])
	}
	switch {
	case n == len(p):
		return n, nil
	case e.rest == nil || off+int64(n) >= e.size:
		return n, io.EOF
	}
	m, err := e.rest.ReadAt(p[n:], off+int64(n)-int64(len(e.head)))
	return n + m, err
}

// Close gives the space back.
func (e *expanded) Close() error {
	if e == nil || e.rest == nil {
		return nil
	}
	return e.rest.Close()
}
