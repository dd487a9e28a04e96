package sqlpool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// sqliteDriver reads a file of SQLite.
type sqliteDriver struct{ cfg Config }

func (*sqliteDriver) placeholder(int) string { return "?" }

// maxOpens is how often the file may be exchanged while it is being opened.
const maxOpens = 5

func (d *sqliteDriver) connect(ctx context.Context, _ address) (session, error) {
	for range maxOpens {
		before, err := fileID(d.cfg.Path)
		if err != nil {
			return nil, err
		}
		s, err := d.open(ctx)
		if err != nil {
			return nil, err
		}
		s.id = before
		if s.usable() {
			return s, nil
		}
		s.close()
	}
	return nil, fail.New(fail.Unavailable, "%s is replaced again and again", d.cfg.Path)
}

// fileID is which file the path leads to. It has to be there: SQLite would
// take one that is missing for an empty database.
func fileID(path string) (disk.ID, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return disk.ID{}, err
	case !info.Mode().IsRegular():
		return disk.ID{}, &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	return disk.IDOf(info), nil
}

func (d *sqliteDriver) open(ctx context.Context) (_ *sqliteSession, err error) {
	defer caught(&err)
	flags := sqlite3.OPEN_READONLY
	if d.cfg.Writable {
		flags = sqlite3.OPEN_READWRITE
	}
	conn, err := sqlite3.OpenFlags(d.cfg.Path, flags)
	if err != nil {
		return nil, err
	}
	s := &sqliteSession{path: d.cfg.Path, conn: conn, known: map[*Statement]*sqlite3.Stmt{}}
	if err := conn.BusyTimeout(d.cfg.QueryTimeout.Std()); err != nil {
		s.close()
		return nil, err
	}
	// What stands in the file's schema is not ours.
	if _, err := conn.Config(sqlite3.DBCONFIG_TRUSTED_SCHEMA, false); err != nil {
		s.close()
		return nil, err
	}
	return s, ctx.Err()
}

// caught turns a panic of the translated library, as a damaged file may cause
// one, into an error.
func caught(err *error) {
	if r := recover(); r != nil {
		*err = fail.New(fail.Corrupt, "SQLite gave up: %v", r)
	}
}

// judge goes by the result code.
func (*sqliteDriver) judge(err error) verdict {
	var code sqlite3.ErrorCode
	if !errors.As(err, &code) {
		return stale
	}
	switch code {
	case sqlite3.NOTADB, sqlite3.CORRUPT, sqlite3.CANTOPEN, sqlite3.IOERR, sqlite3.INTERNAL, sqlite3.NOMEM, sqlite3.MISUSE:
		return stale
	}
	return answered
}

func (*sqliteDriver) untranslatable(error) bool { return false }

// public: messages name tables and columns, never values.
func (*sqliteDriver) public(err error) string { return err.Error() }

// sqliteSession is an open file.
type sqliteSession struct {
	path   string
	id     disk.ID
	conn   *sqlite3.Conn
	known  map[*Statement]*sqlite3.Stmt
	broken bool
}

// usable: the path still leads to the file that is open here.
func (s *sqliteSession) usable() bool {
	id, err := fileID(s.path)
	return !s.broken && err == nil && id == s.id
}

func (s *sqliteSession) close() {
	var err error
	defer caught(&err)
	for _, stmt := range s.known {
		_ = stmt.Close()
	}
	_ = s.conn.Close()
}

func (s *sqliteSession) query(ctx context.Context, st *Statement, args []string, row func(Row) bool) (err error) {
	return s.run(ctx, st, args, func(stmt *sqlite3.Stmt) error {
		columns := make([]string, stmt.ColumnCount())
		for i := range columns {
			columns[i] = stmt.ColumnName(i)
		}
		r, err := newReader(columns)
		if err != nil {
			return err
		}
		for stmt.Step() {
			if err := sqliteRow(stmt, r); err != nil {
				return err
			}
			if !row(r.row()) {
				return nil
			}
		}
		return stmt.Err()
	})
}

func sqliteRow(stmt *sqlite3.Stmt, r *reader) error {
	r.begin()
	for i := range r.columns {
		switch stmt.ColumnType(i) {
		case sqlite3.NULL:
			r.null()
		case sqlite3.BLOB:
			return r.wrongType(i, "BLOB")
		default:
			if err := r.text(stmt.ColumnRawText(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// run calls use with the statement, ready to be stepped, and lets go of the
// file's locks afterwards.
func (s *sqliteSession) run(ctx context.Context, st *Statement, args []string, use func(*sqlite3.Stmt) error) (err error) {
	defer func() {
		if fail.Is(err, fail.Corrupt) {
			s.broken = true
		}
	}()
	defer caught(&err)
	s.conn.SetInterrupt(ctx)
	defer s.conn.SetInterrupt(context.Background())
	stmt, err := s.prepare(st)
	if err != nil {
		return s.explain(err)
	}
	defer func() {
		_ = stmt.Reset()
		_ = stmt.ClearBindings()
	}()
	for i, a := range args {
		if err := stmt.BindText(i+1, a); err != nil {
			return err
		}
	}
	return s.explain(use(stmt))
}

func (s *sqliteSession) prepare(st *Statement) (*sqlite3.Stmt, error) {
	stmt := s.known[st]
	if stmt == nil {
		var tail string
		var err error
		stmt, tail, err = s.conn.Prepare(st.text)
		switch {
		case err != nil:
			return nil, err
		case stmt == nil:
			return nil, unusable("the query is empty")
		case tail != "":
			_ = stmt.Close()
			return nil, unusable("there is more than one statement in the query")
		}
		if len(s.known) >= maxStatements {
			s.forget()
		}
		s.known[st] = stmt
	}
	return stmt, st.checkArgs(stmt.BindCount())
}

func (s *sqliteSession) forget() {
	for _, stmt := range s.known {
		_ = stmt.Close()
	}
	clear(s.known)
}

// explain adds what to do about errors that are hard to understand.
func (s *sqliteSession) explain(err error) error {
	var code sqlite3.ErrorCode
	if errors.As(err, &code) && (code == sqlite3.CANTOPEN || code == sqlite3.READONLY) {
		return fmt.Errorf("%w (a database in WAL mode needs its -wal and -shm files, or a folder that may be written)", err)
	}
	return err
}

func (s *sqliteSession) exec(ctx context.Context, st *Statement, args []string, want func(int64) error) error {
	if err := s.command(ctx, "BEGIN IMMEDIATE"); err != nil {
		return s.explain(err)
	}
	err := s.run(ctx, st, args, func(stmt *sqlite3.Stmt) error {
		if err := stmt.Exec(); err != nil {
			return err
		}
		return want(s.conn.Changes())
	})
	if err != nil {
		_ = s.command(context.Background(), "ROLLBACK")
		return err
	}
	return s.command(ctx, "COMMIT")
}

// command runs a statement of ours; a session that cannot end a transaction
// is not used again.
func (s *sqliteSession) command(ctx context.Context, text string) (err error) {
	defer caught(&err)
	s.conn.SetInterrupt(ctx)
	defer s.conn.SetInterrupt(context.Background())
	if err := s.conn.Exec(text); err != nil {
		s.broken = true
		return err
	}
	return nil
}
