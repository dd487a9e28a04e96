package localdb

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Backup writes a copy of the store as it is at this moment to the file to,
// which it replaces; logins and changes go on meanwhile. The copy is one file,
// durable when Backup returns.
func (s *Store) Backup(ctx context.Context, to string) error {
	before, err := s.pool.stat()
	if err != nil {
		return s.explain(err)
	}
	if info, err := os.Stat(to); err == nil && disk.IDOf(info) == before.id {
		return fail.New(fail.Invalid, "%s is the store itself", to)
	}
	c, err := openConn(ctx, s.path, s.pool.steps, s.now())
	if err != nil {
		return s.explain(err)
	}
	defer c.close()
	tmp, err := copyBeside(ctx, c, to)
	if err != nil {
		return s.explain(err)
	}
	if err := syncFile(tmp); err != nil {
		_ = os.Remove(tmp)
		return fail.Wrap(fail.Unavailable, err, "writing backup %s", to)
	}
	return fail.Wrap(fail.Unavailable, rename(tmp, to), "writing backup %s", to)
}

// copyBeside writes what c reads into a new file in the folder of to.
func copyBeside(ctx context.Context, c *conn, to string) (tmp string, err error) {
	tmp = temporary(to)
	like := to
	if _, _, ok := ownerOf(to); !ok {
		like = filepath.Dir(to)
	}
	if _, err := touch(tmp, like); err != nil {
		return "", err
	}
	if err := c.use(ctx, func() error { return c.run("VACUUM INTO ?1", tmp) }); err != nil {
		_ = os.Remove(tmp)
		return "", err
	}
	return tmp, nil
}

func rename(tmp, name string) error {
	if err := disk.OS().Rename(tmp, name); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return disk.OS().SyncDir(filepath.Dir(name))
}

// Restore puts a copy of the backup from in the place of the store, whatever
// state that is in. The backup is checked first, and brought to the present
// version of the format. A daemon that runs uses it from its next request on.
func (s *Store) Restore(ctx context.Context, from string) (Facts, error) {
	tmp, f, err := s.prepare(ctx, from)
	if err != nil {
		return f, fail.Wrap(fail.KindOf(err), err, "backup %s", from)
	}
	return f, s.explain(s.replace(ctx, tmp))
}

// prepare makes a checked copy of a backup beside the store.
func (s *Store) prepare(ctx context.Context, from string) (tmp string, f Facts, err error) {
	src, err := dial(from, sqlite3.OPEN_READONLY)
	if err != nil {
		return "", f, err
	}
	defer src.close()
	state, err := src.condition()
	if err == nil {
		err = state.check(len(s.pool.steps))
	}
	if err != nil {
		return "", f, err
	}
	if tmp, err = copyBeside(ctx, src, resolve(s.path)); err != nil {
		return "", f, err
	}
	if f, err = s.examine(ctx, tmp); err == nil {
		err = syncFile(tmp)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return tmp, f, err
}

// examine upgrades and checks a copy that nobody else uses.
func (s *Store) examine(ctx context.Context, tmp string) (f Facts, err error) {
	c, err := dial(tmp, sqlite3.OPEN_READWRITE)
	if err != nil {
		return f, err
	}
	defer c.close()
	err = c.use(ctx, func() error {
		if err := c.upgrade(s.pool.steps, s.now()); err != nil {
			return err
		}
		f, err = c.facts()
		return err
	})
	if err == nil && len(f.Problems) > 0 {
		err = fail.New(fail.Invalid, "it has %d problems: %s", len(f.Problems), f.Problems[0])
	}
	return f, err
}

// replace renames tmp to the store. Meanwhile nobody opens the store, and
// nobody who has it open can begin a change.
func (s *Store) replace(ctx context.Context, tmp string) error {
	unlock, err := lockName(ctx, s.path, disk.Exclusive)
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	defer unlock()
	release, err := s.hold(ctx)
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	defer release()
	path := resolve(s.path)
	// The log is empty, or belongs to a file that cannot be read. Connections
	// to the old file keep the old companions.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := disk.OS().Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(tmp)
			return err
		}
	}
	return rename(tmp, path)
}

// hold takes the write lock of the present file with nothing left in its log.
// A file that SQLite cannot read has no lock to take.
func (s *Store) hold(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	c, err := dial(s.path, sqlite3.OPEN_READWRITE)
	for err == nil {
		err = c.use(ctx, func() error {
			if err := c.run("PRAGMA user_version"); err != nil {
				return err
			}
			c.checkpoint()
			return c.run("BEGIN IMMEDIATE")
		})
		if err == nil && logEmpty(resolve(s.path)) {
			return c.close, nil // which rolls back
		}
		if err == nil {
			err = c.use(ctx, func() error { return c.run("ROLLBACK") })
		}
	}
	if c != nil {
		c.close()
	}
	for _, code := range []sqlite3.ErrorCode{sqlite3.NOTADB, sqlite3.CORRUPT, sqlite3.CANTOPEN} {
		if errors.Is(err, code) {
			return func() {}, nil
		}
	}
	return nil, err
}

func logEmpty(path string) bool {
	info, err := os.Stat(path + "-wal")
	return err != nil || info.Size() == 0
}
