package disk

import (
	"cmp"
	"hash/fnv"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"
)

// inode is a file or folder of a Forgetful: what programs see, and what the
// disk holds.
type inode struct {
	ino   uint64
	mode  fs.FileMode
	links int
	mtime time.Time
	ctime time.Time

	data      []byte // a file as seen
	safe      []byte // as of its last Sync
	edits     []edit // made since
	safeMtime time.Time

	names     map[string]*inode // a folder as seen; nil for files
	safeNames map[string]*inode // with the changes that are settled

	locks map[*memFile]LockKind
	bytes map[int64]*memFile // locks on single bytes
}

// edit is one change of a file: bytes at an offset, or a new length.
type edit struct {
	off   int64
	bytes []byte
	trunc bool // length becomes off
}

func (e edit) apply(data []byte) []byte {
	if e.trunc {
		return resize(data, e.off)
	}
	if len(e.bytes) == 0 {
		return data // writing nothing past the end does not lengthen a file
	}
	if end := e.off + int64(len(e.bytes)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[e.off:], e.bytes)
	return data
}

// resize cuts or fills with zeros, growing in amortised constant time.
func resize(data []byte, size int64) []byte {
	if n := int64(len(data)); size > n {
		data = slices.Grow(data, int(size-n))[:size]
		clear(data[n:])
	}
	return data[:size]
}

func (m *Forgetful) newInode(mode fs.FileMode) *inode {
	m.lastIno++
	now := m.now()
	n := &inode{ino: m.lastIno, mode: mode, mtime: now, ctime: now, safeMtime: now}
	if mode.IsDir() {
		n.names, n.safeNames = map[string]*inode{}, map[string]*inode{}
	}
	return n
}

func (n *inode) write(e edit, now time.Time) {
	n.data = e.apply(n.data)
	n.edits = append(n.edits, e)
	n.mtime, n.ctime = now, now
}

// sync makes all edits safe. It costs as much as they are long, so a log that
// is synced after each record stays linear.
func (n *inode) sync() {
	for _, e := range n.edits {
		n.safe = e.apply(n.safe)
	}
	n.edits = nil
	n.safeMtime = n.mtime
}

func (n *inode) entries() []fs.DirEntry {
	type ranked struct {
		hash uint64
		e    fs.DirEntry
	}
	list := make([]ranked, 0, len(n.names))
	for name, child := range n.names {
		h := fnv.New64a()
		_, _ = io.WriteString(h, name)
		list = append(list, ranked{h.Sum64(), fs.FileInfoToDirEntry(child.info(name))})
	}
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Compare(a.hash, b.hash) })
	out := make([]fs.DirEntry, len(list))
	for i, r := range list {
		out[i] = r.e
	}
	return out
}

type memInfo struct {
	name  string
	size  int64
	mode  fs.FileMode
	mtime time.Time
	stat  syscall.Stat_t
}

func (n *inode) info(name string) fs.FileInfo {
	i := &memInfo{name: name, size: int64(len(n.data)), mode: n.mode, mtime: n.mtime}
	i.stat = syscall.Stat_t{
		Dev: 1, Ino: n.ino, Size: i.size, Mode: uint32(n.mode.Perm()),
		Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()),
		Mtim: syscall.NsecToTimespec(n.mtime.UnixNano()), Ctim: syscall.NsecToTimespec(n.ctime.UnixNano()),
	}
	i.stat.Nlink += 1 // the field's type differs between targets
	for range n.links - 1 {
		i.stat.Nlink++
	}
	return i
}

func (i *memInfo) Name() string       { return i.name }
func (i *memInfo) Size() int64        { return i.size }
func (i *memInfo) Mode() fs.FileMode  { return i.mode }
func (i *memInfo) ModTime() time.Time { return i.mtime }
func (i *memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i *memInfo) Sys() any           { return &i.stat }

// memFile is an open file of a Forgetful.
type memFile struct {
	fs     *Forgetful
	node   *inode
	name   string
	flag   int
	off    int64
	closed bool
}

// enter begins an operation on the file; on success the lock is held.
func (f *memFile) enter(op string, write bool) error {
	if err := f.fs.enter(write); err != nil {
		return &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	access := f.flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
	var err error
	switch {
	case f.closed:
		err = fs.ErrClosed
	case f.node.names != nil && op != "stat" && op != "fdatasync":
		err = syscall.EISDIR
	case op == "read" && access == os.O_WRONLY, op == "write" && access == os.O_RDONLY,
		op == "truncate" && access == os.O_RDONLY:
		err = syscall.EBADF
	}
	if err != nil {
		f.fs.mu.Unlock()
		return &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	return nil
}

func (f *memFile) Name() string { return f.name }

func (f *memFile) Read(p []byte) (int, error) {
	if err := f.enter("read", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if f.off >= int64(len(f.node.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.node.data[f.off:])
	f.off += int64(n)
	return n, nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter("read", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off < 0 {
		return 0, &fs.PathError{Op: "readat", Path: f.name, Err: syscall.EINVAL}
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	if err := f.enter("write", true); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if f.flag&os.O_APPEND != 0 {
		f.off = int64(len(f.node.data))
	}
	f.node.write(edit{off: f.off, bytes: slices.Clone(p)}, f.fs.now())
	f.off += int64(len(p))
	return len(p), nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.enter("write", true); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off < 0 || f.flag&os.O_APPEND != 0 { // package os refuses the latter as well
		return 0, &fs.PathError{Op: "writeat", Path: f.name, Err: syscall.EINVAL}
	}
	f.node.write(edit{off: off, bytes: slices.Clone(p)}, f.fs.now())
	return len(p), nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.enter("truncate", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if size < 0 {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: syscall.EINVAL}
	}
	f.node.write(edit{off: size, trunc: true}, f.fs.now())
	return nil
}

func (f *memFile) Sync() error {
	if err := f.enter("fdatasync", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.node.sync()
	return nil
}

func (f *memFile) Stat() (fs.FileInfo, error) {
	if err := f.enter("stat", false); err != nil {
		return nil, err
	}
	defer f.fs.mu.Unlock()
	return f.node.info(f.name), nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	delete(f.node.locks, f)
	maps.DeleteFunc(f.node.bytes, func(_ int64, holder *memFile) bool { return holder == f })
	return nil
}

func (f *memFile) preallocate(int64) error { return nil }

func (f *memFile) lock(kind LockKind) error {
	if err := f.enter("lock", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	for other, held := range f.node.locks {
		if other != f && (kind == Exclusive || held == Exclusive) {
			return syscall.EAGAIN
		}
	}
	if f.node.locks == nil {
		f.node.locks = map[*memFile]LockKind{}
	}
	f.node.locks[f] = kind
	return nil
}

func (f *memFile) unlock() error {
	if err := f.enter("lock", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	delete(f.node.locks, f)
	return nil
}

func (f *memFile) lockByte(off int64) error {
	if err := f.enter("lock", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if holder := f.node.bytes[off]; holder != nil && holder != f {
		return syscall.EAGAIN
	}
	if f.node.bytes == nil {
		f.node.bytes = map[int64]*memFile{}
	}
	f.node.bytes[off] = f
	return nil
}

func (f *memFile) unlockByte(off int64) error {
	if err := f.enter("lock", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if f.node.bytes[off] == f {
		delete(f.node.bytes, off)
	}
	return nil
}
