package disk

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// tmpFlags make a new file that nobody else can have prepared.
const tmpFlags = os.O_WRONLY | os.O_CREATE | os.O_EXCL

// WriteFile replaces name by data: readers see the old bytes or the new ones,
// also after a crash, and the new ones are durable when it returns nil. The
// temporary file is ".<base>.<random>.tmp" in the same folder; one may stay
// behind after a crash. Crash points: disk.write.before_sync,
// disk.write.before_rename, disk.write.before_syncdir.
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	return WriteFileFunc(fsys, name, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFileFunc is WriteFile for content that is produced on the way.
func WriteFileFunc(fsys FS, name string, perm fs.FileMode, write func(io.Writer) error) error {
	dir, base := filepath.Split(name)
	var mark [6]byte
	_, _ = rand.Read(mark[:]) // never fails
	tmp := dir + "." + base + "." + hex.EncodeToString(mark[:]) + ".tmp"
	if err := writeTmp(fsys, tmp, perm, write); err != nil {
		_ = fsys.Remove(tmp)
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	Point(fsys, "disk.write.before_rename")
	if err := fsys.Rename(tmp, name); err != nil {
		_ = fsys.Remove(tmp)
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	Point(fsys, "disk.write.before_syncdir")
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	return nil
}

func writeTmp(fsys FS, tmp string, perm fs.FileMode, write func(io.Writer) error) error {
	f, err := fsys.OpenFile(tmp, tmpFlags, perm)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	Point(fsys, "disk.write.before_sync")
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// ReadFile reads the whole of name, refusing more than max bytes with an
// error of kind Invalid.
func ReadFile(fsys FS, name string, max int64) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, fail.New(fail.Invalid, "%s: larger than the limit of %d bytes", name, max)
	}
	return data, nil
}
