package disk

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// ErrPoisonedVisit is in the chain of every sync through a visit during which
// a sync of its volume failed.
var ErrPoisonedVisit = errors.New("what was written before a failed sync must not be trusted")

// volumeFile is a file system, held open so that it can be synced.
type volumeFile interface {
	syncAll() error
	Close() error
}

// volumer is an FS that can sync the whole of the file system that holds dir.
type volumer interface {
	openVolume(dir string) (volumeFile, error)
}

// Volume syncs a whole file system for many writers at a time: those who ask
// while one sync runs share the next. It pays for the unsynced writes of
// everybody else on that file system too.
//
// A failure is told to each writer whose data it may concern, which is more
// than those who waited for that sync: the kernel tells a writeback error once
// and the next sync succeeds, although the data is gone. See Visit.
type Volume struct {
	fs   FS
	file volumeFile
	turn sync.Mutex // held by the one sync that runs

	mu    sync.Mutex
	next  *round // of those that wait for turn; nil: nobody does
	stats VolumeStats
}

// VolumeStats is what a volume has done since it was opened.
type VolumeStats struct {
	Asked  uint64 // syncs that were asked for
	Syncs  uint64 // that were made
	Failed uint64 // of these
	Cause  error  // of the last failure
}

// round is one sync, and those who wait for it.
type round struct {
	done chan struct{}
	err  error // set before done is closed
}

// OpenVolume returns the file system that holds folder dir. Denied: its syncs
// cannot be trusted to tell of all failures, and every file must be synced by
// itself. It stays open, and mounted, until Close.
func OpenVolume(fsys FS, dir string) (*Volume, error) {
	o, ok := fsys.(volumer)
	if !ok {
		return nil, fail.New(fail.Denied, "%s: this file system cannot be synced as a whole", dir)
	}
	f, err := o.openVolume(dir)
	if err != nil {
		return nil, err
	}
	return &Volume{fs: fsys, file: f}, nil
}

// Close gives the volume back; no visit may be used after it.
func (v *Volume) Close() error { return v.file.Close() }

// Stats returns the counts.
func (v *Volume) Stats() VolumeStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stats
}

// Visit returns the FS for one piece of work, such as storing one message:
// every Sync and SyncDir through it is a shared sync of the volume. Once any
// sync of the volume has failed since the visit began, those of the visit fail
// as well, with ErrPoisonedVisit in the chain: what it wrote may be gone.
// Everything that the visit is to make durable must be written after it began.
func (v *Volume) Visit() FS {
	v.mu.Lock()
	defer v.mu.Unlock()
	return &visit{FS: v.fs, v: v, since: v.stats.Failed}
}

// sync makes durable what was written before the call. Crash points:
// disk.volume.before_sync, .after_sync.
func (v *Volume) sync(since uint64) error {
	v.mu.Lock()
	if err := v.poisoned(since); err != nil {
		v.mu.Unlock()
		return err
	}
	v.stats.Asked++
	r := v.next
	if r == nil {
		r = &round{done: make(chan struct{})}
		v.next = r
		v.mu.Unlock()
		v.run(r)
	} else {
		v.mu.Unlock()
		<-r.done
	}
	if r.err != nil {
		return r.err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.poisoned(since)
}

// run waits for its turn and syncs for all who have joined r until then.
func (v *Volume) run(r *round) {
	v.turn.Lock()
	defer v.turn.Unlock()
	v.mu.Lock()
	v.next = nil // who comes from here on may have written too late for this sync
	v.mu.Unlock()
	Point(v.fs, "disk.volume.before_sync")
	err := v.file.syncAll()
	if err == nil {
		Point(v.fs, "disk.volume.after_sync")
	}
	v.mu.Lock()
	v.stats.Syncs++
	if err != nil {
		v.stats.Failed++
		v.stats.Cause = err
	}
	v.mu.Unlock()
	r.err = err
	close(r.done)
}

// poisoned is for a visit that began after so many failures. v.mu is held.
func (v *Volume) poisoned(since uint64) error {
	if v.stats.Failed == since {
		return nil
	}
	return fail.Wrap(fail.Temporary, errors.Join(ErrPoisonedVisit, v.stats.Cause), "")
}

// visit is an FS whose syncs are the volume's.
type visit struct {
	FS
	v     *Volume
	since uint64
}

func (s *visit) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &visitFile{File: f, visit: s}, nil
}

func (s *visit) SyncDir(string) error { return s.v.sync(s.since) }

// Chtimes implements Chtimer.
func (s *visit) Chtimes(name string, mtime time.Time) error { return Chtimes(s.FS, name, mtime) }

// Statfs implements Statfser.
func (s *visit) Statfs(dir string) (Space, error) { return Statfs(s.FS, dir) }

// Point implements Pointer.
func (s *visit) Point(name string) { Point(s.FS, name) }

func (s *visit) listFiles(dir string, fn func(names []string)) error {
	return ListFiles(s.FS, dir, fn)
}

func (s *visit) eachFileName(dir string, fn func(name []byte)) error {
	return EachFileName(s.FS, dir, fn)
}

func (s *visit) renameFile(oldName, newName string) error { return RenameFile(s.FS, oldName, newName) }

type visitFile struct {
	File
	visit *visit
}

func (f *visitFile) Unwrap() File { return f.File }

func (f *visitFile) Sync() error { return f.visit.v.sync(f.visit.since) }

// osVolume holds a folder open: the kernel tells an open file once of each
// writeback error of its file system since it was opened.
type osVolume struct{ dir *os.File }

// openVolume refuses kernels whose syncfs(2) does not tell of every failure:
// before 5.8 it passed over writeback errors, before 5.17 over those of the
// file system's own part, such as an aborted journal.
func (osFS) openVolume(dir string) (volumeFile, error) {
	if major, minor, release := kernel(); major < 5 || major == 5 && minor < 17 {
		return nil, fail.New(fail.Denied, "%s: syncfs of Linux %s does not report all failures (5.17 and newer do)", dir, release)
	}
	space, err := statfs(dir)
	if err != nil {
		return nil, err
	}
	if space.Network || space.FSType == "overlay" {
		return nil, fail.New(fail.Denied, "%s: syncfs on %s promises nothing", dir, space.FSType)
	}
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &osVolume{d}, nil
}

// syncAll is not tried again when it fails: the error is told only once.
func (o *osVolume) syncAll() error {
	raw, err := o.dir.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		for {
			serr = unix.Syncfs(int(fd))
			if !errors.Is(serr, unix.EINTR) {
				return
			}
		}
	})
	if err = errors.Join(err, serr); err != nil {
		return &fs.PathError{Op: "syncfs", Path: o.dir.Name(), Err: err}
	}
	return nil
}

func (o *osVolume) Close() error { return o.dir.Close() }

// kernel is the version of the running one; 0.0 when it cannot be told.
func kernel() (major, minor int, release string) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return 0, 0, "?"
	}
	release = unix.ByteSliceToString(u.Release[:])
	major, minor = parseRelease(release)
	return major, minor, release
}

// parseRelease reads "6.1.0-13-amd64"; what it cannot read is 0.
func parseRelease(release string) (major, minor int) {
	first, rest, _ := strings.Cut(release, ".")
	second, _, _ := strings.Cut(rest, ".")
	if end := strings.IndexFunc(second, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		second = second[:end]
	}
	major, _ = strconv.Atoi(first)
	minor, _ = strconv.Atoi(second)
	return major, minor
}
