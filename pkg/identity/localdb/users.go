package localdb

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"
	"unicode"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// User is a row of users.
type User struct {
	Address string // canonical
	Stored  string // "{SCHEME}…"; empty: the main password lets nobody in
	Enabled bool   // false: nobody can log in; mail still arrives
	Quota   Quota
	UID     int    // 0: the default
	GID     int    // 0: the default
	Home    string // empty: the default
	// Fields are extra fields by Dovecot's names, those for the user database
	// with the prefix userdb_.
	Fields          []account.Field
	PasswordChanged time.Time
	Created         time.Time
	AppPasswords    int // that are not revoked and not expired; in Users and User only

	domainEnabled bool
}

// Quota limits a mailbox. 0 is no limit of its own.
type Quota struct {
	Storage  int64 // bytes
	Messages int64
}

const userColumns = `u.address, u.password, u.enabled, ifnull(u.quota_storage, 0), ifnull(u.quota_messages, 0), ifnull(u.uid, 0),
	ifnull(u.gid, 0), ifnull(u.home, ''), u.fields, u.password_changed, u.created, ifnull(d.enabled, 1)`

const userTables = ` FROM users u LEFT JOIN domains d ON d.name = u.domain `

// countApps counts the app passwords of u that are in force at ?1.
const countApps = `(SELECT count(*) FROM app_passwords a WHERE a.user = u.address AND a.revoked IS NULL AND ifnull(a.expires, ?1 + 1) > ?1)`

func scanUser(row *sqlite3.Stmt) (User, error) {
	u := User{
		Address: row.ColumnText(0), Stored: row.ColumnText(1), Enabled: row.ColumnBool(2),
		Quota: Quota{row.ColumnInt64(3), row.ColumnInt64(4)}, UID: row.ColumnInt(5), GID: row.ColumnInt(6), Home: row.ColumnText(7),
		PasswordChanged: time.Unix(row.ColumnInt64(9), 0), Created: time.Unix(row.ColumnInt64(10), 0), domainEnabled: row.ColumnBool(11),
	}
	var err error
	u.Fields, err = decodeFields(row.ColumnText(8))
	return u, fail.Wrap(fail.Unavailable, err, "user %s", u.Address)
}

// user finds a user by canonical name.
func (c *conn) user(name string) (u User, err error) {
	var problem error
	found := false
	err = c.query("SELECT "+userColumns+userTables+"WHERE u.address = ?1", func(row *sqlite3.Stmt) bool {
		u, problem = scanUser(row)
		found = true
		return false
	}, name)
	switch {
	case err != nil:
		return u, err
	case problem != nil:
		return u, problem
	case !found:
		return u, missing(c, "no user %s", name)
	}
	return u, nil
}

// User returns one user.
func (s *Store) User(ctx context.Context, name string) (u User, err error) {
	name = account.Canonical(name)
	err = s.read(ctx, func(c *conn) (err error) {
		if u, err = c.user(name); err == nil {
			var n int64
			n, err = c.number("SELECT "+countApps+" FROM users u WHERE u.address = ?2", s.now(), u.Address)
			u.AppPasswords = int(n)
		}
		return err
	})
	return u, err
}

// Users yields all users by name; an error is the last thing yielded.
func (s *Store) Users(ctx context.Context) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		after := ""
		for {
			page, err := s.userPage(ctx, after)
			if err != nil {
				yield(User{}, err)
				return
			}
			for _, u := range page {
				if !yield(u, nil) {
					return
				}
			}
			if len(page) < listPage {
				return
			}
			after = page[len(page)-1].Address
		}
	}
}

func (s *Store) userPage(ctx context.Context, after string) (page []User, err error) {
	err = s.read(ctx, func(c *conn) error {
		var problem error
		err := c.query("SELECT "+userColumns+", "+countApps+userTables+"WHERE u.address > ?2 ORDER BY u.address LIMIT ?3", func(row *sqlite3.Stmt) bool {
			var u User
			u, problem = scanUser(row)
			u.AppPasswords = row.ColumnInt(12)
			page = append(page, u)
			return problem == nil
		}, s.now(), after, listPage)
		if err == nil {
			err = problem
		}
		return err
	})
	return page, err
}

// AddUser adds a user. Its domain is added with it, as one with mailboxes.
// Times and AppPasswords of u are not used.
func (s *Store) AddUser(ctx context.Context, u User) error {
	return s.write(ctx, func(c *conn) error { return c.addUser(u, s.now()) })
}

// Added is what became of users that were added together.
type Added struct {
	Added   int
	Existed []string // left as they are
	Refused []error  // of those that cannot be stored
}

// errDry ends a transaction that was a rehearsal.
var errDry = errors.New("rehearsal")

// AddUsers is AddUser for many, in one transaction. If dry, nothing is stored,
// but the answer is the same.
func (s *Store) AddUsers(ctx context.Context, users []User, dry bool) (Added, error) {
	var result Added
	err := s.write(ctx, func(c *conn) error {
		result = Added{}
		for _, u := range users {
			err := c.addUser(u, s.now())
			var known *about
			switch {
			case err == nil:
				result.Added++
			case fail.Is(err, fail.Exists):
				result.Existed = append(result.Existed, account.Canonical(u.Address))
			case errors.As(err, &known):
				result.Refused = append(result.Refused, known.err)
			default:
				return err
			}
		}
		if dry {
			return asObject(errDry)
		}
		return nil
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	return result, err
}

func (c *conn) addUser(u User, now int64) error {
	u.Address = account.Canonical(u.Address)
	if err := u.check(); err != nil {
		return err
	}
	there, err := c.number("SELECT count(*) FROM users WHERE address = ?1", u.Address)
	if err != nil {
		return err
	}
	if there > 0 {
		return object(fail.Exists, "user %s exists already", u.Address)
	}
	_, name := account.Split(u.Address)
	if err := c.domainFor(name, now); err != nil {
		return err
	}
	fields, err := encodeFields(u.Fields)
	if err != nil {
		return err
	}
	return c.run(`INSERT INTO users(address, domain, password, password_changed, enabled, quota_storage, quota_messages, uid, gid, home, fields, created)
		VALUES (?1, nullif(?2, ''), ?3, ?4, ?5, nullif(?6, 0), nullif(?7, 0), nullif(?8, 0), nullif(?9, 0), nullif(?10, ''), ?11, ?4)`,
		u.Address, name, u.Stored, now, u.Enabled, u.Quota.Storage, u.Quota.Messages, u.UID, u.GID, u.Home, fields)
}

// check says what in u cannot be stored.
func (u User) check() error {
	if err := checkAddress(u.Address); err != nil {
		return err
	}
	if u.UID < 0 || u.GID < 0 {
		return object(fail.Invalid, "user %s: uid and gid are numbers above 0", u.Address)
	}
	if err := account.CheckHome(u.Home); err != nil {
		return asObject(fail.Wrap(fail.Invalid, err, "user %s", u.Address))
	}
	if err := u.Quota.check(); err != nil {
		return err
	}
	for _, f := range u.Fields {
		if err := checkField(f); err != nil {
			return asObject(fail.Wrap(fail.Invalid, err, "user %s", u.Address))
		}
	}
	return nil
}

func (q Quota) check() error {
	if q.Storage < 0 || q.Messages < 0 {
		return object(fail.Invalid, "a quota is a number above 0, or 0 for none")
	}
	return nil
}

// checkField refuses fields that have a column, and those that would loosen
// the password check.
func checkField(f account.Field) error {
	key := strings.TrimPrefix(f.Key, "userdb_")
	switch {
	case key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || r == '=' }):
		return fail.New(fail.Invalid, "extra field %.40q has no proper key", f.Key)
	case strings.ContainsFunc(f.Value, unicode.IsControl):
		return fail.New(fail.Invalid, "extra field %s contains control characters", f.Key)
	}
	switch key {
	case "password", "pass", "nopassword", "user", "username", "domain", "uid", "gid", "home":
		return fail.New(fail.Invalid, "extra field %s is not supported", f.Key)
	}
	return nil
}

// userdbFields are those with the prefix userdb_, without it.
func userdbFields(fs []account.Field) []account.Field {
	var out []account.Field
	for _, f := range fs {
		if key, ok := strings.CutPrefix(f.Key, "userdb_"); ok {
			f.Key = key
			out = append(out, f)
		}
	}
	return out
}

// SetPassword replaces the stored main password; empty lets nobody in.
func (s *Store) SetPassword(ctx context.Context, name, stored string) error {
	return s.changeUser(ctx, name, "UPDATE users SET password = ?2, password_changed = ?3 WHERE address = ?1", stored, s.now())
}

// SetEnabled lets a user log in or not.
func (s *Store) SetEnabled(ctx context.Context, name string, enabled bool) error {
	return s.changeUser(ctx, name, "UPDATE users SET enabled = ?2 WHERE address = ?1", enabled)
}

// SetQuota replaces both limits.
func (s *Store) SetQuota(ctx context.Context, name string, q Quota) error {
	if err := q.check(); err != nil {
		return s.explain(err)
	}
	return s.changeUser(ctx, name, "UPDATE users SET quota_storage = nullif(?2, 0), quota_messages = nullif(?3, 0) WHERE address = ?1", q.Storage, q.Messages)
}

func (s *Store) changeUser(ctx context.Context, name, sql string, args ...any) error {
	name = account.Canonical(name)
	return s.write(ctx, func(c *conn) error {
		done, err := c.change(sql, append([]any{name}, args...)...)
		if err == nil && !done {
			err = object(fail.NotFound, "no user %s", name)
		}
		return err
	})
}

// DeleteUser removes a user with its app passwords, and what aliases lead to
// it: the next user of that name must not inherit them. It returns those
// aliases. The mail stays where it is.
func (s *Store) DeleteUser(ctx context.Context, name string) (lost []Alias, err error) {
	name = account.Canonical(name)
	err = s.write(ctx, func(c *conn) error {
		done, err := c.change("DELETE FROM users WHERE address = ?1", name)
		if err != nil {
			return err
		}
		if !done {
			return object(fail.NotFound, "no user %s", name)
		}
		if lost, err = c.aliases("WHERE target = ?1", name); err != nil {
			return err
		}
		return c.run("DELETE FROM aliases WHERE target = ?1", name)
	})
	return lost, err
}
