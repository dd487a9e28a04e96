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
	fileNames(dir string) ([]string, error)
	eachFileName(dir string, fn func(name []byte)) error
}

// FileNames lists what is in a folder and is no folder, in no particular order:
// as ReadDir, without an object for each of a hundred thousand messages.
func FileNames(fsys FS, dir string) ([]string, error) {
	if l, ok := fsys.(fileLister); ok {
		names, err := l.fileNames(dir)
		if !errors.Is(err, errors.ErrUnsupported) {
			return names, err
		}
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// direntBuffer holds the entries of one system call. Names are parts of one
// string of that length.
const direntBuffer = 64 << 10

func (osFS) fileNames(dir string) ([]string, error) {
	var names []string
	err := eachBuffer(dir, func(buf []byte) error {
		text := string(buf)
		return eachDirent(buf, func(from, to int) { names = append(names, text[from:to]) })
	})
	return names, err
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
	names, err := FileNames(fsys, dir)
	for _, n := range names {
		fn([]byte(n))
	}
	return err
}

func (osFS) eachFileName(dir string, fn func(name []byte)) error {
	return eachBuffer(dir, func(buf []byte) error {
		return eachDirent(buf, func(from, to int) { fn(buf[from:to]) })
	})
}

// eachBuffer reads a folder with few system calls.
func eachBuffer(dir string, fn func(buf []byte) error) error {
	fd, err := open(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, direntBuffer)
	for {
		n, err := unix.Getdents(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n > 0 {
			err = fn(buf[:n])
		}
		if err != nil {
			return &fs.PathError{Op: "getdents", Path: dir, Err: err}
		}
		if n <= 0 {
			return nil
		}
	}
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
