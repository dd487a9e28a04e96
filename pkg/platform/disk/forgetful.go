package disk

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk/holder"
)

// ErrCrashed is in the chain of every error of a Forgetful after its crash.
var ErrCrashed = errors.New("the machine has crashed")

// Forgetful is a file system in memory that is no better than a real disk: a
// file's data is safe up to its last Sync, a name only after SyncDir of its
// folder (of the target folder, for a rename). Crash returns what a machine
// finds after losing power; CrashRandom returns one of the other states that
// it may find. It is for tests, safe for concurrent use; the root exists.
//
// A crash comes with Crash, at a crash point (CrashAt), or after a number of
// changes (CrashAfter). From then on every operation fails with ErrCrashed,
// so that no goroutine of the dead machine can do harm or good.
type Forgetful struct {
	mu      sync.Mutex
	now     func() time.Time
	root    *inode
	lastIno uint64
	life    int       // of the machine: how many ended in a crash before
	pending []*nameOp // since the SyncDir of their folder, oldest first
	space   Space

	crashed  bool
	point    string // crash here ...
	hitsLeft int    // ... at this hit
	opsLeft  int    // crash instead of the change after so many; negative: never
	points   map[string]int
	onPoint  func(name string)
}

// NewForgetful returns an empty file system with 1 TiB of space.
func NewForgetful() *Forgetful {
	m := &Forgetful{now: time.Now, opsLeft: -1, points: map[string]int{}}
	m.space = Space{Total: 1 << 40, Free: 1 << 40, FreeInodes: 1 << 30, FSType: "forgetful"}
	m.root = m.newInode(fs.ModeDir | 0o777)
	return m
}

// machineName is the host whose processes use a Forgetful.
const machineName = "1:forgetful\x00"

// self implements census: there is one process in each life of the machine.
func (m *Forgetful) self() string { return machineName + strconv.Itoa(m.life) + "\n" }

func (m *Forgetful) stateOf(text string) (holder.State, bool) {
	switch {
	case !strings.HasPrefix(text, machineName):
		return holder.Unknown, false
	case text == m.self():
		return holder.Here, true
	}
	return holder.Gone, true
}

// SetNow sets the clock of the time stamps.
func (m *Forgetful) SetNow(now func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now
}

// SetSpace sets what Statfs answers. It does not limit writes; Faulty does.
func (m *Forgetful) SetSpace(s Space) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.space = s
}

// enter begins an operation; a change may be the one that the crash prevents.
func (m *Forgetful) enter(change bool) error {
	m.mu.Lock()
	if change && m.opsLeft >= 0 {
		if m.opsLeft == 0 {
			m.crashed = true
		}
		m.opsLeft--
	}
	if m.crashed {
		m.mu.Unlock()
		return ErrCrashed
	}
	return nil
}

// find walks to the inode called name. m.mu is held.
func (m *Forgetful) find(name string) (*inode, error) {
	n := m.root
	for _, part := range split(name) {
		if n.names == nil {
			return nil, syscall.ENOTDIR
		}
		next := n.names[part]
		if next == nil {
			return nil, syscall.ENOENT
		}
		n = next
	}
	return n, nil
}

// parent returns the folder of name and the last part.
func (m *Forgetful) parent(name string) (*inode, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", syscall.EINVAL
	}
	dir, err := m.find(path.Join(parts[:len(parts)-1]...))
	if err == nil && dir.names == nil {
		err = syscall.ENOTDIR
	}
	return dir, parts[len(parts)-1], err
}

func split(name string) []string {
	clean := strings.Trim(path.Clean("/"+name), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}

// OpenFile implements FS, as the methods below do.
func (m *Forgetful) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	change := flag&(os.O_CREATE|os.O_TRUNC) != 0
	if err := m.enter(change); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer m.mu.Unlock()
	n, err := m.open(name, flag, perm)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &memFile{fs: m, node: n, name: name, flag: flag}, nil
}

func (m *Forgetful) open(name string, flag int, perm fs.FileMode) (*inode, error) {
	n, err := m.find(name)
	switch {
	case err == nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, syscall.EEXIST
	case err == nil && n.names != nil && flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE) != 0:
		return nil, syscall.EISDIR
	case err == nil && n.names == nil && flag&syscall.O_DIRECTORY != 0:
		return nil, syscall.ENOTDIR
	case err == nil:
		if flag&os.O_TRUNC != 0 {
			n.write(edit{trunc: true}, m.now())
		}
		return n, nil
	case !errors.Is(err, syscall.ENOENT) || flag&os.O_CREATE == 0:
		return nil, err
	}
	dir, base, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	n = m.newInode(perm.Perm())
	m.apply(dir, nameEdit{dir, base, n})
	return n, nil
}

// Mkdir implements FS.
func (m *Forgetful) Mkdir(name string, perm fs.FileMode) error {
	if err := m.enter(true); err != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	defer m.mu.Unlock()
	if _, err := m.find(name); err == nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.EEXIST}
	}
	dir, base, err := m.parent(name)
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	m.apply(dir, nameEdit{dir, base, m.newInode(fs.ModeDir | perm)})
	return nil
}

// Link implements FS.
func (m *Forgetful) Link(oldName, newName string) error {
	if err := m.enter(true); err != nil {
		return &os.LinkError{Op: "link", Old: oldName, New: newName, Err: err}
	}
	defer m.mu.Unlock()
	err := func() error {
		n, err := m.find(oldName)
		if err != nil {
			return err
		}
		dir, base, err := m.parent(newName)
		switch {
		case err != nil:
			return err
		case dir.names[base] != nil:
			return syscall.EEXIST
		case n.names != nil:
			return syscall.EPERM
		}
		m.apply(dir, nameEdit{dir, base, n})
		return nil
	}()
	if err != nil {
		return &os.LinkError{Op: "link", Old: oldName, New: newName, Err: err}
	}
	return nil
}

// Rename implements FS.
func (m *Forgetful) Rename(oldName, newName string) error {
	if err := m.enter(true); err != nil {
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: err}
	}
	defer m.mu.Unlock()
	if err := m.rename(oldName, newName); err != nil {
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: err}
	}
	return nil
}

// rename checks in the order of os.Rename, which refuses every folder in the
// place of the new name, and of Linux.
func (m *Forgetful) rename(oldName, newName string) error {
	src, srcBase, err := m.parent(oldName)
	if err != nil {
		return err
	}
	dst, dstBase, err := m.parent(newName)
	if err != nil {
		return err
	}
	n, old := src.names[srcBase], dst.names[dstBase]
	switch {
	case n == nil:
		return syscall.ENOENT
	case old != nil && old.names != nil:
		return syscall.EEXIST
	case n.names != nil && strings.HasPrefix(path.Clean("/"+newName)+"/", path.Clean("/"+oldName)+"/"):
		return syscall.EINVAL
	case old == n:
		return nil // two names of one file: POSIX says do nothing
	case old != nil && n.names != nil:
		return syscall.ENOTDIR
	}
	m.apply(dst, nameEdit{src, srcBase, nil}, nameEdit{dst, dstBase, n})
	return nil
}

// Remove implements FS.
func (m *Forgetful) Remove(name string) error {
	if err := m.enter(true); err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	defer m.mu.Unlock()
	dir, base, err := m.parent(name)
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	switch n := dir.names[base]; {
	case n == nil:
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOENT}
	case len(n.names) > 0:
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	m.apply(dir, nameEdit{dir, base, nil})
	return nil
}

// ReadDir implements FS. The order is fixed, but not that of the names.
func (m *Forgetful) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := m.enter(false); err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err == nil && n.names == nil {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return n.entries(), nil
}

// Stat implements FS.
func (m *Forgetful) Stat(name string) (fs.FileInfo, error) {
	if err := m.enter(false); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return n.info(path.Base(name)), nil
}

// Chtimes implements Chtimer. The time is safe after the file's next Sync.
func (m *Forgetful) Chtimes(name string, mtime time.Time) error {
	if err := m.enter(true); err != nil {
		return &fs.PathError{Op: "chtimes", Path: name, Err: err}
	}
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return &fs.PathError{Op: "chtimes", Path: name, Err: err}
	}
	n.mtime, n.ctime = mtime, m.now()
	return nil
}

// Statfs implements Statfser with the values of SetSpace.
func (m *Forgetful) Statfs(dir string) (Space, error) {
	if err := m.enter(false); err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	defer m.mu.Unlock()
	if _, err := m.find(dir); err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return m.space, nil
}

// SyncDir implements FS.
func (m *Forgetful) SyncDir(name string) error {
	if err := m.enter(true); err != nil {
		return &fs.PathError{Op: "syncdir", Path: name, Err: err}
	}
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err == nil && n.names == nil {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return &fs.PathError{Op: "syncdir", Path: name, Err: err}
	}
	m.settle(n)
	return nil
}
