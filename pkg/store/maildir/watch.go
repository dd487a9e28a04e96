package maildir

import (
	"context"
	"sync"

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
	w    *Watcher
	dirs [2]string // new/, cur/
	wake func()

	mu     sync.Mutex
	expect map[expected]int
	dirt   Dirt
}

// Dirt is where others have made changes.
type Dirt struct {
	New, Cur bool
	Files    []Named // what came or went there, in order
	Unsure   bool    // Files are not all
}

// Named is a file of a folder.
type Named struct {
	In   Place
	File string
}

// maxDirt is how many files are told by name: with more it is quicker to look
// at all.
const maxDirt = 256

// Add adds what came later.
func (d *Dirt) Add(more Dirt) {
	d.New, d.Cur, d.Unsure = d.New || more.New, d.Cur || more.Cur, d.Unsure || more.Unsure
	if d.Files = append(d.Files, more.Files...); len(d.Files) > maxDirt || d.Unsure {
		d.Files, d.Unsure = nil, true
	}
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
	if n == 0 { // not our own doing
		x.dirt.Add(Dirt{New: isNew, Cur: !isNew, Files: []Named{{Place(isNew), e.Name}}, Unsure: e.Name == ""})
	}
	x.mu.Unlock()
	if n == 0 {
		x.wake()
	}
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
		x.dirt.Add(Dirt{New: true, Cur: true, Unsure: true})
		x.mu.Unlock()
		x.wake()
	}
}

// Dirty reports where others made changes since the last call, and forgets it.
func (x *Watch) Dirty() Dirt {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.dirt
	x.dirt = Dirt{}
	return d
}

// Settle returns when Dirty has all changes that show in the mtimes of the
// folder now. errors.ErrUnsupported: nobody can tell.
func (x *Watch) Settle() error {
	for _, dir := range x.dirs {
		if err := disk.Await(x.w.fs, dir); err != nil {
			return err
		}
	}
	return x.w.in.Drain(x.w.event, x.w.doubtAll)
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
// do come are then taken for somebody else's, which costs a look and no more;
// and what others did may have been taken for it, so that the next look is one
// at all.
func (x *Watch) Unexpect(from Place, old string, to Place, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dirt.Add(Dirt{Unsure: true}) // somebody else's may have been taken for it
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
