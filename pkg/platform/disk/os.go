package disk

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

type osFS struct{}

// OS returns the file system of the operating system.
func OS() FS { return osFS{} }

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	fd, err := open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &osFile{os.NewFile(uintptr(fd), name)}, nil
}

func (osFS) Rename(oldName, newName string) error       { return os.Rename(oldName, newName) }
func (osFS) Link(oldName, newName string) error         { return os.Link(oldName, newName) }
func (osFS) Remove(name string) error                   { return os.Remove(name) }
func (osFS) Mkdir(name string, perm fs.FileMode) error  { return os.Mkdir(name, perm) }
func (osFS) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }
func (osFS) Chtimes(name string, mtime time.Time) error { return os.Chtimes(name, mtime, mtime) }

// renameFile leaves out what package os does before a rename: it looks for
// newName, and to find that a name is not in a large folder costs half as much
// as the rename. All it is for is not to replace a folder.
func (osFS) renameFile(oldName, newName string) error {
	if err := again(func() error { return unix.Rename(oldName, newName) }); err != nil {
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: err}
	}
	return nil
}

// ReadDir does not sort: a folder may hold a hundred thousand messages.
func (osFS) ReadDir(name string) ([]fs.DirEntry, error) {
	d, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.ReadDir(-1)
}

func (osFS) SyncDir(name string) error {
	fd, err := open(name, unix.O_DIRECTORY|os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = again(func() error { return unix.Fsync(fd) })
	// Some network file systems cannot sync a folder and keep names in order
	// by themselves; they say so with EINVAL.
	if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return &fs.PathError{Op: "fsync", Path: name, Err: err}
}

// again makes a system call until no signal comes in its way.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (osFS) Statfs(dir string) (Space, error) { return statfs(dir) }

// osFile differs from os.File in Sync: fdatasync leaves out the time stamps,
// which saves a journal commit when a file is overwritten in place.
type osFile struct{ *os.File }

func (f *osFile) Sync() error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = again(func() error { return unix.Fdatasync(int(fd)) })
	})
	if err == nil {
		err = serr
	}
	if err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// crashFS is the operating system's file system that kills its process.
type crashFS struct {
	osFS
	name string
	left atomic.Int64
}

// OSWithCrash returns OS with one live crash point: the process gets SIGKILL
// when it reaches it. "name:3" means the third time. An empty point is OS().
func OSWithCrash(point string) FS {
	if point == "" {
		return OS()
	}
	name, hit := splitPoint(point)
	c := &crashFS{name: name}
	c.left.Store(int64(hit))
	return c
}

// splitPoint reads "name" or "name:N"; N below 1 counts as 1.
func splitPoint(point string) (name string, hit int) {
	name, n, ok := strings.Cut(point, ":")
	if !ok {
		return name, 1
	}
	hit, err := strconv.Atoi(n)
	if err != nil || hit < 1 {
		hit = 1
	}
	return name, hit
}

func (c *crashFS) Point(name string) {
	if name != c.name || c.left.Add(-1) != 0 {
		return
	}
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {} // the signal arrives before anything else happens in this goroutine
}
