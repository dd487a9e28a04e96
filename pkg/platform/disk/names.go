package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// fileLister is an FS that can list names cheaply.
type fileLister interface {
	fileNames(dir string) ([]string, error)
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
	fd, err := open(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var names []string
	buf := make([]byte, direntBuffer)
	for {
		n, err := unix.Getdents(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n > 0 {
			names, err = appendNames(names, buf[:n])
		}
		if err != nil {
			return names, &fs.PathError{Op: "getdents", Path: dir, Err: err}
		}
		if n <= 0 {
			return names, nil
		}
	}
}

// appendNames reads struct linux_dirent64: inode and offset of 64 bits, the
// record's length of 16, the type of 8, the name up to a NUL. ErrUnsupported:
// the file system does not say what is a folder.
func appendNames(names []string, buf []byte) ([]string, error) {
	const lenAt, typeAt, nameAt = 16, 18, 19
	text := string(buf)
	for off := 0; off+nameAt < len(buf); {
		size := int(binary.NativeEndian.Uint16(buf[off+lenAt:]))
		if size <= nameAt || off+size > len(buf) {
			return nil, errors.ErrUnsupported
		}
		n := bytes.IndexByte(buf[off+nameAt:off+size], 0)
		if n < 0 {
			return nil, errors.ErrUnsupported
		}
		used := binary.NativeEndian.Uint64(buf[off:]) != 0
		switch buf[off+typeAt] {
		case unix.DT_UNKNOWN:
			return nil, errors.ErrUnsupported
		case unix.DT_DIR:
		default:
			if used {
				names = append(names, text[off+nameAt:off+nameAt+n])
			}
		}
		off += size
	}
	return names, nil
}
