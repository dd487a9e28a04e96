package maildir

import (
	"context"
	"errors"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Lock is a folder's dovecot-uidlist.lock, held. Under it UIDs and keyword
// letters are given out, and folders are scanned: while others keep to it, no
// file changes its name under a scan.
type Lock struct {
	folder *Folder
	dot    *disk.DotLock // nil after Rewrite and Unlock
}

// Lock waits for the lock: 122 s at most, as Dovecot does. Unavailable: others
// held it all that time, or ctx ended.
func (f *Folder) Lock(ctx context.Context) (*Lock, error) { return f.LockAgain(ctx, nil) }

// Spare is what LockAgain keeps of a lock, in the folder's tmp/ until DropSpare.
type Spare struct {
	name string
	file disk.Spare
}

// LockAgain is Lock for somebody who does so often, never twice at a time.
func (f *Folder) LockAgain(ctx context.Context, s *Spare) (*Lock, error) {
	opts := disk.DotLockOptions{Perm: f.tree.opts.FilePerm, TempDir: f.path("tmp")}
	if s != nil {
		if s.name == "" {
			s.name = f.tree.opts.Namer.Next() + ".lock"
		}
		s.file.At(f.path("tmp", s.name)) // the folder may have another name now
		opts.Spare = &s.file
	}
	dot, err := disk.AcquireDotLock(ctx, f.tree.fs, f.path(uidlistName), opts)
	if err != nil {
		return nil, ioError(err, "locking folder %s", f.name)
	}
	return &Lock{folder: f, dot: dot}, nil
}

// DropSpare removes what LockAgain has kept.
func (f *Folder) DropSpare(s *Spare) {
	s.file.At(f.path("tmp", s.name))
	s.file.Drop(f.tree.fs)
}

// Touch says that the holder lives; to be called at least every minute. An
// error means that the lock is lost and nothing more may be written.
func (l *Lock) Touch() error {
	if l.dot == nil {
		return fail.New(fail.Invalid, "folder %s is not locked", l.folder.name)
	}
	return l.dot.Touch()
}

// Held is false after Unlock and Rewrite.
func (l *Lock) Held() bool { return l.dot != nil }

// Unlock gives the lock back; it may be called again.
func (l *Lock) Unlock() error {
	if l == nil || l.dot == nil {
		return nil
	}
	dot := l.dot
	l.dot = nil
	err := dot.Release()
	if errors.Is(err, disk.ErrLocked) {
		return fail.Wrap(fail.Temporary, err, "folder %s was locked by somebody else meanwhile", l.folder.name)
	}
	return err
}

// Publish gives a finished delivery its name in cur/ (or in new/, when fresh
// is set and there are no flags), without syncing the directory: the caller
// does so with SyncDir for all of a group.
func (l *Lock) Publish(d *Delivery, info Info, fresh bool) (Delivered, error) {
	f := l.folder
	d.done.Dir, d.done.File = "cur", Join(d.done.Base, info)
	if fresh && info == (Info{}) {
		d.done.Dir, d.done.File = "new", d.done.Base
	}
	path := f.path(d.done.Dir, d.done.File)
	disk.Point(f.tree.fs, "maildir.deliver.before_rename")
	if d.source != "" {
		if err := f.tree.fs.Link(d.source, path); err != nil {
			return Delivered{}, ioError(errors.Join(ErrNotLinked, err), "copying a message to folder %s", f.name)
		}
	} else if err := disk.RenameFile(f.tree.fs, d.tmp, path); err != nil {
		return Delivered{}, ioError(err, "storing a message in folder %s", f.name)
	}
	d.dest = path
	return d.done, nil
}

// Number puts the UID that a finished delivery is to get into its base name.
func (d *Delivery) Number(validity, uid uint32) { d.done.Base = WithUID(d.done.Base, validity, uid) }

// Base is the base name of a finished delivery.
func (d *Delivery) Base() string { return d.done.Base }

// NameFor is the file name that Publish gives a finished delivery in cur/.
func (d *Delivery) NameFor(info Info) string { return Join(d.done.Base, info) }

// Published ends a delivery whose name is durable: Abort does nothing after it.
func (d *Delivery) Published() { d.tmp, d.dest = "", "" }

// SyncDir makes the names in new/ or cur/ durable.
func (f *Folder) SyncDir(dir string) error {
	disk.Point(f.tree.fs, "maildir.deliver.before_syncdir")
	return ioError(f.tree.fs.SyncDir(f.path(dir)), "syncing %s of folder %s", dir, f.name)
}
