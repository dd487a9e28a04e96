package disk

import (
	"cmp"
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

	"github.com/postcote/postcote/pkg/platform/disk/holder"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// DotLockOptions tune AcquireDotLock. The zero value is Dovecot's practice for
// dovecot-uidlist.lock.
type DotLockOptions struct {
	Perm    fs.FileMode   // of the lock file; 0 means 0660
	Timeout time.Duration // how long to wait; 0 means Stale and 2 s, negative means try once
	Stale   time.Duration // a lock untouched for so long is broken; 0 means 120 s
	Refresh time.Duration // Touch does nothing more often than this; 0 means 10 s
	Spare   *Spare        // may be nil

	// TempDir is a folder of the same file system for files that are not complete:
	// one where others remove what a crash leaves. "" means the lock's own.
	TempDir string

	Now   func() time.Time                           // nil means time.Now
	Sleep func(context.Context, time.Duration) error // nil means a timer
}

func (o *DotLockOptions) fill() {
	if o.Perm == 0 {
		o.Perm = 0o660
	}
	if o.Stale == 0 {
		o.Stale = 120 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = o.Stale + 2*time.Second // else a lock that was just made would not be broken in time
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

// Spare is a lock file that stays aside when a lock is given back, and gets a
// second name when the lock is taken again. A file system that creates and
// removes a file each time is slow: ext4 passes over the inodes that it freed
// in the last minute whenever it looks for one. It is for locks that are held
// one after the other, never two at a time: one file cannot tell them apart.
type Spare struct {
	path    string
	there   bool
	never   bool // no links here
	out     bool // it is a lock now
	blank   bool // it does not say whose it is
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

// ready has the file be there, with a mtime by which whoever waits for the lock
// may judge whether the holder lives.
func (s *Spare) ready(l *DotLock) error {
	now := l.opts.Now()
	if !s.there {
		id, err := l.make(s.path)
		if errors.Is(err, fs.ErrExist) { // of ours: it could not be removed when it could not be made
			_ = l.fsys.Remove(s.path)
			if id, err = l.make(s.path); errors.Is(err, fs.ErrExist) {
				return fail.New(fail.Unavailable, "%s is in the way and cannot be removed", s.path)
			}
		}
		if err != nil {
			return err
		}
		s.there, s.id, s.touched = true, id, now
		return nil
	}
	if now.Sub(s.touched) < l.opts.Refresh {
		return nil
	}
	err := Chtimes(l.fsys, s.path, now)
	if errors.Is(err, fs.ErrNotExist) { // somebody has cleaned up
		s.there = false
		return s.ready(l)
	}
	s.touched = now
	return err
}

// DotLock is a held lock file NAME.lock beside the file it protects, the kind
// of lock that Dovecot, mutt and procmail understand, also over NFS. Its text
// tells whose it is (package holder).
//
// A kill at any moment leaves no lock file, or one that says whose it is: it is
// complete before it gets its name, by a link, as Dovecot's may be; and what is
// to replace the protected file is always another file.
type DotLock struct {
	fsys FS
	name string // of the protected file
	path string // of the lock file
	opts DotLockOptions

	spare  *Spare // its complete file: that of the options, or one for this lock only
	beside bool   // that is in the lock's own folder

	mu      sync.Mutex
	held    bool // until Release or Commit
	id      ID
	touched time.Time
	fresh   File // made by Replacement, until Commit
	freshAt string
}

// AcquireDotLock makes name+".lock" and waits while another holds it. When
// the time is over the error is of kind Unavailable with ErrLocked in its
// chain. The caller calls Touch at least every Stale/2 and ends with Release
// or Commit.
func AcquireDotLock(ctx context.Context, fsys FS, name string, opts DotLockOptions) (*DotLock, error) {
	opts.fill()
	l := &DotLock{fsys: fsys, name: name, path: name + ".lock", opts: opts}
	if l.spare = opts.Spare; l.spare == nil {
		l.spare = &Spare{path: l.temp(opts.TempDir)}
	}
	defer l.dropTemp()
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

// try makes the lock file once.
func (l *DotLock) try() error {
	if l.spare.never {
		return l.createInPlace()
	}
	err := l.spare.ready(l)
	if err == nil {
		err = l.link()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !l.beside: // cleaned up just now, or there is no such folder
		l.spare.there = false
		l.spare, l.beside = &Spare{path: l.temp("")}, true
		return l.try()
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EMLINK), errors.Is(err, errors.ErrUnsupported):
		l.spare.Drop(l.fsys)
		l.spare.never = true
		return l.createInPlace()
	}
	return err
}

// dropTemp removes the other name of a lock that has no use for it.
func (l *DotLock) dropTemp() {
	if l.spare != l.opts.Spare {
		l.spare.Drop(l.fsys)
	}
}

// temp is a name that nobody else uses, in dir or beside the lock.
func (l *DotLock) temp(dir string) string {
	at, base := filepath.Split(l.path)
	var mark [6]byte
	_, _ = rand.Read(mark[:]) // never fails
	return filepath.Join(cmp.Or(dir, at), base+"."+hex.EncodeToString(mark[:]))
}

// make creates a file with the text of a lock file.
func (l *DotLock) make(path string) (ID, error) {
	f, err := l.fsys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, l.opts.Perm)
	if err != nil {
		return ID{}, err
	}
	// A full disk must not keep mail from being deleted: a lock that does not say
	// whose it is is one, too.
	_, err = f.WriteAt([]byte(selfText(l.fsys)), 0)
	if l.spare.blank = err != nil; l.spare.blank {
		_ = f.Truncate(0)
	}
	info, err := f.Stat()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = l.fsys.Remove(path)
		return ID{}, err
	}
	return IDOf(info), nil
}

// link gives the complete file the lock's name. Over NFS the reply to a link that
// was made may be lost, and the second attempt fails. And a Spare's file may be in
// the way because it could not be removed: nobody holds that lock.
func (l *DotLock) link() error {
	err := l.fsys.Link(l.spare.path, l.path)
	if errors.Is(err, fs.ErrExist) && !l.spare.out {
		if now, perr := Peek(l.fsys, l.path); perr == nil && now.ID == l.spare.id {
			err = nil
		}
	}
	if err == nil {
		l.held, l.id, l.touched, l.spare.out = true, l.spare.id, l.spare.touched, true
	}
	return err
}

// createInPlace is for file systems without links: a kill right here leaves a
// lock that does not say whose it is, and age decides.
func (l *DotLock) createInPlace() error {
	id, err := l.make(l.path)
	if err == nil {
		l.held, l.id, l.touched = true, id, l.opts.Now()
	}
	return err
}

// rival is what a waiter knows of the lock file in its way.
type rival struct {
	id      ID
	mtime   time.Time
	size    int64
	since   time.Time // when it last changed, by our clock
	watched time.Time // when we first saw it so
	judged  time.Time
	state   holder.State
}

// judgeEvery is how often a waiter asks whether the holder lives.
const judgeEvery = 100 * time.Millisecond

// breakStale removes the lock file in the way if its process is gone, or if
// nobody touched it for the stale time and nobody can tell whether its process
// is. Age counts from its mtime when that lies in our past, else (a clock that
// runs ahead, a file server's own clock) from when we first saw it. A lock of
// this process counts from then, too: after the machine was suspended its holder
// must get the time to touch it.
func (l *DotLock) breakStale(seen *rival) (broke bool, err error) {
	info, err := l.fsys.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // gone meanwhile
	}
	if err != nil {
		return false, err
	}
	now := l.opts.Now()
	if id, mtime := IDOf(info), info.ModTime(); seen.since.IsZero() || id != seen.id || !mtime.Equal(seen.mtime) || info.Size() != seen.size {
		*seen = rival{id: id, mtime: mtime, size: info.Size(), since: now, watched: now}
		if mtime.Before(now) {
			seen.since = mtime
		}
	}
	if now.Sub(seen.judged) >= judgeEvery {
		seen.judged, seen.state = now, l.judge(seen)
	}
	switch {
	case seen.state == holder.Gone,
		seen.state == holder.Unknown && now.Sub(seen.since) >= l.opts.Stale,
		seen.state == holder.Here && now.Sub(seen.watched) >= l.opts.Stale:
		return l.takeAway(seen)
	}
	return false, nil
}

func (l *DotLock) judge(seen *rival) holder.State {
	text, err := ReadFile(l.fsys, l.path, holder.MaxText)
	if err != nil {
		return holder.Unknown
	}
	return judgeText(l.fsys, text, seen.mtime)
}

// takeAway removes the lock file if it is still the one that was judged. It is
// done in a way that two waiters who judged the same file cannot remove a lock
// that one of them, or another, has made since:
//
//   - Both open the file and lock what they opened; one waits for the next round.
//   - Under that lock the name must still lead to this very file, as it was when it
//     was judged. Whoever comes second finds another file, or none. The number of
//     the file cannot be used again meanwhile, because it is open; and the file of
//     a Spare gets another mtime before it becomes a lock again.
//   - Its own process does not give it up now: it is gone; or it has not touched
//     it for the stale time, and that it lives cannot be known (another host).
//
// Dovecot removes stale locks without more ado. For it, and where files cannot
// be opened or locked, the file is moved aside and looked at once more, and given
// back if it is another one.
func (l *DotLock) takeAway(judged *rival) (broke bool, err error) {
	if f, err := l.fsys.OpenFile(l.path, os.O_RDWR, 0); err == nil {
		defer f.Close()
		if errors.Is(TryLock(f, Exclusive), ErrLocked) {
			return false, nil
		}
		info, err := f.Stat()
		if err != nil || IDOf(info) != judged.id {
			return true, err
		}
	}
	info, err := l.fsys.Stat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	case !judged.same(info):
		return true, nil
	}
	aside, err := l.moveAside()
	if err != nil {
		return errors.Is(err, fs.ErrNotExist), ignoreNotExist(err)
	}
	if info, err := l.fsys.Stat(aside); err == nil && !judged.same(info) {
		_ = l.fsys.Link(aside, l.path) // a live lock: give it back
	}
	return true, ignoreNotExist(l.fsys.Remove(aside))
}

func (r *rival) same(info fs.FileInfo) bool {
	return IDOf(info) == r.id && info.ModTime().Equal(r.mtime)
}

// moveAside gives the lock file another name.
func (l *DotLock) moveAside() (aside string, err error) {
	for _, dir := range []string{l.opts.TempDir, ""} { // there may be no such folder
		aside = l.temp(dir)
		if err = RenameFile(l.fsys, l.path, aside); err == nil {
			break
		}
	}
	return aside, err
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Replacement makes an empty file, whose content becomes that of the protected
// file with Commit, and tells its name until then.
func (l *DotLock) Replacement() (file File, name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held || l.fresh != nil {
		return nil, "", fail.New(fail.Invalid, "%s: lock is not held, or its file is replaced already", l.path)
	}
	for _, dir := range []string{l.opts.TempDir, ""} { // there may be no such folder
		name = l.temp(dir)
		file, err = l.fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, l.opts.Perm)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, "", err
	}
	l.fresh, l.freshAt = file, name
	return file, name, nil
}

// discard gives up what Replacement made.
func (l *DotLock) discard() {
	if l.fresh != nil {
		_ = l.fresh.Close()
		_ = l.fsys.Remove(l.freshAt)
	}
	l.fresh = nil
}

// Touch tells waiters that the holder lives. It is cheap to call often. An
// error of kind Unavailable means that the lock was broken by another process.
func (l *DotLock) Touch() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.opts.Now()
	if !l.held || now.Sub(l.touched) < l.opts.Refresh {
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
	l.discard()
	if !l.held {
		return nil
	}
	l.giveUp()
	if err := l.stillOurs(); err != nil {
		return err
	}
	return l.remove()
}

// giveUp notes that the lock is not held. A file without its text is not used
// again: the disk may not be full any more.
func (l *DotLock) giveUp() {
	l.held, l.spare.out = false, false
	if l.spare.blank {
		l.spare.Drop(l.fsys)
	}
}

// remove gives the lock back. One that stays would keep everybody out as long
// as this process lives, so that another way is tried.
func (l *DotLock) remove() error {
	err := l.fsys.Remove(l.path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	aside, rerr := l.moveAside()
	if rerr != nil {
		return err
	}
	_ = l.fsys.Remove(aside)
	return nil
}

// Commit makes the file of Replacement the protected file: sync, rename over it,
// sync of the folder. The lock is given back, whatever happened. Crash points:
// disk.dotlock.before_sync, disk.dotlock.before_rename,
// disk.dotlock.before_release, disk.dotlock.before_syncdir.
func (l *DotLock) Commit() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held || l.fresh == nil {
		return fail.New(fail.Invalid, "%s: lock is not held, or there is no new file", l.path)
	}
	l.giveUp()
	if err := l.publish(); err != nil {
		if l.stillOurs() == nil {
			_ = l.remove()
		}
		return fmt.Errorf("replacing %s: %w", l.name, err)
	}
	Point(l.fsys, "disk.dotlock.before_release")
	var err error
	if l.stillOurs() == nil { // lost after the rename, the new file stands
		err = l.remove()
	}
	Point(l.fsys, "disk.dotlock.before_syncdir")
	if err := errors.Join(err, l.fsys.SyncDir(filepath.Dir(l.name))); err != nil {
		return fmt.Errorf("replacing %s: %w", l.name, err)
	}
	return nil
}

// publish gives the new file the name of the protected one.
func (l *DotLock) publish() error {
	f := l.fresh
	l.fresh = nil
	Point(l.fsys, "disk.dotlock.before_sync")
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = l.stillOurs() // a slow disk may have taken its time
	}
	if err == nil {
		Point(l.fsys, "disk.dotlock.before_rename")
		err = RenameFile(l.fsys, l.freshAt, l.name)
	}
	if err != nil {
		_ = l.fsys.Remove(l.freshAt)
	}
	return err
}

// census is a file system that stands for a machine of its own, whose processes
// end when it does.
type census interface {
	self() string
	stateOf(text string) (s holder.State, known bool)
}

func selfText(fsys FS) string {
	if c, ok := fsys.(census); ok {
		return c.self()
	}
	return holder.Self()
}

func judgeText(fsys FS, text []byte, touched time.Time) holder.State {
	if c, ok := fsys.(census); ok {
		if s, known := c.stateOf(string(text)); known {
			return s
		}
	}
	return holder.Of(text, touched)
}
