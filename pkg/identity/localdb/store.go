package localdb

import (
	"context"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/apppassword"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// driverName is what the log calls the store.
const driverName = "local"

// maxReaders caps the lookups that run at a time. One takes some 20 µs.
const maxReaders = 4

// Options are what a program adds to the configuration.
type Options struct {
	Defaults userdb.Defaults  // what users get for whom the store does not say
	Create   bool             // make the file at the first use if it is missing
	Now      func() time.Time // nil: time.Now
	Report   func(error)      // called when a last use could not be noted; nil: nobody cares
}

// Store is the user store. It is safe for concurrent use, by several processes
// at the same time too.
//
// Errors of its methods: fail.NotFound for an object that is known not to
// exist, fail.Exists and fail.Invalid for what cannot be done; anything else
// is an outage and names the file. Calls return when ctx ends.
type Store struct {
	path     string
	opt      Options
	onlyApps map[apppassword.Scope]bool
	pool     *pool
	uses     *lastUse
}

// Open makes a Store. The file is opened at its first use, and each time after
// a failure, so that a daemon can start before the file is well. Close ends it.
func Open(cfg Config, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	s := &Store{path: cfg.File, opt: o, onlyApps: map[apppassword.Scope]bool{}, pool: newPool(cfg.File, maxReaders, o.Create, o.Now)}
	for _, name := range cfg.AppPasswordsOnly {
		scope, err := apppassword.ParseScope(name)
		if err != nil {
			return nil, err
		}
		s.onlyApps[scope] = true
	}
	s.uses = newLastUse(s)
	return s, nil
}

// Close notes the last uses that are pending and closes the file.
func (s *Store) Close() {
	s.uses.close()
	s.pool.close()
}

// Path is the file's name.
func (s *Store) Path() string { return s.path }

// Ready says what is wrong with the store, if anything.
func (s *Store) Ready(ctx context.Context) error {
	return s.read(ctx, func(*conn) error { return nil })
}

// read runs f on one state of the store.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
	return s.explain(s.pool.read(ctx, f))
}

// write runs f in a transaction; the change is durable when it returns nil.
func (s *Store) write(ctx context.Context, f func(*conn) error) error {
	return s.explain(s.pool.write(ctx, f))
}

func (s *Store) now() int64 { return s.opt.Now().Unix() }

// missing is the answer when nothing was found: no such object, unless there
// is nothing in the store at all. An empty one is more likely a store that was
// never filled, or lost, than one whose every user is gone; mail must wait.
func missing(c *conn, format string, args ...any) error {
	filled, err := c.number("SELECT EXISTS (SELECT 1 FROM domains) OR EXISTS (SELECT 1 FROM users)")
	switch {
	case err != nil:
		return err
	case filled == 0:
		return fail.New(fail.Unavailable, "it is empty: add a user (authd user add) or a domain (authd domain add)")
	}
	return object(fail.NotFound, format, args...)
}

// checkAddress says what is wrong with a name of a user or an alias.
func checkAddress(name string) error { return asObject(account.CheckName(name)) }

// explain turns what went wrong into an error that names the file and says
// what to do. Errors about an object (no such user) are left as they are.
func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	var known *about
	if errors.As(err, &known) {
		return known.err
	}
	kind, hint := fail.Unavailable, ""
	var code sqlite3.ErrorCode
	if errors.As(err, &code) {
		kind, hint = meaning(code)
	}
	return fail.Wrap(kind, err, "users store %s%s", s.path, hint)
}

// about is an error about an object of the store, not about the store.
type about struct{ err error }

func (a *about) Error() string { return a.err.Error() }
func (a *about) Unwrap() error { return a.err }

func object(kind fail.Kind, format string, args ...any) error {
	return &about{fail.New(kind, format, args...)}
}

// asObject marks an error that came from elsewhere.
func asObject(err error) error {
	if err == nil {
		return nil
	}
	return &about{err}
}

// meaning of SQLite's primary result codes. All are outages.
func meaning(code sqlite3.ErrorCode) (kind fail.Kind, hint string) {
	switch code {
	case sqlite3.NOTADB:
		return fail.Unavailable, " is not an SQLite file: restore a backup (authd store restore)"
	case sqlite3.CORRUPT:
		return fail.Unavailable, " is damaged: see authd store check, then restore a backup (authd store restore)"
	case sqlite3.BUSY, sqlite3.LOCKED, sqlite3.PROTOCOL:
		return fail.Unavailable, " is locked by another process for too long"
	case sqlite3.CANTOPEN, sqlite3.PERM, sqlite3.AUTH, sqlite3.READONLY:
		return fail.Unavailable, " cannot be opened for writing: it, its -wal and its -shm must belong to the user that authd runs as"
	case sqlite3.FULL:
		return fail.Full, " cannot grow: the disk is full"
	case sqlite3.INTERRUPT:
		return fail.Unavailable, ": given up, as the caller did"
	case sqlite3.CONSTRAINT:
		return fail.Invalid, " does not take this"
	}
	return fail.Unavailable, ""
}
