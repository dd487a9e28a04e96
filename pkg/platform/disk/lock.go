package disk

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// ErrLocked is in the chain when another open file holds the lock.
var ErrLocked = errors.New("locked by another process")

// LockKind says who else may hold the lock.
type LockKind int

// The kinds of lock.
const (
	Shared    LockKind = iota // any number of Shared at a time
	Exclusive                 // one only; needs a file open for writing
)

// locker is a File in memory that keeps locks by itself.
type locker interface {
	lock(kind LockKind) error
	unlock() error
	lockByte(off int64) error
	unlockByte(off int64) error
}

// TryLock takes an open file description lock on the whole of f, or returns
// an error of kind Unavailable with ErrLocked in its chain. The lock belongs
// to this open file: it goes away when f is closed or the process ends, it
// excludes other opens in the same process too, and it converts a lock of
// the other kind that f holds already.
func TryLock(f File, kind LockKind) error {
	if l, ok := innermost(f).(locker); ok {
		return lockErr(f, l.lock(kind))
	}
	typ := int16(unix.F_RDLCK)
	if kind == Exclusive {
		typ = unix.F_WRLCK
	}
	return lockErr(f, setLock(f, unix.Flock_t{Type: typ}))
}

// Unlock gives the lock back.
func Unlock(f File) error {
	if l, ok := innermost(f).(locker); ok {
		return l.unlock()
	}
	return lockErr(f, setLock(f, unix.Flock_t{Type: unix.F_UNLCK}))
}

// TryLockByte is TryLock, Exclusive, on one byte at an offset, which need not
// be there: many locks share one open file then. Locks of one open file do not
// exclude each other.
func TryLockByte(f File, off int64) error {
	if l, ok := innermost(f).(locker); ok {
		return lockErr(f, l.lockByte(off))
	}
	return lockErr(f, setLock(f, unix.Flock_t{Type: unix.F_WRLCK, Start: off, Len: 1}))
}

// UnlockByte gives the lock on one byte back.
func UnlockByte(f File, off int64) error {
	if l, ok := innermost(f).(locker); ok {
		return l.unlockByte(off)
	}
	return lockErr(f, setLock(f, unix.Flock_t{Type: unix.F_UNLCK, Start: off, Len: 1}))
}

// Lock is TryLock until it succeeds or ctx is done. It asks with growing
// pauses up to 100 ms, because a blocking fcntl cannot be called off.
func Lock(ctx context.Context, f File, kind LockKind) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := TryLock(f, kind)
		if !errors.Is(err, ErrLocked) {
			return err
		}
		if serr := sleep(ctx, pause); serr != nil {
			return err
		}
	}
}

func innermost(f File) File {
	for {
		w, ok := f.(wrapper)
		if !ok {
			return f
		}
		f = w.Unwrap()
	}
}

func setLock(f File, lock unix.Flock_t) error {
	fd, ok := Fd(f)
	if !ok {
		return &fs.PathError{Op: "lock", Path: nameOf(f), Err: errors.ErrUnsupported}
	}
	for {
		err := unix.FcntlFlock(fd, unix.F_OFD_SETLK, &lock)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func lockErr(f File, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		return fail.Wrap(fail.Unavailable, ErrLocked, "%s", nameOf(f))
	}
	return &fs.PathError{Op: "lock", Path: nameOf(f), Err: err}
}

// sleep waits or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
