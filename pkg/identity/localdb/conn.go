package localdb

import (
	"context"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	// busyTimeout is how long a connection waits for another process's
	// transaction. The longest is an import.
	busyTimeout = 10 * time.Second
	// checkpointPatience is how long a writer waits for readers when it moves
	// its change out of the log; the change is durable before.
	checkpointPatience = 100 * time.Millisecond
	// maxValue caps one value of the file, and with it a lookup's memory.
	maxValue = 1 << 20
)

// conn is one connection. It belongs to one goroutine at a time.
type conn struct {
	db     *sqlite3.Conn
	stmts  map[string]*sqlite3.Stmt
	broken bool // not to be used again
}

// settings of a connection. FULL makes a commit durable in the log; DEFENSIVE
// (below), trusted_schema and cell_size_check are SQLite's advice for files
// that somebody else may have written; secure_delete overwrites what is
// deleted, since deleted hashes are still hashes.
const settings = `
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA secure_delete = ON;
PRAGMA temp_store = MEMORY;
PRAGMA journal_size_limit = 0;
PRAGMA cache_size = -16384;
`

// dial opens an SQLite file of whatever content.
func dial(path string, flags sqlite3.OpenFlag) (_ *conn, err error) {
	c := &conn{stmts: map[string]*sqlite3.Stmt{}}
	defer c.rescue(&err)
	if c.db, err = sqlite3.OpenFlags(path, flags); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	c.db.Limit(sqlite3.LIMIT_LENGTH, maxValue)
	if err := c.db.BusyTimeout(busyTimeout); err != nil {
		return nil, err
	}
	if _, err := c.db.Config(sqlite3.DBCONFIG_DEFENSIVE, true); err != nil {
		return nil, err
	}
	if _, err := c.db.FileControl("main", sqlite3.FCNTL_PERSIST_WAL, true); err != nil {
		return nil, err
	}
	return c, c.db.Exec(settings)
}

// openConn opens the store at path, which must exist, and takes it to the
// present version.
func openConn(ctx context.Context, path string, steps []string, now int64) (*conn, error) {
	unlock, err := lockName(ctx, path, disk.Shared)
	if err != nil {
		return nil, err
	}
	defer unlock()
	companions(path)
	c, err := dial(path, sqlite3.OPEN_READWRITE)
	if err != nil {
		return nil, err
	}
	err = c.use(ctx, func() error {
		s, err := c.condition()
		if err == nil {
			err = s.check(len(steps))
		}
		if err == nil {
			err = c.useLog()
		}
		if err == nil && s.version < int64(len(steps)) {
			err = c.upgrade(steps, now)
		}
		return err
	})
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// useLog turns write-ahead logging on, which is a property of the file.
func (c *conn) useLog() error {
	mode, err := c.text("PRAGMA journal_mode = WAL")
	if err == nil && mode != "wal" {
		err = fail.New(fail.Unavailable, "it cannot be used with a write-ahead log: its file system has no shared memory, journal mode stays %q", mode)
	}
	return err
}

func (c *conn) close() {
	defer func() { _ = recover() }() // of a connection that has panicked before
	for _, s := range c.stmts {
		_ = s.Close()
	}
	_ = c.db.Close()
}

// rescue turns a panic into an error: a file that was made to break SQLite
// costs a connection, not the daemon.
func (c *conn) rescue(err *error) {
	if p := recover(); p != nil {
		c.broken = true
		*err = fail.New(fail.Unavailable, "SQLite failed: %v", p)
	}
}

// use runs f, which ctx may interrupt.
func (c *conn) use(ctx context.Context, f func() error) (err error) {
	defer c.rescue(&err)
	c.db.SetInterrupt(ctx)
	defer c.db.SetInterrupt(context.Background())
	return f()
}

// stmt returns the prepared statement, made at its first use.
func (c *conn) stmt(sql string) (*sqlite3.Stmt, error) {
	if s := c.stmts[sql]; s != nil {
		return s, nil
	}
	s, _, err := c.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	c.stmts[sql] = s
	return s, nil
}

// query calls row for each row of the answer, until it returns false. sql is
// one of few constants: its statement is kept.
func (c *conn) query(sql string, row func(*sqlite3.Stmt) bool, args ...any) error {
	s, err := c.stmt(sql)
	if err != nil {
		return err
	}
	if err := bind(s, args); err != nil {
		return err
	}
	for s.Step() {
		if !row(s) {
			break
		}
	}
	err = s.Err()
	if rerr := s.Reset(); err == nil { // which tells the same error again
		err = rerr
	}
	return err
}

func bind(s *sqlite3.Stmt, args []any) (err error) {
	for i, a := range args {
		switch v := a.(type) {
		case string:
			err = s.BindText(i+1, v)
		case int64:
			err = s.BindInt64(i+1, v)
		case int:
			err = s.BindInt(i+1, v)
		case bool:
			err = s.BindBool(i+1, v)
		case nil:
			err = s.BindNull(i + 1)
		default:
			err = fmt.Errorf("value of type %T", a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run executes a statement without an answer.
func (c *conn) run(sql string, args ...any) error {
	return c.query(sql, func(*sqlite3.Stmt) bool { return true }, args...)
}

// change is run for a statement that must change a row; it reports whether it
// did.
func (c *conn) change(sql string, args ...any) (bool, error) {
	err := c.run(sql, args...)
	return c.db.Changes() > 0, err
}

// number is the first column of the first row, 0 when there is none.
func (c *conn) number(sql string, args ...any) (n int64, err error) {
	err = c.query(sql, func(s *sqlite3.Stmt) bool { n = s.ColumnInt64(0); return false }, args...)
	return n, err
}

// text is number for text.
func (c *conn) text(sql string, args ...any) (t string, err error) {
	err = c.query(sql, func(s *sqlite3.Stmt) bool { t = s.ColumnText(0); return false }, args...)
	return t, err
}

// immediate runs f in a write transaction.
func (c *conn) immediate(f func() error) (err error) {
	if err := c.run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	return c.finish(f())
}

// snapshot runs f in a read transaction: all it reads is of one moment.
func (c *conn) snapshot(f func() error) error {
	if err := c.run("BEGIN"); err != nil {
		return err
	}
	return c.finish(f())
}

func (c *conn) finish(err error) error {
	if err == nil {
		err = c.run("COMMIT")
	}
	if err == nil {
		return nil
	}
	// A full disk or an interruption may have rolled back already.
	c.db.SetInterrupt(context.Background())
	if !c.db.GetAutocommit() && c.run("ROLLBACK") != nil {
		c.broken = true
	}
	return err
}

// checkpoint moves what is committed into the file and empties the log, so
// that a copy of the file alone is whole, and no old log lies beside a file
// that replaces this one. When readers are in the way the next one does it.
func (c *conn) checkpoint() {
	if c.db.BusyTimeout(checkpointPatience) == nil {
		_, _, _ = c.db.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE)
	}
	if c.db.BusyTimeout(busyTimeout) != nil {
		c.broken = true
	}
}
