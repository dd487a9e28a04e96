package localdb

import (
	"strconv"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// applicationID marks the file as ours (PRAGMA application_id): "PcUs".
const applicationID = 0x50635573

// steps make the schema: steps[n] takes a file from version n to n+1. A step
// that was released does not change any more. docs/formats/users-db.md tells
// what the columns mean.
func steps() []string {
	return []string{version1, version2}
}

const version1 = `
CREATE TABLE meta(
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE domains(
	name    TEXT PRIMARY KEY CHECK (name <> ''),
	class   TEXT NOT NULL CHECK (class IN ('mailbox', 'alias', 'relay')),
	enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
	created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users(
	address          TEXT PRIMARY KEY CHECK (address <> ''),
	domain           TEXT REFERENCES domains(name),
	password         TEXT NOT NULL DEFAULT '',
	password_changed INTEGER NOT NULL,
	enabled          INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
	quota_storage    INTEGER CHECK (quota_storage > 0),
	quota_messages   INTEGER CHECK (quota_messages > 0),
	uid              INTEGER CHECK (uid > 0),
	gid              INTEGER CHECK (gid > 0),
	home             TEXT,
	fields           TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(fields) AND json_type(fields) = 'object'),
	created          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_domain ON users(domain);

CREATE TABLE aliases(
	address TEXT NOT NULL CHECK (address <> ''),
	target  TEXT NOT NULL CHECK (target <> ''),
	domain  TEXT NOT NULL REFERENCES domains(name),
	deliver INTEGER NOT NULL CHECK (deliver IN (0, 1)),
	send    INTEGER NOT NULL CHECK (send IN (0, 1)),
	created INTEGER NOT NULL,
	PRIMARY KEY (address, target),
	CHECK (deliver OR send)
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_target ON aliases(target);
CREATE INDEX aliases_domain ON aliases(domain);

CREATE TABLE app_passwords(
	id           INTEGER PRIMARY KEY,
	user         TEXT NOT NULL REFERENCES users(address) ON DELETE CASCADE,
	name         TEXT NOT NULL CHECK (name <> ''),
	stored       TEXT NOT NULL,
	scopes       TEXT NOT NULL CHECK (scopes <> ''),
	created      INTEGER NOT NULL,
	expires      INTEGER,
	revoked      INTEGER,
	last_used    INTEGER,
	last_service TEXT,
	last_address TEXT
) STRICT;
CREATE UNIQUE INDEX app_passwords_active ON app_passwords(user, name) WHERE revoked IS NULL;
CREATE INDEX app_passwords_user ON app_passwords(user);
`

// version2 keeps what SCRAM needs of an app password. One of before lets its
// user in by other mechanisms only.
const version2 = `
ALTER TABLE app_passwords ADD COLUMN scram TEXT;
`

// condition is what a file is before we use it.
type condition struct {
	application int64
	version     int64
	tables      int64
}

func (c *conn) condition() (s condition, err error) {
	for _, q := range []struct {
		sql string
		to  *int64
	}{
		{"PRAGMA application_id", &s.application},
		{"PRAGMA user_version", &s.version},
		{"SELECT count(*) FROM sqlite_schema", &s.tables},
	} {
		if *q.to, err = c.number(q.sql); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s condition) fresh() bool { return s == condition{} }

// check says why a file of this condition is none that these steps can use.
func (s condition) check(known int) error {
	switch {
	case s.fresh():
		return fail.New(fail.Unavailable, "it is empty: restore a backup (authd store restore), or remove it to begin anew")
	case s.application != applicationID:
		return fail.New(fail.Unavailable, "it is an SQLite file of another program, not a users store")
	case s.version > int64(known):
		return fail.New(fail.Unavailable, "it has format version %d, this authd knows versions up to %d: upgrade authd, or restore a backup of before", s.version, known)
	case s.version < 1:
		return fail.New(fail.Unavailable, "it has format version %d, which never was: restore a backup (authd store restore)", s.version)
	}
	return nil
}

// upgrade brings the file, which may be an empty new one, to the version of the
// last step, in one transaction. now is in Unix seconds.
func (c *conn) upgrade(steps []string, now int64) error {
	return c.immediate(func() error {
		s, err := c.condition() // another process may have been quicker
		if err == nil && !s.fresh() {
			err = s.check(len(steps))
		}
		if err != nil {
			return err
		}
		for v := s.version; v < int64(len(steps)); v++ {
			if err := c.step(steps[v], v+1, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *conn) step(sql string, version, now int64) error {
	if err := c.db.Exec(sql); err != nil {
		return err
	}
	if err := c.run("INSERT INTO meta(key, value) VALUES ('version_' || ?1, ?2)", version, strconv.FormatInt(now, 10)); err != nil {
		return err
	}
	return c.db.Exec("PRAGMA application_id = " + strconv.Itoa(applicationID) + "; PRAGMA user_version = " + strconv.FormatInt(version, 10))
}
