package localdb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// fileMode is for the file and its companions: whoever reads them can try
// passwords as long as he likes.
const fileMode = 0o600

// create makes a store without users, whole or not at all; one that is there
// stays as it is. It belongs to whoever owns the folder, so that `sudo authd
// user add` does not lock the daemon out.
func create(path string, steps []string, now int64) error {
	dir := filepath.Dir(path)
	if err := disk.MkdirAll(disk.OS(), dir, 0o700); err != nil {
		return err
	}
	tmp := temporary(path)
	if _, err := touch(tmp, dir); err != nil {
		return err
	}
	err := fill(tmp, steps, now)
	if err == nil {
		err = disk.OS().Link(tmp, path)
	}
	_ = os.Remove(tmp)
	if err == nil {
		err = disk.OS().SyncDir(dir)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func fill(tmp string, steps []string, now int64) (err error) {
	c, err := dial(tmp, sqlite3.OPEN_READWRITE)
	if err != nil {
		return err
	}
	defer c.rescue(&err)
	err = c.upgrade(steps, now)
	c.close()
	if err != nil {
		return err
	}
	return syncFile(tmp)
}

// temporary is a name beside name, as disk.WriteFile has them. A file of that
// kind that a crash left may be removed.
func temporary(name string) string {
	var mark [6]byte
	_, _ = rand.Read(mark[:]) // never fails
	return filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+hex.EncodeToString(mark[:])+".tmp")
}

func syncFile(name string) error {
	f, err := disk.OS().OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// companions makes the files that SQLite needs beside path, with the owner and
// the mode of path; SQLite itself would leave root's to root. They are never
// removed again (PERSIST_WAL). Failures show when SQLite opens them.
func companions(path string) {
	path = resolve(path)
	for _, suffix := range []string{"-wal", "-shm"} {
		_, _ = touch(path+suffix, path)
	}
}

// resolve follows symbolic links, as SQLite does: companions lie beside the
// file itself.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// lockName holds the name path still: openers of the file share it, who puts
// another file in its place excludes them, so that no connection mixes up the
// companions of two files. The lock is not held while the store is used.
func lockName(ctx context.Context, path string, kind disk.LockKind) (unlock func(), err error) {
	name := path + "-lock"
	if _, err := touch(name, path); err != nil {
		return nil, err
	}
	f, err := disk.OS().OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	if err := disk.Lock(ctx, f, kind); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// touch makes an empty file that belongs to the owner of like, if it is not
// there.
func touch(path, like string) (made bool, err error) {
	f, err := disk.OS().OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if of, ok := disk.OSFile(f); ok {
		if uid, gid, ok := ownerOf(like); ok && os.Geteuid() == 0 {
			err = of.Chown(uid, gid)
		}
	}
	return true, errors.Join(err, f.Close())
}

func ownerOf(path string) (uid, gid int, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}
