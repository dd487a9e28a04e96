package inotify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Event is one change.
type Event struct {
	Dir  string // as it was given to Add
	Name string // in Dir; empty for Dir itself, which is gone then
	Gone bool   // nothing is there under this name any more; else something has come
}

const (
	came   = unix.IN_CREATE | unix.IN_MOVED_TO
	went   = unix.IN_DELETE | unix.IN_MOVED_FROM
	itself = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT
)

// Watcher is one inotify instance.
type Watcher struct {
	file *os.File
	slow atomic.Int32

	reading sync.Mutex
	buf     []byte

	mu     sync.Mutex
	closed bool
	dirs   map[int32][]string // by watch descriptor; one for each inode. No list is changed
	at     map[string]int32
}

// New makes an instance. The kernel limits how many a user may have.
func New() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return &Watcher{file: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32][]string{}, at: map[string]int32{}}, nil
}

// Close ends Run.
func (w *Watcher) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	_ = w.file.Close()
}

// Add begins to watch a folder.
func (w *Watcher) Add(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.at[dir]; ok {
		return nil
	}
	var wd int
	err := w.control(func(fd int) (err error) {
		wd, err = unix.InotifyAddWatch(fd, dir, came|went|itself|unix.IN_ONLYDIR)
		return err
	})
	if err != nil {
		return &os.PathError{Op: "inotify_add_watch", Path: dir, Err: err}
	}
	w.at[dir] = int32(wd)
	w.dirs[int32(wd)] = append(w.dirs[int32(wd)], dir)
	return nil
}

// Remove ends the watch of a folder. One that is not watched is no error: its
// watch ends with it.
func (w *Watcher) Remove(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wd, ok := w.at[dir]
	if !ok {
		return
	}
	delete(w.at, dir)
	rest := slices.DeleteFunc(slices.Clone(w.dirs[wd]), func(d string) bool { return d == dir })
	if w.dirs[wd] = rest; len(rest) == 0 {
		w.end(wd)
	}
}

// end ends a watch, w.mu held.
func (w *Watcher) end(wd int32) {
	delete(w.dirs, wd)
	_ = w.control(func(fd int) error { // it may have ended by itself
		_, err := unix.InotifyRmWatch(fd, uint32(wd))
		return err
	})
}

// control runs fn with the descriptor, w.mu held.
func (w *Watcher) control(fn func(fd int) error) error {
	if w.closed {
		return os.ErrClosed
	}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = fn(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// Many is called before somebody makes many changes of which Run is going to
// hear, and done after them: Run then waits for several events at a time.
func (w *Watcher) Many() (done func()) {
	w.slow.Add(1)
	return func() { w.slow.Add(-1) }
}

// pace is how long Run waits among many events.
const pace = time.Millisecond

// Run tells of events until Close. lost is called when some may have been lost.
func (w *Watcher) Run(tell func(Event), lost func()) {
	raw, err := w.file.SyscallConn()
	if err != nil {
		lost()
		return
	}
	for {
		var n int
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			n, rerr = w.read(int(fd), tell, lost)
			return !errors.Is(rerr, unix.EAGAIN)
		})
		if err != nil {
			return // closed
		}
		if rerr != nil || n <= 0 {
			lost()
			time.Sleep(time.Second) // nothing is known that would get here
			continue
		}
		if w.slow.Load() > 0 {
			time.Sleep(pace)
		}
	}
}

// Drain tells, by the functions that Run has, of all events that there are, and
// returns when they and those that Run had read before are told of.
func (w *Watcher) Drain(tell func(Event), lost func()) error {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		for err == nil {
			_, err = w.read(int(fd), tell, lost)
		}
	})
	if errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	return errors.Join(cerr, err)
}

// read tells of some events. Those of one reader are told before another reads.
func (w *Watcher) read(fd int, tell func(Event), lost func()) (int, error) {
	w.reading.Lock()
	defer w.reading.Unlock()
	if w.buf == nil {
		w.buf = make([]byte, 16<<10)
	}
	for {
		n, err := unix.Read(fd, w.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil {
			w.each(w.buf[:max(n, 0)], tell, lost)
		}
		return n, err
	}
}

// each reads struct inotify_event: descriptor, mask, cookie and length of 32
// bits each, then the name up to a NUL.
func (w *Watcher) each(buf []byte, tell func(Event), lost func()) {
	const head = unix.SizeofInotifyEvent
	for len(buf) >= head {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		size := int(binary.NativeEndian.Uint32(buf[12:]))
		if size > len(buf)-head {
			lost()
			return
		}
		name, _, _ := bytes.Cut(buf[head:head+size], []byte{0})
		buf = buf[head+size:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			lost()
			continue
		}
		e := Event{Name: string(name), Gone: mask&(went|itself) != 0}
		for _, e.Dir = range w.of(wd, mask) {
			if mask&(came|went|itself) != 0 {
				tell(e)
			}
		}
	}
}

// of returns the names of a watched folder, and forgets them when the kernel has
// ended the watch, or when the folder has a name now that nobody knows.
func (w *Watcher) of(wd int32, mask uint32) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	dirs := w.dirs[wd]
	if mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF) != 0 {
		for _, d := range dirs {
			delete(w.at, d)
		}
		w.end(wd)
	}
	return dirs
}
