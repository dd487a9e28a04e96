package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// fileLister is an FS that can list names cheaply.
type fileLister interface {
	listFiles(dir string, fn func(names []string)) error
	eachFileName(dir string, fn func(name []byte)) error
}

// FileNames lists what is in a folder and is no folder, in no particular order:
// as ReadDir, without an object for each of a hundred thousand messages.
func FileNames(fsys FS, dir string) ([]string, error) {
	var names []string
	err := ListFiles(fsys, dir, func(some []string) { names = append(names, some...) })
	return names, err
}

// ListFiles is FileNames in lots: fn gets some names, which are its own, while
// the next are read. A listing that fails may have begun.
func ListFiles(fsys FS, dir string, fn func(names []string)) error {
	var given [][]string
	if l, ok := fsys.(fileLister); ok {
		err := l.listFiles(dir, func(names []string) {
			given = append(given, names)
			fn(names)
		})
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	had := make(map[string]bool)
	for _, lot := range given {
		for _, n := range lot {
			had[n] = true
		}
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() && !had[e.Name()] {
			names = append(names, e.Name())
		}
	}
	fn(names)
	return nil
}

// direntBuffer holds the entries of one system call. Names are parts of one
// string of that length.
const direntBuffer = 64 << 10

func (osFS) listFiles(dir string, fn func(names []string)) error {
	last := 0
	return eachBuffer(dir, func(buf []byte) error {
		text := string(buf)
		names := make([]string, 0, last+last/8)
		if err := eachDirent(buf, func(from, to int) { names = append(names, text[from:to]) }); err != nil {
			return err
		}
		last = len(names)
		fn(names)
		return nil
	})
}

// EachFileName is FileNames for those who keep no name: fn gets each, which is
// valid during the call only. A listing that fails may have begun.
func EachFileName(fsys FS, dir string, fn func(name []byte)) error {
	if l, ok := fsys.(fileLister); ok {
		err := l.eachFileName(dir, fn)
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		return fmt.Errorf("listing %s: %w", dir, err) // fn may have had some
	}
	return ListFiles(fsys, dir, func(names []string) {
		for _, n := range names {
			fn([]byte(n))
		}
	})
}

func (osFS) eachFileName(dir string, fn func(name []byte)) error {
	return eachBuffer(dir, func(buf []byte) error {
		return eachDirent(buf, func(from, to int) { fn(buf[from:to]) })
	})
}

// eachBuffer reads a folder with few system calls, and a large one while fn has
// what was read before.
func eachBuffer(dir string, fn func(buf []byte) error) error {
	fd, err := open(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, direntBuffer)
	for n := 0; err == nil; {
		if n, err = getdents(fd, buf); err != nil || n <= 0 {
			break
		}
		if n > direntBuffer/2 {
			err = ahead(fd, buf, n, fn)
			break
		}
		err = fn(buf[:n])
	}
	if err != nil {
		return &fs.PathError{Op: "getdents", Path: dir, Err: err}
	}
	return nil
}

func getdents(fd int, buf []byte) (int, error) {
	for {
		n, err := unix.Getdents(fd, buf)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// ahead gives fn the first n bytes of buf and reads the rest of a folder
// meanwhile.
func ahead(fd int, buf []byte, n int, fn func(buf []byte) error) error {
	type read struct {
		buf []byte
		n   int
		err error
	}
	full, free := make(chan read), make(chan []byte, 2)
	free <- make([]byte, direntBuffer)
	go func() {
		defer close(full)
		for b := range free {
			n, err := getdents(fd, b)
			full <- read{b, n, err}
		}
	}()
	r := read{buf, n, nil}
	for r.err == nil && r.n > 0 {
		if r.err = fn(r.buf[:r.n]); r.err == nil {
			free <- r.buf
			r = <-full
		}
	}
	close(free)
	for range full { // one may be under way
	}
	return r.err
}

// Await returns when every change to the entries of a folder that had begun to
// show in its mtime is over, and inotify has been told of it: the kernel does so
// before it lets the folder go, which is read a little for that. ErrUnsupported
// where this is not known.
func Await(fsys FS, dir string) error {
	if a, ok := fsys.(interface{ await(dir string) error }); ok {
		return a.await(dir)
	}
	return errors.ErrUnsupported
}

func (f osFS) await(dir string) error {
	if _, ok := f.stampClock(dir); !ok {
		return errors.ErrUnsupported
	}
	fd, err := open(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := getdents(fd, make([]byte, 1<<10)); err != nil {
		return &fs.PathError{Op: "getdents", Path: dir, Err: err}
	}
	return nil
}

// eachDirent reads struct linux_dirent64: inode and offset of 64 bits, the
// record's length of 16, the type of 8, the name up to a NUL. fn gets where
// names of what is no folder are. ErrUnsupported: the file system does not say
// what is a folder.
func eachDirent(buf []byte, fn func(from, to int)) error {
	const lenAt, typeAt, nameAt = 16, 18, 19
	for off := 0; off+nameAt < len(buf); {
		size := int(binary.NativeEndian.Uint16(buf[off+lenAt:]))
		if size <= nameAt || off+size > len(buf) {
			return errors.ErrUnsupported
		}
		n := bytes.IndexByte(buf[off+nameAt:off+size], 0)
		if n < 0 {
			return errors.ErrUnsupported
		}
		switch buf[off+typeAt] {
		case unix.DT_UNKNOWN:
			return errors.ErrUnsupported
		case unix.DT_DIR:
		default:
			if binary.NativeEndian.Uint64(buf[off:]) != 0 { // the inode of what was removed
				fn(off+nameAt, off+nameAt+n)
			}
		}
		off += size
	}
	return nil
}
