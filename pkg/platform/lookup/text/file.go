package text

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// every is how often it is looked whether a file has changed.
const every = time.Second

// settled is how old a change has to be before the file's times tell it from
// the next one: clocks of file systems tick slowly.
const settled = 2 * time.Second

// Parse makes a T of a file. size is what the file had when it was opened.
type Parse[T any] func(in io.Reader, size int64) (T, error)

// File is what a file says, read when it is first asked for and again after
// the file has changed. It is safe for concurrent use.
type File[T any] struct {
	path  string
	parse Parse[T]
	limit int64
	now   func() time.Time

	mu   sync.Mutex // held while the file is looked at
	done bool
	last atomic.Pointer[content[T]]
}

// content is one state of a file, or why it could not be read.
type content[T any] struct {
	value   T
	err     error
	mark    mark
	checked time.Time
}

// mark tells states of a file apart.
type mark struct {
	dev, ino     uint64
	size         int64
	mtime, ctime time.Time
}

// NewFile does not open the file yet. now may be nil.
func NewFile[T any](path string, limits Limits, now func() time.Time, parse Parse[T]) *File[T] {
	if now == nil {
		now = time.Now
	}
	return &File[T]{path: path, parse: parse, limit: limits.WithDefaults().Size, now: now}
}

// Get returns what the file says. Errors: fail.Unavailable when it cannot be
// read or is beyond the limits.
func (f *File[T]) Get() (T, error) {
	c := f.last.Load()
	if now := f.now(); c == nil || now.Sub(c.checked) >= every || now.Before(c.checked) {
		c = f.look(c)
	}
	return c.value, c.err
}

// look reads the file if it has changed. Whoever finds somebody else reading
// takes what was there before.
func (f *File[T]) look(old *content[T]) *content[T] {
	if old == nil || old.err != nil {
		f.mu.Lock()
	} else if !f.mu.TryLock() {
		return old
	}
	defer f.mu.Unlock()
	now := f.now()
	if c := f.last.Load(); c != old && c != nil && now.Sub(c.checked) < every {
		return c
	}
	c := &content[T]{checked: now}
	if f.done {
		c.err = fail.New(fail.Unavailable, "table %s is closed", f.path)
		return c
	}
	info, err := os.Stat(f.path)
	if err == nil {
		c.mark = markOf(info)
	}
	if err == nil && old != nil && old.err == nil && c.mark == old.mark && old.checked.Sub(old.mark.changed()) > settled {
		c.value = old.value
	} else if c.mark, c.value, err = f.read(); err != nil {
		c.err = fail.Wrap(fail.Unavailable, err, "table %s", f.path)
	}
	f.last.Store(c)
	return c
}

// Close makes Get fail from now on, and waits for a file that is being read.
func (f *File[T]) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = true
	f.last.Store(nil)
}

func (f *File[T]) read() (m mark, value T, err error) {
	// Without O_NONBLOCK a FIFO would be waited for.
	in, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return m, value, err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	switch {
	case err != nil:
		return m, value, err
	case !info.Mode().IsRegular():
		return m, value, fail.New(fail.Invalid, "it is not a regular file")
	case info.Size() > f.limit:
		return m, value, fail.New(fail.Invalid, "it is larger than %d bytes", f.limit)
	}
	value, err = f.parse(in, info.Size())
	return markOf(info), value, err
}

func markOf(info os.FileInfo) mark {
	m := mark{size: info.Size(), mtime: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		m.dev, m.ino, m.ctime = st.Dev, st.Ino, time.Unix(st.Ctim.Unix())
	}
	return m
}

// changed is the later of the two times: a rename keeps mtime.
func (m mark) changed() time.Time {
	if m.ctime.After(m.mtime) {
		return m.ctime
	}
	return m.mtime
}
