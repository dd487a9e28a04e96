package passwdfile

import (
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// File is a passwd-file that is read again when it changes. It is safe for
// concurrent use.
type File struct {
	path   string
	onLoad func(*Snapshot)

	current atomic.Pointer[version]
	mu      sync.Mutex // held while loading
}

// version is a snapshot and the file it was made of.
type version struct {
	snapshot *Snapshot
	stamp    stamp
}

// stamp tells one state of a file from another: an edit by rename changes the
// inode, one in place the size or a time.
type stamp struct {
	id           disk.ID
	size         int64
	mtime, ctime time.Time
}

func stampOf(info fs.FileInfo) stamp {
	return stamp{disk.IDOf(info), info.Size(), info.ModTime(), disk.ChangeTime(info)}
}

// Open makes a File; nothing is read yet. onLoad, which may be nil, is called
// with each new snapshot, one call at a time.
func Open(path string, onLoad func(*Snapshot)) *File {
	return &File{path: path, onLoad: onLoad}
}

// Path is the file's name.
func (f *File) Path() string { return f.path }

// Get returns the present state of the file. A file that is missing or cannot
// be read is fail.Unavailable, also when it could be read before: whoever was
// removed from it must not live on in our memory.
func (f *File) Get() (*Snapshot, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "users file")
	}
	if v := f.current.Load(); v != nil && v.stamp == stampOf(info) {
		return v.snapshot, nil
	}
	return f.load()
}

func (f *File) load() (*Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := os.Open(f.path)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "users file")
	}
	defer func() { _ = r.Close() }()
	info, err := r.Stat()
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "users file")
	}
	if !info.Mode().IsRegular() {
		return nil, fail.New(fail.Unavailable, "users file %s is not a regular file", f.path)
	}
	if v := f.current.Load(); v != nil && v.stamp == stampOf(info) {
		return v.snapshot, nil // another request was quicker
	}
	s, err := Parse(f.path, r)
	if err != nil {
		return nil, err
	}
	f.current.Store(&version{s, stampOf(info)})
	if f.onLoad != nil {
		f.onLoad(s)
	}
	return s, nil
}

// Lookup is Snapshot.Lookup on the present state.
func (f *File) Lookup(name string) (*Entry, error) {
	s, err := f.Get()
	if err != nil {
		return nil, err
	}
	return s.Lookup(name)
}
