package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// FS is a file system. Names are paths as the operating system takes them.
// Errors are those of package os: errors.Is(err, fs.ErrNotExist) and friends
// work, and the text names operation and path.
type FS interface {
	// OpenFile takes the flags of package os; descriptors are close-on-exec.
	// perm is subject to the umask and is never corrected by a chmod.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Rename(oldName, newName string) error
	Link(oldName, newName string) error
	Remove(name string) error
	Mkdir(name string, perm fs.FileMode) error
	// ReadDir lists a folder in no particular order.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat follows symbolic links.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in folder name durable.
	SyncDir(name string) error
}

// File is an open file. Sync is fdatasync and must not be retried after it
// failed (see Guard).
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

// Statfser is an FS that knows its free space.
type Statfser interface {
	Statfs(dir string) (Space, error)
}

// Chtimer is an FS that can set the modification time of a file by name. The
// caller must own the file.
type Chtimer interface {
	Chtimes(name string, mtime time.Time) error
}

// Pointer is an FS that cares about crash points.
type Pointer interface {
	Point(name string)
}

// Point announces that the code has reached the crash point name.
func Point(fsys FS, name string) {
	if p, ok := fsys.(Pointer); ok {
		p.Point(name)
	}
}

// Chtimes sets the modification time of name, where fsys can.
func Chtimes(fsys FS, name string, mtime time.Time) error {
	if c, ok := fsys.(Chtimer); ok {
		return c.Chtimes(name, mtime)
	}
	return &fs.PathError{Op: "chtimes", Path: name, Err: errors.ErrUnsupported}
}

// fileRenamer is an FS that renames what is no folder at less cost.
type fileRenamer interface {
	renameFile(oldName, newName string) error
}

// RenameFile is FS.Rename of something that is no folder.
func RenameFile(fsys FS, oldName, newName string) error {
	if r, ok := fsys.(fileRenamer); ok {
		return r.renameFile(oldName, newName)
	}
	return fsys.Rename(oldName, newName)
}

// Statfs tells the space of the file system that holds dir, where fsys can.
func Statfs(fsys FS, dir string) (Space, error) {
	if s, ok := fsys.(Statfser); ok {
		return s.Statfs(dir)
	}
	return Space{}, &fs.PathError{Op: "statfs", Path: dir, Err: errors.ErrUnsupported}
}

// wrapper is a File around another (Guard, Faulty).
type wrapper interface{ Unwrap() File }

// OSFile returns the operating system's file behind f, if there is one.
func OSFile(f File) (*os.File, bool) {
	for {
		switch v := f.(type) {
		case *osFile:
			return v.File, true
		case wrapper:
			f = v.Unwrap()
		default:
			return nil, false
		}
	}
}

// Fd returns the descriptor behind f; ok is false for files in memory. It is
// valid while f is open and must not be closed.
func Fd(f File) (fd uintptr, ok bool) {
	osf, ok := OSFile(f)
	if !ok {
		return 0, false
	}
	raw, err := osf.SyscallConn()
	if err != nil {
		return 0, false
	}
	if raw.Control(func(d uintptr) { fd = d }) != nil {
		return 0, false
	}
	return fd, true
}

// ID is what makes a file the same file under another name.
type ID struct{ Dev, Ino uint64 }

// IDOf returns the identity of a file that any FS of this package described.
func IDOf(info fs.FileInfo) ID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return ID{Dev: uint64(st.Dev), Ino: st.Ino}
	}
	return ID{}
}

// ChangeTime returns the status change time (ctime), zero when unknown.
func ChangeTime(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return time.Time{}
}

// Links returns the number of names of a file, 0 when unknown.
func Links(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Nlink)
	}
	return 0
}

// Owner returns the user and group of a file, -1 when unknown.
func Owner(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// Exists reports whether name exists. An error means that nobody knows.
func Exists(fsys FS, name string) (bool, error) {
	_, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// MkdirAll makes folder name and its missing parents, each durable before it
// returns. A folder that exists is left as it is.
func MkdirAll(fsys FS, name string, perm fs.FileMode) error {
	if info, err := fsys.Stat(name); err == nil {
		if info.IsDir() {
			return nil
		}
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
	}
	parent := filepath.Dir(name)
	if parent != name {
		if err := MkdirAll(fsys, parent, perm); err != nil {
			return err
		}
	}
	if err := fsys.Mkdir(name, perm); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // another process was faster
		}
		return err
	}
	return fsys.SyncDir(parent)
}

// RemoveAll removes name and what is below it. What is missing is no error.
// Nothing is synced.
func RemoveAll(fsys FS, name string) error {
	err := fsys.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	entries, rerr := fsys.ReadDir(name)
	if rerr != nil {
		return err
	}
	for _, e := range entries {
		if err := RemoveAll(fsys, filepath.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return fsys.Remove(name)
}

// IsFull reports whether err means that the disk, its inodes or the file
// system's own quota are used up.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
