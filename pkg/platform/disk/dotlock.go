package disk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// DotLockOptions tune AcquireDotLock. The zero value is Dovecot's practice for
// dovecot-uidlist.lock.
type DotLockOptions struct {
	Perm    fs.FileMode   // of the lock file; 0 means 0660
	Timeout time.Duration // how long to wait; 0 means 120 s, negative means try once
	Stale   time.Duration // a lock untouched for so long is broken; 0 means 120 s
	Refresh time.Duration // Touch does nothing more often than this; 0 means 10 s
	Spare   *Spare        // may be nil

	Now   func() time.Time                           // nil means time.Now
	Sleep func(context.Context, time.Duration) error // nil means a timer
}

func (o *DotLockOptions) fill() {
	if o.Perm == 0 {
		o.Perm = 0o660
	}
	if o.Timeout == 0 {
		o.Timeout = 120 * time.Second
	}
	if o.Stale == 0 {
		o.Stale = 120 * time.Second
	}
	if o.Refresh == 0 {
		o.Refresh = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
}

// Spare is a lock file that is put aside when a lock is given back, and gets a
// second name when the lock is taken again. A file system that creates and
// removes a file each time is slow: ext4 passes over the inodes that it freed
// in the last minute whenever it looks for one. It is for locks that are held
// one after the other, never two at a time: one file cannot tell them apart.
type Spare struct {
	path    string
	there   bool
	never   bool // no links here
	id      ID
	touched time.Time
}

// At says where the file is put aside: in the file system of the locks, and
// under a name that nobody else uses.
func (s *Spare) At(path string) { s.path = path }

// Drop removes the file. No lock may be held.
func (s *Spare) Drop(fsys FS) {
	if s.there {
		_ = fsys.Remove(s.path)
	}
	s.there = false
}

// take links the lock file, if there is a spare one. Whoever waits for the lock
// judges by its mtime whether the holder lives.
func (s *Spare) take(l *DotLock) (ok bool, err error) {
	if s == nil || !s.there {
		return false, nil
	}
	if now := l.opts.Now(); now.Sub(s.touched) >= l.opts.Refresh {
		err = Chtimes(l.fsys, s.path, now)
		s.touched = now
	}
	if err == nil {
		err = l.fsys.Link(s.path, l.path)
	}
	switch {
	case err == nil:
		l.linked, l.id, l.touched = true, s.id, s.touched
		return true, nil
	case errors.Is(err, fs.ErrNotExist): // somebody has cleaned up
		s.there = false
		return false, nil
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EMLINK), errors.Is(err, errors.ErrUnsupported):
		s.Drop(l.fsys)
		s.never = true
		return false, nil
	}
	return false, err
}

// keep puts a lock's file aside, which gives the lock back.
func (s *Spare) keep(l *DotLock) bool {
	if s == nil || s.there || s.never || RenameFile(l.fsys, l.path, s.path) != nil {
		return false
	}
	s.there, s.id, s.touched = true, l.id, l.touched
	return true
}

// DotLock is a held lock file NAME.lock beside the file it protects, the kind
// of lock that Dovecot, mutt and procmail understand, also over NFS.
type DotLock struct {
	fsys FS
	name string // of the protected file
	path string // of the lock file
	opts DotLockOptions

	mu      sync.Mutex
	file    File // nil after Release or Commit, and while linked
	linked  bool // the file has another name, see Spare
	id      ID
	touched time.Time
}

// AcquireDotLock makes name+".lock" and waits while another holds it. When
// the time is over the error is of kind Unavailable with ErrLocked in its
// chain. The caller calls Touch at least every Stale/2 and ends with Release
// or Commit.
func AcquireDotLock(ctx context.Context, fsys FS, name string, opts DotLockOptions) (*DotLock, error) {
	opts.fill()
	l := &DotLock{fsys: fsys, name: name, path: name + ".lock", opts: opts}
	limit := opts.Now().Add(opts.Timeout)
	var seen rival
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := l.try()
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return l.orErr(err)
		}
		broke, err := l.breakStale(&seen)
		if err != nil {
			return nil, fmt.Errorf("breaking stale lock %s: %w", l.path, err)
		}
		if broke {
			continue
		}
		if !opts.Now().Add(pause).Before(limit) {
			return nil, fail.Wrap(fail.Unavailable, ErrLocked, "%s exists for %s", l.path, opts.Now().Sub(seen.since).Round(time.Second))
		}
		if err := opts.Sleep(ctx, pause); err != nil {
			return nil, fail.Wrap(fail.Unavailable, errors.Join(ErrLocked, err), "waiting for %s", l.path)
		}
	}
}

func (l *DotLock) orErr(err error) (*DotLock, error) {
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", l.name, err)
	}
	return l, nil
}

func (l *DotLock) try() error {
	if ok, err := l.opts.Spare.take(l); ok || err != nil {
		return err
	}
	return l.create(l.path)
}

// create makes a lock file.
func (l *DotLock) create(path string) error {
	f, err := l.fsys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, l.opts.Perm)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		_ = l.fsys.Remove(path)
		return err
	}
	l.file, l.id, l.touched = f, IDOf(info), l.opts.Now()
	return nil
}

// rival is what a waiter knows of the lock file in its way.
type rival struct {
	id    ID
	mtime time.Time
	size  int64
	since time.Time // when it last changed, by our clock
}

// breakStale removes the lock file in the way if nobody touched it for the
// stale time. Age counts from its mtime when that lies in our past, else (a
// clock that runs ahead, a file server's own clock) from when we first saw it.
func (l *DotLock) breakStale(seen *rival) (broke bool, err error) {
	info, err := l.fsys.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // gone meanwhile
	}
	if err != nil {
		return false, err
	}
	now := l.opts.Now()
	id, mtime := IDOf(info), info.ModTime()
	if seen.since.IsZero() || id != seen.id || !mtime.Equal(seen.mtime) || info.Size() != seen.size {
		*seen = rival{id: id, mtime: mtime, size: info.Size(), since: now}
		if mtime.Before(now) {
			seen.since = mtime
		}
	}
	if now.Sub(seen.since) < l.opts.Stale {
		return false, nil
	}
	return l.takeAway(seen)
}

// takeAway removes the lock file if it is still the one that was judged. Two
// waiters may both have judged it; a plain remove by the slower one would hit
// the faster one's new lock, so it is moved aside and looked at first.
func (l *DotLock) takeAway(judged *rival) (bool, error) {
	var mark [6]byte
	_, _ = rand.Read(mark[:]) // never fails
	aside := l.path + "." + hex.EncodeToString(mark[:])
	if err := l.fsys.Rename(l.path, aside); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return false, err
	}
	info, err := l.fsys.Stat(aside)
	if err == nil && (IDOf(info) != judged.id || !info.ModTime().Equal(judged.mtime)) {
		_ = l.fsys.Link(aside, l.path) // a live lock: give it back
	}
	if rerr := l.fsys.Remove(aside); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		return false, rerr
	}
	return true, nil
}

// File is the open lock file; what is written to it becomes the protected
// file's content with Commit. With a Spare there may be none before Separate.
func (l *DotLock) File() File { return l.file }

// Separate gives the lock a file of its own: that of a Spare must not become
// the protected file.
func (l *DotLock) Separate() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.linked {
		return nil
	}
	fresh := l.opts.Spare.path + ".new"
	err := l.stillOurs()
	if err == nil {
		err = l.create(fresh)
	}
	if err != nil {
		return err
	}
	if err := l.fsys.Rename(fresh, l.path); err != nil {
		_ = l.file.Close()
		_ = l.fsys.Remove(fresh)
		l.file, l.id = nil, l.opts.Spare.id
		return fmt.Errorf("locking %s: %w", l.name, err)
	}
	l.linked = false
	return nil
}

func (l *DotLock) held() bool { return l.file != nil || l.linked }

// Touch tells waiters that the holder lives. It is cheap to call often. An
// error of kind Unavailable means that the lock was broken by another process.
func (l *DotLock) Touch() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.opts.Now()
	if !l.held() || now.Sub(l.touched) < l.opts.Refresh {
		return nil
	}
	if err := l.stillOurs(); err != nil {
		return err
	}
	if err := Chtimes(l.fsys, l.path, now); err != nil {
		return err
	}
	l.touched = now
	return nil
}

func (l *DotLock) stillOurs() error {
	now, err := Peek(l.fsys, l.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && now.ID != l.id {
		return fail.Wrap(fail.Unavailable, ErrLocked, "%s was broken by another process", l.path)
	}
	return err
}

// Release gives the lock back by removing the lock file, unless another
// process broke it and made its own. It may be called again.
func (l *DotLock) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held() {
		return nil
	}
	var cerr error
	if l.file != nil {
		cerr = l.file.Close()
	}
	linked := l.linked
	l.file, l.linked = nil, false
	if err := l.stillOurs(); err != nil {
		return err
	}
	if !linked && cerr == nil && l.opts.Spare.keep(l) {
		return nil
	}
	if err := l.fsys.Remove(l.path); err != nil {
		return err
	}
	return cerr
}

// Commit makes the lock file the protected file: sync, rename over it, sync
// of the folder. The lock is gone afterwards, whatever happened. Crash points:
// disk.dotlock.before_sync, disk.dotlock.before_rename,
// disk.dotlock.before_syncdir.
func (l *DotLock) Commit() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return fail.New(fail.Invalid, "%s: lock is not held, or its file is not its own", l.path)
	}
	f := l.file
	l.file = nil
	err := l.stillOurs()
	if err != nil {
		_ = f.Close()
		return err
	}
	Point(l.fsys, "disk.dotlock.before_sync")
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		Point(l.fsys, "disk.dotlock.before_rename")
		err = l.fsys.Rename(l.path, l.name)
	}
	if err != nil {
		_ = l.fsys.Remove(l.path)
		return fmt.Errorf("replacing %s: %w", l.name, err)
	}
	Point(l.fsys, "disk.dotlock.before_syncdir")
	if err := l.fsys.SyncDir(filepath.Dir(l.name)); err != nil {
		return fmt.Errorf("replacing %s: %w", l.name, err)
	}
	return nil
}
