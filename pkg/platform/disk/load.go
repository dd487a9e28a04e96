package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Loaded is a file that Load has looked at.
type Loaded struct {
	Regular bool
	Size    int64
	ModTime time.Time
	Whole   bool   // Text is all of it
	Text    []byte // in buf, or in memory that is to replace it
}

// loader is an FS that reads a small file with few system calls.
type loader interface {
	load(name string, most int64, head bool, buf []byte) (Loaded, error)
}

// loadFlags: not through a link, and not waiting for the writer of a pipe.
const loadFlags = os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK

// Load reads a file at once, into buf as far as it has room, unless it has more
// than most bytes or is none that can be read so. A file that ends before its
// size is an io.ErrUnexpectedEOF.
func Load(fsys FS, name string, most int64, buf []byte) (Loaded, error) {
	return load(fsys, name, most, false, buf)
}

// LoadHead is Load that reads the first most bytes of a larger file.
func LoadHead(fsys FS, name string, most int64, buf []byte) (Loaded, error) {
	return load(fsys, name, most, true, buf)
}

func load(fsys FS, name string, most int64, head bool, buf []byte) (Loaded, error) {
	if l, ok := fsys.(loader); ok {
		return l.load(name, most, head, buf)
	}
	f, err := fsys.OpenFile(name, loadFlags, 0)
	if err != nil {
		return Loaded{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Loaded{}, err
	}
	l := Loaded{Regular: info.Mode().IsRegular(), Size: info.Size(), ModTime: info.ModTime()}
	return l, l.read(f.ReadAt, name, most, head, buf)
}

// read fills in Text.
func (l *Loaded) read(readAt func(p []byte, off int64) (int, error), name string, most int64, head bool, buf []byte) error {
	if !l.Regular || !head && l.Size > most {
		return nil
	}
	size := min(l.Size, most)
	if int64(cap(buf)) < size {
		buf = make([]byte, min(2*size, most))
	}
	buf = buf[:size]
	for at := int64(0); at < size; {
		n, err := readAt(buf[at:], at)
		at += int64(n)
		if at == size {
			break
		}
		if err == nil && n == 0 || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return &fs.PathError{Op: "read", Path: name, Err: err}
		}
	}
	l.Text, l.Whole = buf, size == l.Size
	return nil
}

func (osFS) load(name string, most int64, head bool, buf []byte) (l Loaded, err error) {
	fd, err := open(name, loadFlags, 0)
	if err != nil {
		return l, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return l, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	l = Loaded{Regular: st.Mode&unix.S_IFMT == unix.S_IFREG, Size: st.Size, ModTime: time.Unix(st.Mtim.Unix())}
	err = l.read(func(p []byte, off int64) (int, error) {
		n, err := unix.Pread(fd, p, off)
		return max(n, 0), err
	}, name, most, head, buf)
	return l, err
}

// open opens a file that is neither pipe nor device. Package os would try to
// have its poller wait for it, which takes five system calls and never works.
func open(name string, flag int, perm fs.FileMode) (int, error) {
	for {
		fd, err := unix.Open(name, flag|unix.O_CLOEXEC, uint32(perm.Perm()))
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return 0, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// Glimpse is what tells one state of a file from another without reading it.
type Glimpse struct {
	ID      ID
	Size    int64
	ModTime time.Time
}

// peeker is an FS that describes a file with few allocations.
type peeker interface {
	peek(name string) (Glimpse, error)
}

// Peek is FS.Stat for those who look often. What is not there is fs.ErrNotExist.
func Peek(fsys FS, name string) (Glimpse, error) {
	if p, ok := fsys.(peeker); ok {
		return p.peek(name)
	}
	info, err := fsys.Stat(name)
	if err != nil {
		return Glimpse{}, err
	}
	return Glimpse{ID: IDOf(info), Size: info.Size(), ModTime: info.ModTime()}, nil
}

func (osFS) peek(name string) (Glimpse, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Stat(name, &st) }); err != nil {
		return Glimpse{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return Glimpse{ID: ID{Dev: st.Dev, Ino: st.Ino}, Size: st.Size, ModTime: time.Unix(st.Mtim.Unix())}, nil
}
