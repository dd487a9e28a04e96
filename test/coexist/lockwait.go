package coexist

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// lockWatcher is the file system, with a clock on dovecot-uidlist.lock: from
// the first attempt to make it to the one that succeeds.
type lockWatcher struct {
	disk.FS
	waits  samples
	waited atomic.Int64

	mu    sync.Mutex
	since map[string]time.Time
}

func (w *lockWatcher) Link(oldName, newName string) error {
	began := time.Now()
	err := w.FS.Link(oldName, newName)
	if strings.HasSuffix(newName, "dovecot-uidlist.lock") {
		w.attempt(newName, began, err)
	}
	return err
}

func (w *lockWatcher) attempt(name string, began time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since == nil {
		w.since = map[string]time.Time{}
	}
	if errors.Is(err, fs.ErrExist) {
		if w.since[name].IsZero() {
			w.since[name] = began
			w.waited.Add(1)
		}
		return
	}
	if first := w.since[name]; !first.IsZero() {
		began = first
		delete(w.since, name)
	}
	w.waits.add(time.Since(began))
}

func (w *lockWatcher) contended() int { return int(w.waited.Load()) }

func (w *lockWatcher) Chtimes(name string, mtime time.Time) error {
	return disk.Chtimes(w.FS, name, mtime)
}

func (w *lockWatcher) Statfs(dir string) (disk.Space, error) { return disk.Statfs(w.FS, dir) }
