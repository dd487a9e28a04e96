package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk/holder"
)

// Op names an operation of FS or File.
type Op string

// The operations that can fail. OpCreate is an OpenFile with O_CREATE, OpOpen
// one without; OpRead and OpWrite cover the ...At forms.
const (
	OpAny      Op = ""
	OpOpen     Op = "open"
	OpCreate   Op = "create"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
	OpClose    Op = "close"
	OpRename   Op = "rename" // Path is the new name
	OpLink     Op = "link"   // Path is the new name
	OpRemove   Op = "remove"
	OpMkdir    Op = "mkdir"
	OpReadDir  Op = "readdir"
	OpStat     Op = "stat"
	OpSyncDir  Op = "syncdir"
	OpStatfs   Op = "statfs"
	OpChtimes  Op = "chtimes"
	OpReserve  Op = "reserve" // Preallocate
	OpSyncFS   Op = "syncfs"  // Path is the folder given to OpenVolume
)

// Fault makes one operation fail.
type Fault struct {
	Op      Op
	Path    string // glob; matched with the whole path if it holds a slash, else with its last part; "" is any
	Nth     int    // which match fails, from 1; 0 means 1
	Err     error  // syscall.ENOSPC, EIO, EROFS, ...
	Forever bool   // later matches fail as well
	Short   bool   // a failing write writes its first half
}

// Faulty is an FS that fails as told.
type Faulty struct {
	fs FS

	mu     sync.Mutex
	faults []*countedFault
}

type countedFault struct {
	Fault
	seen int
	hits int
}

// NewFaulty wraps fsys.
func NewFaulty(fsys FS, faults ...Fault) *Faulty {
	f := &Faulty{fs: fsys}
	for _, x := range faults {
		f.Add(x)
	}
	return f
}

// Add plans one more fault; counting starts now.
func (f *Faulty) Add(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &countedFault{Fault: x})
}

// Clear heals everything.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Hits returns how many operations were made to fail since the last Clear, so
// that a test can tell that its fault happened at all.
func (f *Faulty) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, x := range f.faults {
		n += x.hits
	}
	return n
}

func (x *countedFault) matches(op Op, path string) bool {
	if x.Op != OpAny && x.Op != op {
		return false
	}
	if x.Path == "" {
		return true
	}
	if !strings.Contains(x.Path, "/") {
		path = filepath.Base(path)
	}
	ok, err := filepath.Match(x.Path, path)
	return err == nil && ok
}

// check counts the operation and returns the fault that it meets.
func (f *Faulty) check(op Op, path string) *countedFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var met *countedFault
	for _, x := range f.faults {
		if !x.matches(op, path) {
			continue
		}
		x.seen++
		if nth := max(x.Nth, 1); met == nil && (x.seen == nth || x.seen > nth && x.Forever) {
			x.hits++
			met = x
		}
	}
	return met
}

func (f *Faulty) fault(op Op, path string) error {
	if x := f.check(op, path); x != nil {
		return &fs.PathError{Op: string(op), Path: path, Err: x.Err}
	}
	return nil
}

// OpenFile implements FS, as the methods below do.
func (f *Faulty) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	op := OpOpen
	if flag&os.O_CREATE != 0 {
		op = OpCreate
	}
	if err := f.fault(op, name); err != nil {
		return nil, err
	}
	file, err := f.fs.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, fs: f, name: name}, nil
}

// Rename implements FS.
func (f *Faulty) Rename(oldName, newName string) error {
	if err := f.fault(OpRename, newName); err != nil {
		return err
	}
	return f.fs.Rename(oldName, newName)
}

// Link implements FS.
func (f *Faulty) Link(oldName, newName string) error {
	if err := f.fault(OpLink, newName); err != nil {
		return err
	}
	return f.fs.Link(oldName, newName)
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	if err := f.fault(OpRemove, name); err != nil {
		return err
	}
	return f.fs.Remove(name)
}

// Mkdir implements FS.
func (f *Faulty) Mkdir(name string, perm fs.FileMode) error {
	if err := f.fault(OpMkdir, name); err != nil {
		return err
	}
	return f.fs.Mkdir(name, perm)
}

// ReadDir implements FS.
func (f *Faulty) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.fault(OpReadDir, name); err != nil {
		return nil, err
	}
	return f.fs.ReadDir(name)
}

// Stat implements FS.
func (f *Faulty) Stat(name string) (fs.FileInfo, error) {
	if err := f.fault(OpStat, name); err != nil {
		return nil, err
	}
	return f.fs.Stat(name)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(name string) error {
	if err := f.fault(OpSyncDir, name); err != nil {
		return err
	}
	return f.fs.SyncDir(name)
}

// Statfs implements Statfser.
func (f *Faulty) Statfs(dir string) (Space, error) {
	if err := f.fault(OpStatfs, dir); err != nil {
		return Space{}, err
	}
	return Statfs(f.fs, dir)
}

// Chtimes implements Chtimer.
func (f *Faulty) Chtimes(name string, mtime time.Time) error {
	if err := f.fault(OpChtimes, name); err != nil {
		return err
	}
	return Chtimes(f.fs, name, mtime)
}

// Point implements Pointer.
func (f *Faulty) Point(name string) { Point(f.fs, name) }

func (f *Faulty) self() string { return selfText(f.fs) }

func (f *Faulty) stateOf(text string) (holder.State, bool) {
	if c, ok := f.fs.(census); ok {
		return c.stateOf(text)
	}
	return holder.Unknown, false
}

// openVolume implements volumer.
func (f *Faulty) openVolume(dir string) (volumeFile, error) {
	o, ok := f.fs.(volumer)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: errors.ErrUnsupported}
	}
	v, err := o.openVolume(dir)
	if err != nil {
		return nil, err
	}
	return &faultyVolume{v, f, dir}, nil
}

type faultyVolume struct {
	volumeFile
	fs  *Faulty
	dir string
}

func (v *faultyVolume) syncAll() error {
	if err := v.fs.fault(OpSyncFS, v.dir); err != nil {
		return err
	}
	return v.volumeFile.syncAll()
}

type faultyFile struct {
	File
	fs   *Faulty
	name string
}

func (f *faultyFile) Unwrap() File { return f.File }

func (f *faultyFile) Read(p []byte) (int, error) {
	if err := f.fs.fault(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.fault(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) Write(p []byte) (int, error) {
	return f.write(p, f.File.Write)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *faultyFile) write(p []byte, do func([]byte) (int, error)) (int, error) {
	x := f.fs.check(OpWrite, f.name)
	if x == nil {
		return do(p)
	}
	n := 0
	if x.Short && len(p) > 1 {
		n, _ = do(p[:len(p)/2])
	}
	return n, &fs.PathError{Op: string(OpWrite), Path: f.name, Err: x.Err}
}

func (f *faultyFile) preallocate(size int64) error {
	if err := f.fs.fault(OpReserve, f.name); err != nil {
		return err
	}
	return Preallocate(f.File, size)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.fault(OpSync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.fs.fault(OpTruncate, f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Stat() (fs.FileInfo, error) {
	if err := f.fs.fault(OpStat, f.name); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

func (f *faultyFile) Close() error {
	err := f.fs.fault(OpClose, f.name)
	if cerr := f.File.Close(); err == nil {
		err = cerr
	}
	return err
}
