package maildir

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/maildir/inotify"
)

// Watcher is the process's one inotify instance. Directories are watched for
// selected folders only, because the kernel limits the number of watches.
type Watcher struct {
	fs disk.FS
	in *inotify.Watcher

	mu   sync.Mutex
	dirs map[string]*watched // by path of new/ or cur/
}

type watched struct {
	users []*Watch
	isNew bool
}

// NewWatcher starts an instance. Unavailable: the kernel has no more, or no
// inotify; then folders are polled.
func NewWatcher(fsys disk.FS) (*Watcher, error) {
	in, err := inotify.New()
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "watching folders")
	}
	return &Watcher{fs: fsys, in: in, dirs: map[string]*watched{}}, nil
}

// Run delivers events until ctx is done, then closes the instance.
func (w *Watcher) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, w.in.Close)
	w.in.Run(w.event, w.doubtAll)
	if stop() {
		w.in.Close()
	}
}

// Watch is one folder's watch. It only says where to look again.
type Watch struct {
	w        *Watcher
	dirs     [2]string // new/, cur/
	wake     func()
	newDirty atomic.Bool
	curDirty atomic.Bool

	mu     sync.Mutex
	expect map[expected]int
}

type expected = inotify.Event

// Watch begins to watch a folder; wake is called (without blocking) when
// somebody else changed it. Unavailable: it cannot be watched, as on a network
// file system, whose other writers inotify does not see.
func (w *Watcher) Watch(f *Folder, wake func()) (*Watch, error) {
	if space, err := disk.Statfs(w.fs, f.dir); err != nil || space.Network {
		return nil, fail.New(fail.Unavailable, "folder %s lies where inotify is blind", f.name)
	}
	x := &Watch{w: w, wake: wake, dirs: [2]string{f.path("new"), f.path("cur")}, expect: map[expected]int{}}
	for i, dir := range x.dirs {
		if err := w.add(dir, x, i == 0); err != nil {
			x.Close()
			return nil, fail.Wrap(fail.Unavailable, err, "watching folder %s", f.name)
		}
	}
	return x, nil
}

func (w *Watcher) add(dir string, x *Watch, isNew bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.dirs[dir]
	if d == nil {
		if err := w.in.Add(dir); err != nil {
			return err
		}
		d = &watched{isNew: isNew}
		w.dirs[dir] = d
	}
	d.users = append(d.users, x)
	return nil
}

// Close ends the watch.
func (x *Watch) Close() {
	w := x.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, dir := range x.dirs {
		d := w.dirs[dir]
		if d == nil {
			continue
		}
		for i, u := range d.users {
			if u == x {
				d.users = append(d.users[:i], d.users[i+1:]...)
				break
			}
		}
		if len(d.users) == 0 {
			delete(w.dirs, dir)
			w.in.Remove(dir)
		}
	}
}

func (w *Watcher) event(e inotify.Event) {
	w.mu.Lock()
	var users []*Watch
	isNew := false
	if d := w.dirs[e.Dir]; d != nil {
		users, isNew = append(users, d.users...), d.isNew
	}
	w.mu.Unlock()
	for _, x := range users {
		x.event(e, isNew)
	}
}

func (x *Watch) event(e expected, isNew bool) {
	x.mu.Lock()
	n := x.expect[e]
	switch {
	case n > 1:
		x.expect[e] = n - 1
	case n == 1:
		delete(x.expect, e)
	}
	x.mu.Unlock()
	if n > 0 {
		return // our own doing
	}
	if isNew {
		x.newDirty.Store(true)
	} else {
		x.curDirty.Store(true)
	}
	x.wake()
}

// doubtAll makes every watched folder look again.
func (w *Watcher) doubtAll() {
	w.mu.Lock()
	seen := map[*Watch]bool{}
	for _, d := range w.dirs {
		for _, x := range d.users {
			seen[x] = true
		}
	}
	w.mu.Unlock()
	for x := range seen {
		x.mu.Lock()
		clear(x.expect) // their events may be among the lost ones
		x.mu.Unlock()
		x.newDirty.Store(true)
		x.curDirty.Store(true)
		x.wake()
	}
}

// Dirty reports where others made changes since the last call, and forgets it.
func (x *Watch) Dirty() (inNew, inCur bool) {
	return x.newDirty.Swap(false), x.curDirty.Swap(false)
}

// Expect announces a rename or removal of our own, before it is done, so that
// its events are not taken for somebody else's. Empty names are left out.
func (x *Watch) Expect(from Place, old string, to Place, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if old != "" {
		x.expect[expected{Dir: x.dir(from), Name: old, Gone: true}]++
	}
	if name != "" {
		x.expect[expected{Dir: x.dir(to), Name: name}]++
	}
}

// Unexpect takes an announcement back after the operation failed. Events that
// do come are then taken for somebody else's, which costs a look and no more.
func (x *Watch) Unexpect(from Place, old string, to Place, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range []expected{{Dir: x.dir(from), Name: old, Gone: true}, {Dir: x.dir(to), Name: name}} {
		if n := x.expect[e]; n > 1 {
			x.expect[e] = n - 1
		} else {
			delete(x.expect, e)
		}
	}
}

// Many is called before many of those, and done after them.
func (x *Watch) Many() (done func()) { return x.w.in.Many() }

func (x *Watch) dir(p Place) string {
	if p == InNew {
		return x.dirs[0]
	}
	return x.dirs[1]
}
