package localdb

import (
	"context"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/apppassword"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	// maxAppPasswords caps those of a user that are in force: a login compares
	// with all of them.
	maxAppPasswords = 50
	// maxAppName caps a name, in bytes.
	maxAppName = 64
)

// AppPassword is a row of app_passwords. Times are zero for never.
type AppPassword struct {
	User        string
	Name        string
	Scopes      apppassword.Scopes
	Created     time.Time
	Expires     time.Time
	Revoked     time.Time
	LastUsed    time.Time // exact to a minute
	LastService string
	LastAddress string
}

// Active reports whether it lets somebody in at t.
func (a AppPassword) Active(t time.Time) bool {
	return a.Revoked.IsZero() && (a.Expires.IsZero() || a.Expires.After(t))
}

// AddAppPassword makes an app password for user and returns it; it cannot be
// had again. expires may be zero.
func (s *Store) AddAppPassword(ctx context.Context, user, name string, scopes apppassword.Scopes, expires time.Time) (password string, err error) {
	user = account.Canonical(user)
	if err := s.checkApp(name, scopes, expires); err != nil {
		return "", s.explain(err)
	}
	password = apppassword.Generate()
	stored := apppassword.NewDigest(password).String()
	var until any
	if !expires.IsZero() {
		until = expires.Unix()
	}
	err = s.write(ctx, func(c *conn) error {
		u, err := c.user(user)
		if err != nil {
			return err
		}
		// A name is free again when its app password has expired.
		if err := c.run("UPDATE app_passwords SET revoked = expires WHERE user = ?1 AND name = ?2 AND revoked IS NULL AND expires <= ?3", u.Address, name, s.now()); err != nil {
			return err
		}
		if err := c.roomForApp(u, name, s.now()); err != nil {
			return err
		}
		like, err := c.scramLike(u)
		if err != nil {
			return err
		}
		return c.run("INSERT INTO app_passwords(user, name, stored, scram, scopes, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			u.Address, name, stored, apppassword.SCRAM(password, like), scopes.Ordered().String(), s.now(), until)
	})
	if err != nil {
		return "", err
	}
	return password, nil
}

// scramLike is what u has for SCRAM, whose salt a new app password must have:
// the main password's, or another app password's.
func (c *conn) scramLike(u User) (string, error) {
	if strings.HasPrefix(u.Stored, apppassword.SCRAMPrefix) {
		return u.Stored, nil
	}
	return c.text("SELECT scram FROM app_passwords WHERE user = ?1 AND scram IS NOT NULL ORDER BY id DESC LIMIT 1", u.Address)
}

func (s *Store) checkApp(name string, scopes apppassword.Scopes, expires time.Time) error {
	switch {
	case name == "" || len(name) > maxAppName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return object(fail.Invalid, "the name of an app password has 1 to %d bytes of text", maxAppName)
	case len(scopes) == 0:
		return object(fail.Invalid, "app password %s would be for no service", name)
	case !expires.IsZero() && !expires.After(s.opt.Now()):
		return object(fail.Invalid, "app password %s would have expired already", name)
	}
	return nil
}

// roomForApp checks that u may have one more in force, called name.
func (c *conn) roomForApp(u User, name string, now int64) error {
	same, err := c.number("SELECT count(*) FROM app_passwords WHERE user = ?1 AND name = ?2 AND revoked IS NULL", u.Address, name)
	if err != nil {
		return err
	}
	if same > 0 {
		return object(fail.Exists, "user %s has an app password %s already: revoke it first", u.Address, name)
	}
	n, err := c.number("SELECT "+countApps+" FROM users u WHERE u.address = ?2", now, u.Address)
	if err == nil && n >= maxAppPasswords {
		err = object(fail.Full, "user %s has %d app passwords: revoke one first", u.Address, n)
	}
	return err
}

// RevokeAppPassword takes an app password out of force at once, for good.
func (s *Store) RevokeAppPassword(ctx context.Context, user, name string) error {
	user = account.Canonical(user)
	return s.write(ctx, func(c *conn) error {
		u, err := c.user(user)
		if err != nil {
			return err
		}
		done, err := c.change("UPDATE app_passwords SET revoked = ?3 WHERE user = ?1 AND name = ?2 AND revoked IS NULL", u.Address, name, s.now())
		if err == nil && !done {
			err = object(fail.NotFound, "user %s has no app password %s", user, name)
		}
		return err
	})
}

// AppPasswords lists those of a user, the oldest first; of all users by name
// when user is empty.
func (s *Store) AppPasswords(ctx context.Context, user string) (list []AppPassword, err error) {
	err = s.read(ctx, func(c *conn) error {
		where, args := "", []any(nil)
		if user != "" {
			u, err := c.user(account.Canonical(user))
			if err != nil {
				return err
			}
			where, args = "WHERE user = ?1 ", []any{u.Address}
		}
		return c.query(`SELECT user, name, scopes, created, expires, revoked, last_used, last_service, last_address
			FROM app_passwords `+where+"ORDER BY user, id", func(row *sqlite3.Stmt) bool {
			list = append(list, scanApp(row))
			return true
		}, args...)
	})
	return list, err
}

func scanApp(row *sqlite3.Stmt) AppPassword {
	at := func(col int) time.Time {
		if row.ColumnType(col) == sqlite3.NULL {
			return time.Time{}
		}
		return time.Unix(row.ColumnInt64(col), 0)
	}
	scopes, _ := apppassword.ParseScopes(row.ColumnText(2)) // one that we do not know is of no use
	return AppPassword{
		User: row.ColumnText(0), Name: row.ColumnText(1), Scopes: scopes, Created: at(3), Expires: at(4), Revoked: at(5),
		LastUsed: at(6), LastService: row.ColumnText(7), LastAddress: row.ColumnText(8),
	}
}

// addAlternatives gives a the app passwords that count in r, and takes the
// main password away where app passwords alone count.
func (s *Store) addAlternatives(c *conn, a *passdb.Account, user string, r *request.Request) error {
	scope := apppassword.ScopeOf(r.Service)
	if scope == "" {
		return nil
	}
	var problem error
	err := c.query(`SELECT id, name, stored, scopes, scram FROM app_passwords WHERE user = ?1 AND revoked IS NULL AND ifnull(expires, ?2 + 1) > ?2`, func(row *sqlite3.Stmt) bool {
		if s.onlyApps[scope] {
			a.Stored, a.NoPassword = "", false
		}
		if !hasScope(row.ColumnRawText(3), scope) {
			return true
		}
		var alt passdb.Alternative
		alt, problem = s.alternative(row, r)
		a.Alternatives = append(a.Alternatives, alt)
		return problem == nil
	}, user, s.now())
	if err == nil && problem != nil {
		err = fail.Wrap(fail.Unavailable, problem, "user %s", user)
	}
	return err
}

func hasScope(list []byte, scope apppassword.Scope) bool {
	for name := range strings.SplitSeq(string(list), ",") {
		if name == string(scope) {
			return true
		}
	}
	return false
}

func (s *Store) alternative(row *sqlite3.Stmt, r *request.Request) (passdb.Alternative, error) {
	stored := row.ColumnText(2)
	d, err := apppassword.ParseDigest(stored)
	id, service, from := row.ColumnInt64(0), r.Service, r.Remote.Addr()
	return passdb.Alternative{
		Label:  row.ColumnText(1),
		Stored: row.ColumnText(4),
		Matches: func(typed string) bool {
			password, ok := apppassword.Canonical(typed)
			return ok && d.Matches(password)
		},
		OnUse: func() { s.uses.note(id, use{stored, s.now(), service, addressText(from)}) },
	}, err
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}
